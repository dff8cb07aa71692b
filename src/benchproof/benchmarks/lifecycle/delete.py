"""Benchmark `lifecycle.delete`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.cycle import Cycle, Cycled
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class Delete(Cycled, frozen=True):
    """How long does it take until a system is gone?"""

    definition = Definition(
        name="lifecycle.delete",
        tier=TIER,
        question=__doc__,
        mechanism="request to end, until its processes, their memory and its files are gone; looked for each 0.2 ms",
        without_posix="destroying a protection domain, until its memory can be given to others",
        oracle="each process (pid and start time) and each file that it held is looked for; one that is left is a leak",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    def part(self, cycle: Cycle) -> int:
        """Request to end, until gone."""
        return cycle.delete_ns
