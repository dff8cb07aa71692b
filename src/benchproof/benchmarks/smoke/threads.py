"""Smoke `smoke.threads`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.smoke.smoked import TIER, UNSUPPORTED, Smoked
from benchproof.model import Definition
from benchproof.oracles import Evidence


class Threads(Smoked, frozen=True):
    """Are threads put to sleep, woken and joined?"""

    definition = Definition(
        name="smoke.threads",
        tier=TIER,
        question=__doc__,
        mechanism="pthreads that wait on a futex: time-out, a value that is another, wake one, wake many",
        without_posix="park, unpark and join of whatever the system calls a thread",
        oracle="the time-out comes, not too early; wakes wake as many as they say; each is joined with its own status",
        nondeterminism="none",
        when_unsupported=UNSUPPORTED,
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "timed_out", "ETIMEDOUT")
        yield from oracles.equals(evidence, "waited_long_enough", 1)
        yield from oracles.equals(evidence, "wait_for_what_is_not", "EAGAIN")
        yield from oracles.equals(evidence, "woken_one", 1)
        yield from oracles.equals(evidence, "woken_many", 2)
        yield from oracles.equals(evidence, "joined", 3)
        yield from oracles.equals(evidence, "join_sum", 6)
