"""Benchmark `snapshot.create`."""

from __future__ import annotations

from benchproof.benchmarks.guest.snapshotted import (
    AUTHORITY,
    NONDETERMINISM,
    TIER,
    UNSUPPORTED,
    WITHOUT_POSIX,
    Room,
    Snapshotted,
    on_disk,
)
from benchproof.model import Definition
from benchproof.service.mcp_client import Answer


class Create(Snapshotted, frozen=True):
    """How long does it take to keep a whole workspace as a snapshot?"""

    definition = Definition(
        name="snapshot.create",
        tier=TIER,
        question=__doc__,
        mechanism="MCP call of snapshot_create to its answer, one session; before each, some files are written anew",
        without_posix=WITHOUT_POSIX,
        oracle="it is listed, nothing differs from it, and a file overwritten afterwards comes back byte by byte",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def once(self, room: Room) -> Answer:
        path = room.change()
        name, answer = room.snapshot(timed=True)
        room.check("files in the snapshot", len(room.contents), answer.document.get("files"))
        room.check("its folder on disk is missing", False, on_disk(answer) == "not there")
        room.check("it is listed", [*room.snapshots], room.names())
        room.check_unchanged(name)
        right = room.contents[path]
        room.write(path)
        room.call("snapshot_revert", name=name, path=path)
        room.contents[path] = right
        room.check_content(path, right)
        room.drop(name)
        return answer
