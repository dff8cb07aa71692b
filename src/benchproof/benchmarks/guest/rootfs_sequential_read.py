"""Benchmark `rootfs.sequential_read`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.guest import inside
from benchproof.benchmarks.guest.rootfs import NONDETERMINISM, UNSUPPORTED, Rootfs
from benchproof.model import Definition, Measurement, Observation
from benchproof.oracles import Evidence


class SequentialRead(Rootfs, frozen=True):
    """How fast are the files of the root file system read, one after another?"""

    definition = Definition(
        name="rootfs.sequential_read",
        tier=inside.TIER,
        question=__doc__,
        mechanism="pread in blocks of 1 MiB of the largest files",
        without_posix="the same of the system's own read-only store",
        oracle="every byte that was asked for came, and a second pass has the same checksum of all of them",
        nondeterminism=NONDETERMINISM,
        when_unsupported=UNSUPPORTED,
    )

    def figures(
        self, stem: str, elapsed_ns: int, latencies: tuple[float, ...], evidence: Evidence
    ) -> Iterator[Measurement]:
        del latencies
        moved = oracles.number(evidence, "bytes_read")
        if moved > 0:
            yield inside.figure(f"{stem}throughput", "bytes/s", (moved / (elapsed_ns / 1e9),))

    def check(self, observation: Observation) -> Iterator[str]:
        evidence = observation.evidence
        yield from oracles.equals(evidence, "bytes_read", evidence.get("bytes"))
        yield from oracles.equals(evidence, "hash_second", evidence.get("hash_first"))
        if oracles.number(evidence, "bytes") < 1:
            yield "bytes: expected some, found none"
