"""Benchmark `agent.startup`."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import time
from collections.abc import Iterator
from typing import NamedTuple, Self

import msgspec

from benchproof.benchmarks.agent import work
from benchproof.benchmarks.agent.asked import AUTHORITY, NONDETERMINISM, TIER, Asked
from benchproof.benchmarks.agent.work import Agent, Place
from benchproof.benchmarks.lifecycle.measured import served
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Definition, Measurement, Observation, Served, Service, Target
from benchproof.oracles import Evidence
from benchproof.quantities import Duration
from benchproof.service import mcp_client
from benchproof.service.http import Client

_NAME = "agent.startup"
_LOOK_S = 0.002
_MOST_BYTES = 1 << 20  # of an answer
PARTS = ("process", "pool", "mcp", "first_call")


class _Start(NamedTuple):
    """Moments of one start, on the host's monotonic clock in ns."""

    asked: int
    ready: int  # the service says that it serves
    pooled: int  # it said that its pool is full, or that it has none
    opened: int  # the MCP session is open
    answered: int  # the first result of a tool was there

    @property
    def parts(self) -> tuple[int, ...]:
        """As `PARTS`, in ns."""
        return tuple(after - before for before, after in itertools.pairwise(self))


class Startup(Asked, frozen=True):
    """How long does a service need from the start of its process to the first verified result of a tool?

    `pool`: wait until its pool is full, as far as it has one, before the first session is opened.
    """

    definition = Definition(
        name=_NAME,
        tier=TIER,
        question="How long does a service need from the start of its process to the first verified result of a tool?",
        mechanism="start of the process, it says that it serves, pool full, MCP session open, first exec; each a part",
        without_posix="start of a server to its first verified reply",
        oracle="the first exec echoes a fresh random word; its parts follow from moments that are in order",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a service that runs already, or as of the others, as outcome `unsupported`",
    )

    samples: int = 3
    warmups: int = 1
    timeout: Duration = Duration(120)
    pool: bool = True

    def quick(self) -> Self:
        """The same question with fewer starts."""
        return msgspec.structs.replace(self, samples=min(self.samples, 1), warmups=0)

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        _preload()
        there, place = served(target), Place(work.copying(target, self.command))
        agents: list[Agent] = []
        starts, walls = [], []
        for _ in range(self.rounds):
            before_ns = time.monotonic_ns()
            starts.append(self._start(there, place, agents))
            walls.append(starts[-1].answered - before_ns)
        evidence = work.evidence(*agents) | {
            "moments": " ".join(",".join(map(str, start)) for start in starts),
            "walls_ns": " ".join(map(str, walls)),
        }
        return Observation(measurements=tuple(self._measurements(starts)), evidence=evidence)

    def _start(self, there: Served, place: Place, agents: list[Agent]) -> _Start:
        asked_ns = time.monotonic_ns()
        with there.serve() as service:
            ready_ns = service.await_ready(timeout_s=float(self.timeout))
            pooled_ns = self._pooled(service) if self.pool else ready_ns
            with mcp_client.session(service, timeout_s=float(self.timeout)) as session:
                opened_ns = time.monotonic_ns()
                agents.append(Agent(session, place))
                agents[-1].use("exec")
                answered_ns = time.monotonic_ns()
        return _Start(asked_ns, ready_ns, pooled_ns, opened_ns, answered_ns)

    def _pooled(self, service: Service) -> int:
        """When it said that its pool is full, or that it has none. Looked at every 2 ms. Raises TargetFailed."""
        deadline_s = time.monotonic() + float(self.timeout)
        with contextlib.closing(Client(service.url, headers=service.headers)) as client:
            while True:
                answer = client.ask("pool", "GET", "/pool", timeout_s=float(self.timeout), limit_bytes=_MOST_BYTES)
                size, ready = _stock(answer.body) if answer.status == 200 else (0, 0)
                if ready >= size:
                    return time.monotonic_ns()
                if time.monotonic() > deadline_s:
                    raise TargetFailed(f"pool: {ready} of {size} were ready within {float(self.timeout):g} s")
                time.sleep(_LOOK_S)

    def _measurements(self, starts: list[_Start]) -> Iterator[Measurement]:
        yield self.measurement([start.answered - start.asked for start in starts])
        for number, part in enumerate(PARTS):
            values = [start.parts[number] for start in starts]
            if any(values):  # nobody asked for the pool
                yield msgspec.structs.replace(self.measurement(values), metric=f"{_NAME}.{part}")

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from work.verified(evidence, at_least=self.rounds)
        yield from _ordered(evidence)
        starts = _starts(evidence)
        if len(starts) != self.rounds or tuple(self._measurements(starts)) != observation.measurements:
            yield "the figures of the starts do not follow from their moments"


def _starts(evidence: Evidence) -> list[_Start]:
    """As they were noted; none where one is not whole."""
    found = [each.split(",") for each in evidence.get("moments", "").split()]
    whole = all(len(each) == len(_Start._fields) for each in found)
    return [_Start(*map(int, each)) for each in found] if whole else []


def _ordered(evidence: Evidence) -> Iterator[str]:
    """Each moment comes after the one before, and all lie within a time that was taken apart."""
    starts = [tuple(map(int, each.split(","))) for each in evidence.get("moments", "").split()]
    walls = [int(each) for each in evidence.get("walls_ns", "").split()]
    if not starts or len(starts) != len(walls):
        yield f"expected as many starts as whole times, found {len(starts)} and {len(walls)}"
    for start, wall in zip(starts, walls, strict=False):
        if list(start) != sorted(start) or start[0] >= start[1]:
            yield f"the moments of a start are not in their order: {start}"
        if start[-1] - start[0] > wall:
            yield f"the parts of a start are {start[-1] - start[0]} ns, the whole only {wall} ns"


def _stock(body: bytes) -> tuple[int, int]:
    """How large the pool is to be, and how many are ready. Raises TargetFailed."""
    try:
        document = json.loads(body)
        return int(document["size"]), int(document["ready"])
    except (ValueError, KeyError, TypeError) as error:
        raise TargetFailed(f"pool: expected size and ready as JSON, found {body[:80]!r}") from error


def _preload() -> None:
    """What the client imports is no part of a service's start. Raises NotSupported."""
    try:
        for name in ("mcp", "mcp.client.streamable_http", "anyio.from_thread"):
            importlib.import_module(name)
    except ImportError as error:
        raise NotSupported(
            "tools cannot be called without the package 'mcp'", missing="pip install 'benchproof[sandbox]'"
        ) from error
