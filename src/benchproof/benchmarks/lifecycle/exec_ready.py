"""Benchmark `lifecycle.exec_ready`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.cycle import Cycle, Cycled
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class ExecReady(Cycled, frozen=True):
    """How long does a system take from the request until it has done its first work?"""

    definition = Definition(
        name="lifecycle.exec_ready",
        tier=TIER,
        question=__doc__,
        mechanism="request to the answer of the first command, which is tried once",
        without_posix="creating a protection domain, to the first reply of its program",
        oracle="the instance gives back a fresh random word with status 0, and nothing of it is left when it was ended",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def part(self, cycle: Cycle) -> int:
        """Request to the first verified answer."""
        return cycle.ready_ns
