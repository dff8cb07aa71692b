"""Benchmark `lifecycle.provision`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.cycle import Cycle, Cycled
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class Provision(Cycled, frozen=True):
    """How long does a system take from the request until it is started?"""

    definition = Definition(
        name="lifecycle.provision",
        tier=TIER,
        question=__doc__,
        mechanism="request to started (from a pool: to handed out and checked); no command but that check is in it",
        without_posix="creating and starting a protection domain with its program",
        oracle="the instance gives back a fresh random word with status 0, and nothing of it is left when it was ended",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def part(self, cycle: Cycle) -> int:
        """Request to started."""
        return cycle.provision_ns
