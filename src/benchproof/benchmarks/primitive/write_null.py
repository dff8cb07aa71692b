"""Benchmark `syscall.write_null`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Authority, Definition
from benchproof.oracles import Evidence


class WriteNull(Probed, frozen=True):
    """What does the shortest write cost?"""

    translation = Translation(
        operation="a call with one byte to a null object",
        differs="a call to an object, not a write through a descriptor and a file",
        counts=("completed",),
        zeros=("overflows",),
    )
    definition = Definition(
        name="syscall.write_null",
        tier=TIER,
        question=__doc__,
        mechanism="write of 1 byte to /dev/null",
        without_posix=translation.operation,
        oracle="each write returns 1, and the descriptor is the character device 1:3",
        authority=Authority(devices=("/dev/null",)),
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "device", "1:3")
        yield from oracles.equals(evidence, "returned", evidence.get("operations"))
