"""Benchmark `process.thread_create`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.model import Definition
from benchproof.oracles import Evidence


class ThreadCreate(Probed, frozen=True):
    """What does it cost to make a thread and see it end?"""

    definition = Definition(
        name="process.thread_create",
        tier=TIER,
        question=__doc__,
        mechanism="pthread_create and pthread_join",
        without_posix="creating and joining a thread",
        oracle="each thread returns its number plus one",
    )
    exact_batch = 2
    exact_batches = 40

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "threads_verified", evidence.get("operations"))
