"""Benchmark `agent.tool_call`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Literal, NamedTuple, Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.agent import calls, work
from benchproof.benchmarks.agent.asked import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED, Asked
from benchproof.benchmarks.agent.work import Agent, Place, Took
from benchproof.benchmarks.lifecycle.measured import timing
from benchproof.model import Definition, Observation, Service, Target
from benchproof.quantities import Size
from benchproof.service import mcp_client
from benchproof.service.mcp_client import Transport


class _Sample(NamedTuple):
    elapsed_ns: int
    took: Took
    coding_ns: int


class ToolCall(Asked, frozen=True):
    """How long does an agent wait for the result of a tool, and for what?

    `session`: one for all calls, or a new one for each, whose opening is part of the sample. `size`: of the content.
    """

    definition = Definition(
        name="agent.tool_call",
        tier=TIER,
        question="How long does an agent wait for the result of a tool, and for what?",
        mechanism="call_tool of the MCP SDK to its result, one after another; a new session's opening too",
        without_posix="a request to a tool server and its reply",
        oracle="fresh random content is echoed, read back or listed; the parts are within the whole",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    tool: work.Tool = "exec"
    session: Literal["reused", "new"] = "reused"
    transport: Transport = "http"
    size: Size = Size(32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 16 <= self.size <= 1 << 20 or self.size % 2:
            raise ValueError(f"size: expected an even number of 16 bytes to 1 MiB, found {self.size:.0f}")

    def quick(self) -> Self:
        """The same question with fewer samples."""
        return msgspec.structs.replace(self, samples=min(self.samples, 20), warmups=min(self.warmups, 2))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        service = work.service_of(target)
        agents: list[Agent] = []
        with ExitStack() as kept:
            place = kept.enter_context(work.fresh_place(target, self.command))
            if self.session == "reused":
                agents.append(self._agent(service, place, kept))
            began_ns = time.monotonic_ns()
            samples = [self._sample(service, place, agents) for _ in range(self.rounds)]
            wall_ns = time.monotonic_ns() - began_ns
        elapsed_ns, server_ns = [each.elapsed_ns for each in samples], [each.took.server_ns for each in samples]
        found = calls.measurements(
            self.definition.name,
            elapsed_ns=elapsed_ns,
            server_ns=server_ns,
            coding_ns=[each.coding_ns for each in samples],
            warmups=self.warmups,
        )
        evidence = work.evidence(*agents) | calls.evidence(elapsed_ns, server_ns) | timing(elapsed_ns, wall_ns=wall_ns)
        return Observation(measurements=tuple(found), evidence=evidence)

    def _agent(self, service: Service, place: Place, kept: ExitStack) -> Agent:
        opened = mcp_client.session(service, transport=self.transport, timeout_s=float(self.timeout))
        return Agent(kept.enter_context(opened), place, size_bytes=int(self.size))

    def _sample(self, service: Service, place: Place, agents: list[Agent]) -> _Sample:
        with ExitStack() as own:
            if self.session == "new":
                agents.append(self._agent(service, place, own))
            agent = agents[-1]
            opening_ns = agent.tools.opened_ns if self.session == "new" else 0
            took = agent.use(self.tool)
        return _Sample(opening_ns + took.elapsed_ns, took, calls.recoded_ns(self.tool, took))

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from work.verified(evidence, at_least=self.rounds)
        yield from oracles.samples_took_time(evidence)
        yield from calls.within(evidence, self.tool)
