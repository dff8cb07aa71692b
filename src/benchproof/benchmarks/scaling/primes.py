"""Benchmark `scaling.primes`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.scaling import spread
from benchproof.benchmarks.scaling.spread import Spread
from benchproof.model import Definition
from benchproof.oracles import Evidence

MOST_LIMIT = 100_000_000
_QUICK_LIMIT = 300_000


@functools.cache
def count(limit: int) -> int:
    """How many primes there are up to the limit, by the sieve of Eratosthenes over odd numbers."""
    is_odd_prime = bytearray([1]) * ((limit + 1) // 2)  # the number at i is 2 i + 1; at 0 stands the 2
    for divisor in range(3, int(limit**0.5) + 1, 2):
        if is_odd_prime[divisor // 2]:
            first = divisor * divisor // 2
            is_odd_prime[first::divisor] = bytes(len(range(first, len(is_odd_prime), divisor)))
    return sum(is_odd_prime)


def bounds(width: int, limit: int) -> list[int]:
    """The first number of each worker, then the one behind the last: the least n with n^7 width^5 >= limit^7 k^5.

    Trial division of all numbers up to n takes about n^1.4 divisions, so the shares cost about the same.
    """
    return [_least(limit**7 * k**5, width**5, 2, limit + 1) for k in range(width)] + [limit + 1]


def _least(wanted: int, factor: int, low: int, high: int) -> int:
    """The least n from `low` up to `high` with n^7 factor >= wanted."""
    while low < high:
        middle = (low + high) // 2
        if middle**7 * factor >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


class Primes(Spread, frozen=True):
    """How much faster do more workers count primes?"""

    definition = Definition(
        name="scaling.primes",
        tier=spread.TIER,
        question=__doc__,
        mechanism="trial division of 2 to the limit in contiguous shares of equal cost, one for each worker",
        without_posix="the same count in the same shares by tasks, one for each CPU",
        oracle="the sum of all shares is the number of primes that a sieve finds, and the shares are those of the rule",
        nondeterminism=spread.NONDETERMINISM,
        when_unsupported=spread.UNSUPPORTED,
    )
    partition = "contiguous: worker k of w begins at the least n with n^7 w^5 >= limit^7 k^5"

    limit: int = 3_000_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.limit <= MOST_LIMIT:
            raise ValueError(f"limit: expected 2 to {MOST_LIMIT}, found {self.limit}")

    def quick(self) -> Self:
        """The same question about fewer numbers."""
        return msgspec.structs.replace(self, limit=min(self.limit, _QUICK_LIMIT))

    @property
    def work(self) -> dict[str, int]:
        """What the probe is told of the work."""
        return {"--limit": self.limit}

    @property
    def said(self) -> dict[str, str]:
        """What a system that measures itself says of the work."""
        return {"limit": str(self.limit)}

    @property
    def answer(self) -> str:
        """How many there are, by a sieve."""
        return str(count(self.limit))

    def check(self, evidence: Evidence) -> Iterator[str]:
        """That the shares are what the rule says."""
        yield from oracles.equals(evidence, "bounds", " ".join(map(str, bounds(self.width, self.limit))))
