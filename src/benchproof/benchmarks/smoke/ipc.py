"""Smoke `smoke.ipc`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.smoke.smoked import TIER, UNSUPPORTED, Smoked
from benchproof.model import Definition
from benchproof.oracles import Evidence


class Ipc(Smoked, frozen=True):
    """Do bytes reach another process, and are stale handles refused?"""

    definition = Definition(
        name="smoke.ipc",
        tier=TIER,
        question=__doc__,
        mechanism="a pipe there, a Unix socket back, an eventfd beside them",
        without_posix="a message to another task and its answer; a handle that was closed",
        oracle="the word comes back, the counter has the sum; a closed handle gives EBADF, a pipe without reader EPIPE",
        nondeterminism="the random word that is asked for",
        when_unsupported=UNSUPPORTED,
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "word_crc32", zlib.crc32(evidence.get("asked", "").encode()))
        yield from oracles.equals(evidence, "partner_status", 37)
        yield from oracles.one_of(evidence, "eventfd", "read", "absent")
        yield from oracles.equals(evidence, "eventfd_sum", 21 if evidence.get("eventfd") == "read" else 0)
        yield from oracles.equals(evidence, "stale_handle", "EBADF")
        yield from oracles.equals(evidence, "pipe_without_reader", "EPIPE")
