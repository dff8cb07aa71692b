"""Benchmark `lifecycle.total`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.cycle import Cycle, Cycled
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class Total(Cycled, frozen=True):
    """How long is the shortest useful life of a system?"""

    definition = Definition(
        name="lifecycle.total",
        tier=TIER,
        question=__doc__,
        mechanism="request to the first answer, plus request to end until gone; our own look-up in between is left out",
        without_posix="creating a protection domain, one call to it, destroying it",
        oracle="the instance gives back a fresh random word with status 0, and nothing of it is left when it was ended",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def part(self, cycle: Cycle) -> int:
        """Both ends of a life, without our own look at it."""
        return cycle.ready_ns + cycle.delete_ns
