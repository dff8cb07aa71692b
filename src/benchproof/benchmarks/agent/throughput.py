"""Benchmark `agent.throughput`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import ClassVar, NamedTuple, Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.agent import work
from benchproof.benchmarks.agent.asked import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED, Asked
from benchproof.benchmarks.agent.work import Agent
from benchproof.benchmarks.lifecycle.measured import timing
from benchproof.model import Better, Definition, Measurement, Observation, Target, Unit
from benchproof.service import mcp_client
from benchproof.service.mcp_client import Transport

_NAME = "agent.throughput"


class _Done(NamedTuple):
    """What one session did: the time of each call, when the first one began and the last one ended."""

    elapsed_ns: list[int]
    began_ns: int
    ended_ns: int


class Throughput(Asked, frozen=True):
    """How many verified operations does a service do for several agents at once?

    Each of `sessions` agents calls `samples` times, one call after another, all in the default sandbox.
    """

    definition = Definition(
        name=_NAME,
        tier=TIER,
        question="How many verified operations does a service do for several agents at once?",
        mechanism="calls of one tool in as many MCP sessions, each in a thread; all calls by the time of all",
        without_posix="requests to a tool server from several clients",
        oracle="each call shows its own fresh random content; no session takes longer than the whole",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    quantity: ClassVar[str] = "rate"
    unit: ClassVar[Unit] = "op/s"
    better: ClassVar[Better] = "higher"

    tool: work.Tool = "exec"
    sessions: int = 2
    transport: Transport = "http"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.sessions <= 256:
            raise ValueError(f"sessions: expected 1 to 256, found {self.sessions}")

    def quick(self) -> Self:
        """The same question with fewer calls."""
        return msgspec.structs.replace(self, samples=min(self.samples, 20), warmups=min(self.warmups, 2))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        service = work.service_of(target)
        with ExitStack() as kept:
            place = kept.enter_context(work.fresh_place(target, self.command))
            agents = []
            for _ in range(self.sessions):
                opened = mcp_client.session(service, transport=self.transport, timeout_s=float(self.timeout))
                agents.append(Agent(kept.enter_context(opened), place))
            for agent in agents:
                for _ in range(self.warmups):
                    agent.use(self.tool)
            together = threading.Barrier(self.sessions)
            with ThreadPoolExecutor(self.sessions) as threads:
                futures = [threads.submit(self._calls, agent, together) for agent in agents]
                done = [future.result() for future in futures]
        # by the clocks of the sessions: a thread that only looks on may be woken when they have long begun
        wall_ns = max(each.ended_ns for each in done) - min(each.began_ns for each in done)
        evidence = work.evidence(*agents) | _summed(done, wall_ns)
        return Observation(measurements=tuple(self._measurements(done, wall_ns)), evidence=evidence)

    def _calls(self, agent: Agent, together: threading.Barrier) -> _Done:
        together.wait()
        began_ns = time.monotonic_ns()
        elapsed_ns = [agent.use(self.tool).elapsed_ns for _ in range(self.samples)]
        return _Done(elapsed_ns, began_ns, time.monotonic_ns())

    def _measurements(self, done: list[_Done], wall_ns: int) -> Iterator[Measurement]:
        every = [elapsed for each in done for elapsed in each.elapsed_ns]
        yield Measurement(
            metric=f"{_NAME}.rate",
            unit="op/s",
            better="higher",
            clock="host",
            iterations=len(every),
            samples=(len(every) * 1e9 / wall_ns,),
        )
        yield Measurement(
            metric=f"{_NAME}.latency", unit="ns", better="lower", clock="host", iterations=1, samples=tuple(every)
        )

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from work.verified(evidence, at_least=self.sessions * self.rounds)
        yield from oracles.samples_took_time(evidence)
        yield from oracles.equals(evidence, "sessions", self.sessions)


def _summed(done: list[_Done], wall_ns: int) -> dict[str, str]:
    """Of the busiest session, since those of several pass at the same time."""
    busiest = max(done, key=lambda each: sum(each.elapsed_ns))
    return timing(busiest.elapsed_ns, wall_ns=wall_ns) | {"sessions": str(len(done))}
