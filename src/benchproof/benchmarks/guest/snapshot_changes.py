"""Benchmark `snapshot.changes`."""

from __future__ import annotations

from benchproof.benchmarks.guest.snapshotted import (
    AUTHORITY,
    NONDETERMINISM,
    TIER,
    UNSUPPORTED,
    WITHOUT_POSIX,
    Room,
    Snapshotted,
    changes_of,
    differences,
)
from benchproof.model import Definition
from benchproof.service.mcp_client import Answer


class Changes(Snapshotted, frozen=True):
    """How long does it take to tell what changed in a workspace since a snapshot?"""

    definition = Definition(
        name="snapshot.changes",
        tier=TIER,
        question=__doc__,
        mechanism="MCP call of snapshot_changes to its answer, one session; before each, some files are written anew",
        without_posix=WITHOUT_POSIX,
        oracle="exactly the paths that were added, modified and deleted since, and no other",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def prepare(self, room: Room) -> None:
        without, _ = room.snapshot()
        room.change()
        room.snapshot()
        room.remove_added(without)  # so that there is a file that was deleted since

    def once(self, room: Room) -> Answer:
        room.change()
        name = [*room.snapshots][-1]
        answer = room.time("snapshot_changes", name=name)
        wanted = differences(room.snapshots[name], room.contents)
        room.check(f"changes since '{name}'", wanted, changes_of(answer.document))
        return answer
