"""Benchmark `disk.sequential_write`."""

from __future__ import annotations

from benchproof.benchmarks.guest import inside
from benchproof.benchmarks.guest.disk import ORACLE, UNSUPPORTED, Disk, Fsync, policy, policy_words
from benchproof.model import Definition


class SequentialWrite(Disk, frozen=True):
    """How fast is a file written, from its first block to its last?"""

    definition = Definition(
        name="disk.sequential_write",
        tier=inside.TIER,
        question=__doc__,
        mechanism="pwrite of random blocks to a new file",
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
