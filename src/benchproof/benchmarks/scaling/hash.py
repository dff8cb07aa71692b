"""Benchmark `scaling.hash`."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from typing import Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.scaling import spread
from benchproof.benchmarks.scaling.spread import Spread
from benchproof.model import Definition
from benchproof.oracles import Evidence
from benchproof.quantities import Size

_QUICK_CHUNKS = 64
_MOST_CHUNKS = 1 << 20
_BLOCK_BYTES = 64  # of SHA-256
_PERIOD_BYTES = 1 << 16  # both summands of the pattern repeat after as many bytes


def chunk(number: int, size: int) -> bytes:
    """One chunk of the corpus: its number in 8 bytes, lowest first, then byte j is (7 j + (j >> 8)) mod 256."""
    pattern = (_period() * (size // _PERIOD_BYTES + 1))[:size]
    return number.to_bytes(8, "little") + pattern[8:]


@functools.cache
def _period() -> bytes:
    return bytes((j * 7 + (j >> 8)) & 0xFF for j in range(_PERIOD_BYTES))


@functools.cache
def root(chunks: int, size: int) -> str:
    """The SHA-256 of the SHA-256 digests of all chunks, in order."""
    rest = chunk(0, size)[8:]
    digests = (hashlib.sha256(number.to_bytes(8, "little") + rest).digest() for number in range(chunks))
    return hashlib.sha256(b"".join(digests)).hexdigest()


class Hash(Spread, frozen=True):
    """How much faster do more workers hash?"""

    definition = Definition(
        name="scaling.hash",
        tier=spread.TIER,
        question=__doc__,
        mechanism="SHA-256 of fixed-size chunks, as many for each worker; the root is the digest of all digests",
        without_posix="the same chunks by tasks, one for each CPU",
        oracle="the root of all digests in order is the one that another SHA-256 gives",
        nondeterminism=spread.NONDETERMINISM,
        corpus="byte j of chunk i: the 8 bytes of i, lowest first, then (7 j + (j >> 8)) mod 256",
        when_unsupported=spread.UNSUPPORTED,
    )
    partition = "contiguous: as many chunks for each worker"

    chunks: int = 256
    chunk_size: Size = Size(64 << 10)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.chunks <= _MOST_CHUNKS:
            raise ValueError(f"chunks: expected 1 to {_MOST_CHUNKS}, found {self.chunks}")
        if self.chunk_size % _BLOCK_BYTES or not _BLOCK_BYTES <= self.chunk_size <= 1 << 30:
            raise ValueError(
                f"chunk_size: expected 64 B to 1 GiB in multiples of 64 B, found {float(self.chunk_size):g} B"
            )
        if self.chunks * self.chunk_size > 1 << 32:
            raise ValueError(f"expected a corpus of 4 GiB at most, found {self.chunks} times {self.chunk_size:g} B")

    def quick(self) -> Self:
        """The same question about fewer chunks."""
        return msgspec.structs.replace(self, chunks=min(self.chunks, _QUICK_CHUNKS))

    @property
    def work(self) -> dict[str, int]:
        """What the probe is told of the work."""
        return {"--chunks": self.chunks, "--size": int(self.chunk_size)}

    @property
    def said(self) -> dict[str, str]:
        """What a system that measures itself says of the work."""
        return {"chunks": str(self.chunks), "chunk_bytes": str(int(self.chunk_size))}

    @property
    def answer(self) -> str:
        """The root, by another SHA-256."""
        return root(self.chunks, int(self.chunk_size))

    def check(self, evidence: Evidence) -> Iterator[str]:
        """That every worker has as many bytes."""
        yield from oracles.equals(evidence, "bytes_each", self.chunks // self.width * int(self.chunk_size))
