"""Benchmark `ipc.eventfd_pingpong`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.benchmarks.primitive.probed import Probed, round_trips
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence

TIER = 2


class EventfdPingpong(Probed, frozen=True):
    """How long does a round trip between two processes take over counters of the kernel?"""

    translation = Translation(
        operation="a notification and its answer between two tasks",
        differs="a notification that may carry no number",
        counts=("round_trips", "partner_served"),
    )
    definition = Definition(
        name="ipc.eventfd_pingpong",
        tier=TIER,
        question=__doc__,
        mechanism="two eventfd, a number each way, blocking",
        without_posix=translation.operation,
        oracle="each answer is its number plus one; both count the same round trips; the partner ends well",
    )
    exact_batch = 10
    exact_batches = 50

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        return round_trips(evidence)
