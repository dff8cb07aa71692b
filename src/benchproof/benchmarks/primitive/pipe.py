"""Benchmark `ipc.pipe`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed, throughput
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence

CHUNK_BYTES = 4096
PATTERN_SUM = sum((word + 1) * 0x9E3779B97F4A7C15 for word in range(1, CHUNK_BYTES // 8))  # word 0 is the number


class Pipe(Probed, frozen=True):
    """How fast do bytes move from one process to another?"""

    translation = Translation(
        operation="a byte stream between two tasks, labelled by its transport",
        differs="bytes through the system's own transport, which may copy, share or grant memory",
        counts=("chunks",),
        expect={"chunk_bytes": str(CHUNK_BYTES)},
        proof="word_sum: of all 64-bit words that arrived",
        workload=("chunk_bytes",),
    )
    definition = Definition(
        name="ipc.pipe",
        tier=TIER,
        question=__doc__,
        mechanism="pipe, numbered chunks of 4 KiB, writer and reader two processes",
        without_posix=translation.operation,
        oracle="the words that arrived add up to known pattern and chunk numbers; the writer ends well",
    )
    exact_batch = 20
    exact_batches = 40
    quantity = "throughput"
    unit = "bytes/s"
    better = "higher"

    def sample(self, elapsed_ns: float, iterations: int) -> float:
        """Bytes a second."""
        return throughput(CHUNK_BYTES, elapsed_ns, iterations)

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from self.check_told(evidence)
        yield from oracles.equals(evidence, "writer_exit_status", 0)

    def check_told(self, evidence: Evidence) -> Iterator[str]:
        """What holds of the bytes on every system."""
        chunks = oracles.number(evidence, "operations")
        expected = (chunks * PATTERN_SUM + chunks * (chunks - 1) // 2) % 2**64
        yield from oracles.equals(evidence, "word_sum", expected)
