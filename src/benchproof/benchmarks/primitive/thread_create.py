"""Benchmark `process.thread_create`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence


class ThreadCreate(Probed, frozen=True):
    """What does it cost to make a thread and see it end?"""

    translation = Translation(
        operation="creating and joining a thread",
        differs="threads of the system's own, without those of a C library on top",
        counts=("threads_verified",),
    )
    definition = Definition(
        name="process.thread_create",
        tier=TIER,
        question=__doc__,
        mechanism="pthread_create and pthread_join",
        without_posix=translation.operation,
        oracle="each thread returns its number plus one",
    )
    exact_batch = 2
    exact_batches = 40

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "threads_verified", evidence.get("operations"))
