"""Benchmark `syscall.stat`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.model import Definition
from benchproof.oracles import Evidence

FILE_BYTES = 4242  # as the probe makes it


class Stat(Probed, frozen=True):
    """What does it cost to look up a path?"""

    definition = Definition(
        name="syscall.stat",
        tier=TIER,
        question=__doc__,
        mechanism="stat of a file on tmpfs, in the current folder",
        without_posix="a look-up by name in a namespace; not_applicable without one",
        oracle="the sizes that were returned add up to 4,242 bytes for each call",
    )
    exact_batch = 50
    exact_batches = 60

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "size_sum", oracles.number(evidence, "operations") * FILE_BYTES)
