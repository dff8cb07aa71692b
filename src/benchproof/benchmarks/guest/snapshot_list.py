"""Benchmark `snapshot.list`."""

from __future__ import annotations

from benchproof.benchmarks.guest.snapshotted import (
    AUTHORITY,
    NONDETERMINISM,
    TIER,
    UNSUPPORTED,
    WITHOUT_POSIX,
    Contents,
    Room,
    Snapshotted,
    changes_of,
    differences,
)
from benchproof.model import Definition
from benchproof.service.mcp_client import Answer


class List(Snapshotted, frozen=True):
    """How long does it take to list all snapshots, each with what changed?"""

    definition = Definition(
        name="snapshot.list",
        tier=TIER,
        question=__doc__,
        mechanism="MCP call of snapshot_list to its answer, one session; four snapshots, files written between them",
        without_posix=WITHOUT_POSIX,
        oracle="exactly these snapshots, in order, each with exactly what was added, modified and deleted before it",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def prepare(self, room: Room) -> None:
        room.snapshot()
        room.change()
        first = room.snapshot()[0]
        room.change()
        room.snapshot()
        room.remove_added(first)

    def once(self, room: Room) -> Answer:
        room.change()
        oldest = next(iter(room.snapshots))
        room.remove_added(oldest)
        name, _ = room.snapshot()
        answer = room.time("snapshot_list")
        room.check("snapshots and what changed", expected(room), told(answer))
        room.drop(name)
        return answer


def expected(room: Room) -> list[list[object]]:
    """Name, number of files, and the changes from the one before."""
    before: Contents = {}
    found: list[list[object]] = []
    for name, contents in room.snapshots.items():
        found.append([name, len(contents), differences(before, contents)])
        before = contents
    return found


def told(answer: Answer) -> list[list[object]]:
    """The same, as the service has it."""
    found = answer.document.get("snapshots")
    return [
        [each.get("name"), each.get("files"), changes_of(each.get("changes") or {})]
        for each in (found if isinstance(found, list) else [])
    ]
