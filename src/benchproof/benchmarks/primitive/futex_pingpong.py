"""Benchmark `ipc.futex_pingpong`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.benchmarks.primitive.probed import TIER, Probed, round_trips
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence


class FutexPingpong(Probed, frozen=True):
    """How long does a round trip between two processes take over a futex?"""

    translation = Translation(
        operation="park and wake of two tasks",
        differs="the tasks may share an address space, so that no switch between two is in it",
        counts=("round_trips", "partner_served"),
    )
    definition = Definition(
        name="ipc.futex_pingpong",
        tier=TIER,
        question=__doc__,
        mechanism="futex wait and wake on a shared page, no spinning",
        without_posix=translation.operation,
        oracle="each answer is its token plus one; both count the same round trips; the partner ends well",
    )
    exact_batch = 10
    exact_batches = 60

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        return round_trips(evidence)
