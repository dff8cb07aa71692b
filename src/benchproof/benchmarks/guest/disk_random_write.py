"""Benchmark `disk.random_write`."""

from __future__ import annotations

from benchproof.benchmarks.guest import inside
from benchproof.benchmarks.guest.disk import ORACLE, UNSUPPORTED, Fsync, Random, policy, policy_words
from benchproof.model import Definition


class RandomWrite(Random, frozen=True):
    """How fast are small blocks of a file written, in random order?"""

    definition = Definition(
        name="disk.random_write",
        tier=inside.TIER,
        question=__doc__,
        mechanism="pwrite of random blocks over those of a file that is there, in random order",
        without_posix="the same on the system's own store of bytes",
        oracle=f"{ORACLE}; it is read again from end to end",
        nondeterminism=inside.NONDETERMINISM,
        when_unsupported=UNSUPPORTED,
    )

    fsync: Fsync = "end"

    @property
    def words(self) -> dict[str, object]:
        return policy(self.fsync)

    @property
    def done(self) -> str:
        return f"{self.definition.mechanism}, {policy_words(self.fsync)}"
