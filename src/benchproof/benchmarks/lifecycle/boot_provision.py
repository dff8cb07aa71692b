"""Benchmark `fork.boot_provision`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.forked import Fork, Forked
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class BootProvision(Forked, frozen=True):
    """How long does a clone of a forked system take until it is started?"""

    definition = Definition(
        name="fork.boot_provision",
        tier=TIER,
        question=__doc__,
        mechanism="start of a clone of the image that was just made, request to started",
        without_posix="starting a protection domain from a checkpoint",
        oracle="the original goes on, a clone answers and holds the random files; a deleted image is gone",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def part(self, fork: Fork) -> int:
        """Request to started."""
        return fork.provision_ns
