"""Benchmark `http.requests`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import msgspec

from benchproof.analysis import stats
from benchproof.benchmarks.guest import loaded
from benchproof.benchmarks.guest.inside import TIER
from benchproof.benchmarks.guest.loaded import Loaded
from benchproof.model import Definition, Measurement, Observation
from benchproof.probe import loads

_MOST_REQUESTS, _MOST_CONNECTIONS, _MOST_RATE = 300_000, 1000, 1_000_000
_QUICK_REQUESTS = 100


class Requests(Loaded, frozen=True, kw_only=True):
    """How fast does a service answer what a guest asks over HTTP?

    `rate`: so many requests a second, answered or not: an open loop. 0: each connection asks once it was answered.
    """

    definition = Definition(
        name="http.requests",
        tier=TIER,
        question="How fast does a service answer what a guest asks over HTTP?",
        mechanism="GET over kept connections, one thread; from when a request is due to the last byte of its answer",
        without_posix=loaded.WITHOUT_POSIX,
        oracle="status and every byte of each body; as many as were asked; nginx counts the same; marks of a proxy",
        nondeterminism="the body of an origin of ours",
        corpus=loaded.CORPUS,
        authority=loaded.AUTHORITY,
        when_unsupported=loaded.UNSUPPORTED,
    )

    requests: int = 2000
    connections: int = 4
    rate: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, most in (("requests", _MOST_REQUESTS), ("connections", _MOST_CONNECTIONS)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name}: expected 1 to {most}, found {getattr(self, name)}")
        if not 0 <= self.rate <= _MOST_RATE:
            raise ValueError(f"rate: expected 0 to {_MOST_RATE} requests a second, found {self.rate}")

    def quick(self) -> Self:
        """The same question with fewer requests."""
        return msgspec.structs.replace(self, requests=min(self.requests, _QUICK_REQUESTS))

    @property
    def count(self) -> int:
        return self.requests

    def words(self) -> dict[str, int]:
        return {"--requests": self.requests, "--connections": self.connections, "--rate": self.rate}

    def measured(self, load: loads.Load) -> tuple[Measurement, ...]:
        """Raw latencies; each quantile of them that so many support; requests a second where those are an answer."""
        latencies = tuple(map(float, load.latencies_ns))
        quantiles = [
            self._measurement(f"latency_{name.replace('.', '_')}", (stats.quantile(latencies, name),), len(latencies))
            for name, least in stats.LEAST_OF.items()
            if len(latencies) >= least
        ]
        found = [self._measurement("latency", latencies, 1), *quantiles]
        if not self.rate and load.timed_ns > 0:
            found.append(self._throughput(len(latencies) / (load.timed_ns / 1e9), len(latencies)))
        return tuple(found)

    def _measurement(self, quantity: str, samples: tuple[float, ...], iterations: int) -> Measurement:
        return Measurement(
            metric=f"{self.definition.name}.{quantity}",
            unit="ns",
            better="lower",
            clock="target",
            iterations=iterations,
            samples=samples,
        )

    def _throughput(self, rate: float, requests: int) -> Measurement:
        return Measurement(
            metric=f"{self.definition.name}.throughput",
            unit="op/s",
            better="higher",
            clock="target",
            iterations=requests,
            samples=(rate,),
        )

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        yield from super().verify(observation)
        if self.rate:
            yield from self.reached(observation.evidence, self.rate)
