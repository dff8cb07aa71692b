"""Benchmark `snapshot.delete`."""

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


class Delete(Snapshotted, frozen=True):
    """How long does it take to remove a snapshot and all its copies?"""

    definition = Definition(
        name="snapshot.delete",
        tier=TIER,
        question=__doc__,
        mechanism="MCP call of snapshot_delete to its answer, one session; each was made just before",
        without_posix=WITHOUT_POSIX,
        oracle="it was listed and is no more, its folder is gone from the disk, a question about it is refused",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def once(self, room: Room) -> Answer:
        name, made = room.snapshot()
        room.check("it is listed", [*room.snapshots], room.names())
        answer = room.drop(name, timed=True)
        room.check("it is listed no more", [*room.snapshots], room.names())
        room.check("its folder is still on disk", False, on_disk(made) == "there")
        refused = bool(room.attempt("snapshot_changes", name=name).error)
        room.check("a question about what is gone is refused", True, refused)
        return answer
