"""Benchmark `ipc.unix_pingpong`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.benchmarks.primitive.probed import TIER, Probed, round_trips
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence


class UnixPingpong(Probed, frozen=True):
    """How long does a round trip between two processes take over a Unix socket?"""

    translation = Translation(
        operation="a call and its reply between two tasks, labelled by its transport",
        differs="a call and its reply, which may hand over directly, not two one-way streams",
        counts=("round_trips", "partner_served"),
        zeros=("wrong_replies",),
    )
    definition = Definition(
        name="ipc.unix_pingpong",
        tier=TIER,
        question=__doc__,
        mechanism="Unix stream socket pair, 8 bytes each way, blocking",
        without_posix=translation.operation,
        oracle="each answer is its token plus one; both count the same round trips; the partner ends well",
    )
    exact_batch = 10
    exact_batches = 50

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        return round_trips(evidence)
