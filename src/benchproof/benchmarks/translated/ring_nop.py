"""Benchmark `ring.nop`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence

TIER = 2


class RingNop(Probed, frozen=True):
    """What does it cost to have the kernel take a request from a ring and answer it?"""

    translation = Translation(
        operation="a no-op through the ring of requests that the system has",
        differs="a ring of another make than io_uring",
        counts=("completed",),
        zeros=("overflows", "wrong_cookies"),
    )
    definition = Definition(
        name="ring.nop",
        tier=TIER,
        question=__doc__,
        mechanism="io_uring: one no-op submitted, taken by io_uring_enter, its completion reaped",
        without_posix=translation.operation,
        oracle="each completion carries its request's number and no error, as many as submitted, none overflowed",
    )
    exact_batch = 100

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "completed", evidence.get("operations"))
        yield from oracles.equals(evidence, "overflows", 0)
