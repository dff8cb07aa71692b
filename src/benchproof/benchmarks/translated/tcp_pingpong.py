"""Benchmark `ipc.tcp_pingpong`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.benchmarks.primitive.probed import Probed, round_trips
from benchproof.benchmarks.translation import Translation
from benchproof.model import Authority, Definition
from benchproof.oracles import Evidence

TIER = 2


class TcpPingpong(Probed, frozen=True):
    """How long does a round trip between two processes take over TCP within the machine?"""

    translation = Translation(
        operation="a round trip over the stream sockets of the system, once it has any",
        differs="its own sockets, which need not be TCP to the last rule",
        counts=("round_trips", "partner_served"),
        zeros=("wrong_replies",),
    )
    definition = Definition(
        name="ipc.tcp_pingpong",
        tier=TIER,
        question=__doc__,
        mechanism="TCP over the loopback interface without delay, 8 bytes each way, blocking",
        without_posix=translation.operation,
        oracle="each answer is its token plus one; both count the same round trips; the partner ends well",
        authority=Authority(network=True),
    )
    exact_batch = 10
    exact_batches = 50

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        return round_trips(evidence)
