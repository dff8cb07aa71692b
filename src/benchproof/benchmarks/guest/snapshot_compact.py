"""Benchmark `snapshot.compact`."""

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


class Compact(Snapshotted, frozen=True):
    """How long does it take to merge snapshots that have most files in common?"""

    definition = Definition(
        name="snapshot.compact",
        tier=TIER,
        question=__doc__,
        mechanism="MCP call of snapshot_compact to its answer, one session; of two snapshots made just before",
        without_posix=WITHOUT_POSIX,
        oracle="it alone is listed, nothing differs from it, and a file of either comes back byte by byte",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def once(self, room: Room) -> Answer:
        first, _ = room.snapshot()
        path = room.change()
        second, _ = room.snapshot()
        merged = f"merged-{first}"
        answer = room.time("snapshot_compact", names=[first, second], into=merged)
        room.snapshots = {merged: room.snapshots[second]}
        room.check("files of the merged", len(room.contents), answer.document.get("files"))
        room.check("it alone is listed", [merged], room.names())
        room.check_unchanged(merged)
        right = room.contents[path]
        room.write(path)
        room.call("snapshot_revert", name=merged, path=path)
        room.contents[path] = right
        room.check_content(path, right)
        room.drop(merged)
        return answer
