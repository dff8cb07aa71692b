"""Benchmark `disk.random_read`."""

from __future__ import annotations

from benchproof.benchmarks.guest import inside
from benchproof.benchmarks.guest.disk import (
    ORACLE,
    PAGE_BYTES,
    UNSUPPORTED,
    Cache,
    Random,
    cache_of_read,
    condition_of_read,
    refuse_not_cold,
    refuse_warm_direct,
    warmth,
)
from benchproof.model import Definition
from benchproof.oracles import Evidence


class RandomRead(Random, frozen=True):
    """How fast are small blocks of a file read, in random order?"""

    definition = Definition(
        name="disk.random_read",
        tier=inside.TIER,
        question=__doc__,
        mechanism="pread of blocks of a file that was just written, in random order",
        without_posix="the same on the system's own store of bytes",
        oracle=f"{ORACLE}; what is called cold or direct was looked up in the page cache",
        nondeterminism=inside.NONDETERMINISM,
        when_unsupported=UNSUPPORTED,
    )

    cache: Cache = "any"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_warm_direct(self.cache, self.direct)

    @property
    def words(self) -> dict[str, object]:
        return warmth(self.cache)

    @property
    def done(self) -> str:
        return self.definition.mechanism

    @property
    def pages_to_verify(self) -> int:
        return self.operations_asked * int(self.block) // PAGE_BYTES

    def cache_of(self, evidence: Evidence) -> str:
        return cache_of_read(evidence)

    def condition_of(self, cache: str) -> str:
        return condition_of_read(cache, self.direct)

    def refuse_other(self, evidence: Evidence) -> None:
        super().refuse_other(evidence)
        refuse_not_cold(self.cache, evidence)
