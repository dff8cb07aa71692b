"""Benchmark `syscall.read_null`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Authority, Definition
from benchproof.oracles import Evidence


class ReadNull(Probed, frozen=True):
    """What does the shortest read cost?"""

    translation = Translation(
        operation="a call without content to a null object",
        differs="a call to an object, not a read through a descriptor and a file",
        counts=("completed",),
        zeros=("overflows",),
    )
    definition = Definition(
        name="syscall.read_null",
        tier=TIER,
        question=__doc__,
        mechanism="read of 1 byte from /dev/null",
        without_posix=translation.operation,
        oracle="each read returns 0, and the descriptor is the character device 1:3",
        authority=Authority(devices=("/dev/null",)),
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "device", "1:3")
        yield from oracles.equals(evidence, "returned", 0)
