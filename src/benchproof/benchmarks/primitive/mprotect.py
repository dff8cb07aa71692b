"""Benchmark `memory.mprotect`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence


class Mprotect(Probed, frozen=True):
    """What does it cost to change what a page allows?"""

    translation = Translation(
        operation="changing the rights of a mapping, to read-only and back",
        differs="one mapping in a table: no areas are split or merged",
        counts=("changed",),
        expect={"writable_when_read_only": "0", "writable_when_writable": "1"},
    )
    definition = Definition(
        name="memory.mprotect",
        tier=TIER,
        question=__doc__,
        mechanism="mprotect of one touched page, read-only and back",
        without_posix=translation.operation,
        oracle="no call fails; a write to the page faults when it is read-only and does not when it is writable",
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "writable_when_read_only", 0)
        yield from oracles.equals(evidence, "writable_when_writable", 1)
