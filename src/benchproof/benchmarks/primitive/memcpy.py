"""Benchmark `memory.memcpy`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import cache

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed, throughput
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence
from benchproof.quantities import Size

_PERIOD_BYTES = 1 << 16  # both summands of the pattern repeat after as many bytes


def pattern(size: int) -> bytes:
    """The source buffer as the probe fills it: byte i is (7 i + (i >> 8)) mod 256."""
    return (_period() * (size // _PERIOD_BYTES + 1))[:size]


@cache
def _period() -> bytes:
    return bytes((i * 7 + (i >> 8)) & 0xFF for i in range(_PERIOD_BYTES))


class Memcpy(Probed, frozen=True):
    """How fast is memory copied?"""

    translation = Translation(
        operation="the same copy, by a loop of the system's own",
        differs="the system's own copy loop, not the C library's",
        counts=("copies",),
        workload=("size_bytes",),
    )
    definition = Definition(
        name="memory.memcpy",
        tier=TIER,
        question=__doc__,
        mechanism="memcpy of the C library that is in the probe",
        without_posix=translation.operation,
        oracle="each copy carries its own number at both ends, and the last one has the checksum of the known pattern",
    )
    exact_batch = 1
    exact_batches = 20
    quantity = "throughput"
    unit = "bytes/s"
    better = "higher"

    size: Size = Size(1 << 20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 64 <= self.size <= 1 << 32:
            raise ValueError(f"size: expected 64 B to 4 GiB, found {self.size:.0f} B")

    def command(self, settings: dict[str, int]) -> list[str]:
        """The words behind the probe's path."""
        return super().command(settings | {"--size": int(self.size)})

    def sample(self, elapsed_ns: float, iterations: int) -> float:
        """Bytes a second."""
        return throughput(int(self.size), elapsed_ns, iterations)

    @property
    def literals(self) -> Mapping[str, str]:
        """What a system that measures itself must have copied."""
        body = zlib.crc32(pattern(int(self.size))[8:-8])
        return {"size_bytes": str(int(self.size)), "body_crc32": str(body)}

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "copies", evidence.get("operations"))
        yield from oracles.equals(evidence, "body_crc32", zlib.crc32(pattern(int(self.size))[8:-8]))
