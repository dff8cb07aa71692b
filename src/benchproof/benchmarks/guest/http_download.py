"""Benchmark `http.download`."""

from __future__ import annotations

from typing import Self

import msgspec

from benchproof.benchmarks.guest import loaded
from benchproof.benchmarks.guest.inside import TIER
from benchproof.benchmarks.guest.loaded import Loaded
from benchproof.model import Definition, Measurement
from benchproof.probe import loads
from benchproof.quantities import Duration, Size

_QUICK_BYTES = 1e6
_MOST_SAMPLES = 1000


class Download(Loaded, frozen=True, kw_only=True):
    """How fast does a large body come into a guest over HTTP?"""

    definition = Definition(
        name="http.download",
        tier=TIER,
        question=__doc__,
        mechanism="GET over one kept connection into memory that was touched before; from the request to the last byte",
        without_posix=loaded.WITHOUT_POSIX,
        oracle="every byte of each body, or its SHA-256, with the clock stopped; nginx counts the same; proxy marks",
        nondeterminism="the body of an origin of ours",
        corpus=loaded.CORPUS,
        authority=loaded.AUTHORITY,
        when_unsupported=loaded.UNSUPPORTED,
    )

    size: Size = Size(100e6)
    samples: int = 3
    timeout: Duration = Duration(120)
    budget: Duration = Duration(600)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.samples <= _MOST_SAMPLES:
            raise ValueError(f"samples: expected 1 to {_MOST_SAMPLES}, found {self.samples}")
        if self.size < 1:
            raise ValueError("size: expected a body that is not empty")

    def quick(self) -> Self:
        """The same question with a smaller body, where it is ours."""
        size = self.size if self.url else Size(min(self.size, _QUICK_BYTES))
        return msgspec.structs.replace(self, size=size, samples=min(self.samples, 2))

    @property
    def count(self) -> int:
        return self.samples

    def words(self) -> dict[str, int]:
        return {"--requests": self.samples, "--connections": 1, "--store": 1}

    def measured(self, load: loads.Load) -> tuple[Measurement, ...]:
        """Bytes a second of each download."""
        return (
            Measurement(
                metric=f"{self.definition.name}.throughput",
                unit="bytes/s",
                better="higher",
                clock="target",
                iterations=1,
                samples=tuple(int(self.size) / (latency / 1e9) for latency in load.latencies_ns),
            ),
        )
