"""Benchmark `fork.fork`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.forked import Fork, Forked
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class Freeze(Forked, frozen=True):
    """How long does it take to freeze a system that runs?"""

    definition = Definition(
        name="fork.fork",
        tier=TIER,
        question=__doc__,
        mechanism="request to freeze, until the image is in the host's files and the instance goes on",
        without_posix="writing a checkpoint of a protection domain while it goes on",
        oracle="the original goes on, a clone answers and holds the random files; a deleted image is gone",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def part(self, fork: Fork) -> int:
        """Request to frozen."""
        return fork.freeze_ns
