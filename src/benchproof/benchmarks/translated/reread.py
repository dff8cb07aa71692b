"""Benchmark `file.reread`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import Probed, throughput
from benchproof.model import Definition
from benchproof.oracles import Evidence

TIER = 2
_READ_BYTES, _FILE_BYTES = 65536, 1 << 20
_WORD_SUM = sum((number + 1) * 0x9E3779B97F4A7C15 for number in range(_FILE_BYTES // 8))


class Reread(Probed, frozen=True):
    """How fast is a file read again that is in memory already?"""

    definition = Definition(
        name="file.reread",
        tier=TIER,
        question=__doc__,
        mechanism="pread of 64 KiB at a time from a file of 1 MiB on a tmpfs, each word added up",
        without_posix="a read from a stored object that is in memory",
        oracle="the words that were read add up to those of the file",
    )
    exact_batch = 16
    exact_batches = 20

    quantity = "throughput"
    unit = "bytes/s"
    better = "higher"

    def sample(self, elapsed_ns: float, iterations: int) -> float:
        """Bytes a second."""
        return throughput(_READ_BYTES, elapsed_ns, iterations)

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        files = oracles.number(evidence, "operations") * _READ_BYTES // _FILE_BYTES
        yield from oracles.equals(evidence, "word_sum", files * _WORD_SUM % 2**64)
