"""Smoke `smoke.memory`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.smoke.smoked import TIER, UNSUPPORTED, Smoked
from benchproof.model import Definition
from benchproof.oracles import Evidence


class Memory(Smoked, frozen=True):
    """Is memory mapped, protected and taken away again?"""

    definition = Definition(
        name="smoke.memory",
        tier=TIER,
        question=__doc__,
        mechanism="mmap, mprotect and munmap of one page, touched after each",
        without_posix="a page that is mapped, made read-only and unmapped",
        oracle="a fresh page is empty; a write while read-only and a read when unmapped fault at its address",
        nondeterminism="the random word that is asked for",
        when_unsupported=UNSUPPORTED,
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "fresh", 0)
        yield from oracles.equals(evidence, "write_to_read_only", "fault")
        yield from oracles.equals(evidence, "read_of_read_only", 42)
        yield from oracles.equals(evidence, "write_to_writable", 43)
        yield from oracles.equals(evidence, "read_of_unmapped", "fault")
