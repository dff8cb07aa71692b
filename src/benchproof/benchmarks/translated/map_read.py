"""Benchmark `file.map_read`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import Probed
from benchproof.model import Definition
from benchproof.oracles import Evidence

TIER = 2
_PAGE_BYTES, _FILE_BYTES = 4096, 1 << 20
_FIRST_WORDS = sum((number + 1) * 0x9E3779B97F4A7C15 for number in range(0, _FILE_BYTES // 8, _PAGE_BYTES // 8))


class MapRead(Probed, frozen=True):
    """What does it cost to read a page of a file through a mapping?"""

    definition = Definition(
        name="file.map_read",
        tier=TIER,
        question=__doc__,
        mechanism="mmap of a file of 1 MiB on a tmpfs, a word of each page read, munmap; an operation is a page",
        without_posix="a mapping of a stored object",
        oracle="the first words of all pages add up to those of the file",
    )
    exact_batch = 256
    exact_batches = 20

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        files = oracles.number(evidence, "operations") * _PAGE_BYTES // _FILE_BYTES
        yield from oracles.equals(evidence, "first_word_sum", files * _FIRST_WORDS % 2**64)
