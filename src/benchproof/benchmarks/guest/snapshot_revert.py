"""Benchmark `snapshot.revert`."""

from __future__ import annotations

from benchproof.benchmarks.guest.snapshotted import (
    AUTHORITY,
    NONDETERMINISM,
    TIER,
    UNSUPPORTED,
    WITHOUT_POSIX,
    Room,
    Snapshotted,
)
from benchproof.model import Definition
from benchproof.service.mcp_client import Answer


class Revert(Snapshotted, frozen=True):
    """How long does it take to make one file what it was in a snapshot?"""

    definition = Definition(
        name="snapshot.revert",
        tier=TIER,
        question=__doc__,
        mechanism="MCP call of snapshot_revert to its answer, one session; before each, that file is overwritten",
        without_posix=WITHOUT_POSIX,
        oracle="the file was other before and has its old bytes afterwards; the rest of the workspace is untouched",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def prepare(self, room: Room) -> None:
        room.snapshot()

    def once(self, room: Room) -> Answer:
        ((name, contents),) = room.snapshots.items()
        path = room.change(among=contents)
        room.check_content(path, room.contents[path])
        answer = room.time("snapshot_revert", name=name, path=path)
        room.contents[path] = contents[path]
        room.check_content(path, contents[path])
        room.check_unchanged(name)
        return answer
