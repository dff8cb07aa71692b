"""Benchmark `rootfs.random_read`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.guest import inside
from benchproof.benchmarks.guest.disk import PAGE_BYTES
from benchproof.benchmarks.guest.rootfs import NONDETERMINISM, UNSUPPORTED, Rootfs
from benchproof.model import Definition, Measurement, Observation
from benchproof.oracles import Evidence

_MOST_OPERATIONS = 65_536


class RandomRead(Rootfs, frozen=True):
    """How fast are single pages of the root file system read, in random order?"""

    definition = Definition(
        name="rootfs.random_read",
        tier=inside.TIER,
        question=__doc__,
        mechanism="pread of 4 KiB at random places in the largest files, none of them twice",
        without_posix="the same of the system's own read-only store",
        oracle="each page has the checksum that it has in a pass from end to end; no place comes twice",
        nondeterminism=NONDETERMINISM,
        when_unsupported=UNSUPPORTED,
    )
    quantity = "rate"
    unit = "op/s"

    operations: int = 5000  # at most as many as the files have pages

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.operations <= _MOST_OPERATIONS:
            raise ValueError(f"operations: expected 1 to {_MOST_OPERATIONS}, found {self.operations}")

    def quick(self) -> Self:
        """Fewer reads of fewer bytes."""
        return msgspec.structs.replace(super().quick(), operations=min(self.operations, 1000))

    @property
    def operations_asked(self) -> int:
        return self.operations

    def figures(
        self, stem: str, elapsed_ns: int, latencies: tuple[float, ...], evidence: Evidence
    ) -> Iterator[Measurement]:
        del evidence
        if not latencies:
            return
        rate = len(latencies) / (elapsed_ns / 1e9)
        yield inside.figure(f"{stem}rate", "op/s", (rate,), iterations=len(latencies))
        yield inside.figure(f"{stem}throughput", "bytes/s", (rate * PAGE_BYTES,), iterations=len(latencies))
        yield from inside.latency(stem, latencies)

    def check(self, observation: Observation) -> Iterator[str]:
        evidence = observation.evidence
        reads = evidence.get("latencies", "0")
        yield from oracles.equals(evidence, "reads", reads)
        yield from oracles.equals(evidence, "distinct_offsets", reads)
        yield from oracles.equals(evidence, "pages_verified", reads)
        yield from oracles.equals(evidence, "pages_wrong", 0)
        yield from oracles.equals(evidence, "bytes_read", int(reads) * PAGE_BYTES)
        yield from inside.calls_add_up(observation)
        pages = oracles.number(evidence, "bytes") // PAGE_BYTES
        if int(reads) < min(self.operations, pages - oracles.number(evidence, "files")):
            yield f"reads: expected {self.operations} of {pages} pages, found {reads}"
