"""Benchmark `timer.wake`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence


class TimerWake(Probed, frozen=True):
    """How late does a sleeping task wake up?"""

    translation = Translation(
        operation="a timed wait; how late it ends",
        differs="the system's own queue of timers; the deadline may be further ahead than 50 us",
        counts=("wakes",),
        zeros=("woke_early",),
    )
    definition = Definition(
        name="timer.wake",
        tier=TIER,
        question=__doc__,
        mechanism="clock_nanosleep to a deadline 50 us ahead; the time is from the deadline to being back",
        without_posix=translation.operation,
        oracle="no wake-up is early and no sleep fails",
    )
    exact_batch = 10
    exact_batches = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain is not None:
            raise ValueError("inject_instructions: its time is from the deadline to being back; use inject")

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "woke_early", 0)
