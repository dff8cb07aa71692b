"""Benchmark `scale.agents`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import figures, invariants
from benchproof.benchmarks.resilience.agents import Agent, Crowd, at_once, gathered, supply
from benchproof.benchmarks.resilience.crowded import Crowded
from benchproof.benchmarks.resilience.events import Event, Journal, of, read
from benchproof.errors import TargetFailed
from benchproof.model import Definition, Footprint, Measurement, Observation, Target
from benchproof.oracles import Evidence
from benchproof.quantities import Share

_EACH_ROUND = 3  # operations


class _Memory(NamedTuple):
    """Of all sandboxes together; `untold`: why it is not known, where it is not."""

    size_bytes: int
    untold: str


class Agents(Crowded, frozen=True):
    """How well do so many agents work at once, each in a sandbox of its own?"""

    definition = Definition(
        name="scale.agents",
        tier=TIER,
        question=__doc__,
        mechanism="agents started together; when all are there, each does its rounds (echo, file written, file read)",
        without_posix="as many protection domains at once, each doing the same requests",
        oracle="every answer is right, all sandboxes are alive while any works, figures follow from the list of events",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a target that does not tell what its instances hold, or the target's own words",
    )

    agents: int = 10
    rounds: int = 10  # of each agent, three operations each
    least_success: Share = Share(1)  # with less, the target is failed: by default, no operation may fail

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (1 <= self.agents <= 1024 and 1 <= self.rounds <= 10_000):
            raise ValueError(f"expected 1 to 1024 agents and 1 to 10000 rounds, found {self.agents} and {self.rounds}")
        if self.least_success > 1:
            raise ValueError(f"least_success: expected at most 1, found {self.least_success:g}")

    def quick(self) -> Self:
        """As many agents, with fewer rounds."""
        return msgspec.structs.replace(self, rounds=min(self.rounds, 3))

    @property
    def due(self) -> int:
        """How many operations there are to do right: a start and an echo of each agent, then its rounds."""
        return self.agents * (2 + _EACH_ROUND * self.rounds)

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        start, journal = supply(target), Journal()
        with gathered(start, journal, self.terms) as crowd:
            agents = crowd.fill(self.agents)
            began = {agent.number: leaks.held(agent.instance.footprint()) for agent in agents}
            at_once(agents, self._rounds)
            memory = self._end(crowd, agents, began)
        events = journal.events
        done = figures.right(self._counted(events))
        seen = {
            "memory_bytes": str(memory.size_bytes),
            "memory_untold": memory.untold,
            "agents_alive": str(len(agents)),
            "operations_right": str(done),
            "operations_due": str(self.due),
            "success": figures.sure(done, self.due),
        }
        evidence = journal.evidence() | crowd.ledger.evidence() | seen
        return Observation(measurements=self._measurements(events, memory.size_bytes), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence, events = observation.evidence, read(observation.evidence)
        alive = oracles.number(evidence, "agents_alive")
        yield from invariants.whole(events, wall_ns=oracles.number(evidence, "wall_ns"))
        yield from invariants.never_wrong(events)
        yield from self._together(events, alive)
        yield from self._succeeded(events, evidence)
        broken = {event.agent for event in self._counted(events) if not event.right}
        yield from invariants.none_failed(event for event in of(events, "end") if event.agent not in broken)
        yield from oracles.equals(evidence, "instances_ended", alive)
        if alive:
            yield from oracles.nothing_left(evidence)
        memory_bytes = oracles.number(evidence, "memory_bytes")
        if alive and memory_bytes < 1 and not evidence.get("memory_untold"):
            yield f"{alive} sandboxes hold {evidence.get('memory_bytes', 'an unknown number of')} bytes"
        yield from invariants.follows(observation.measurements, self._measurements(events, memory_bytes))

    def _rounds(self, agent: Agent) -> None:
        for _ in range(self.rounds):
            agent.round()

    def _end(self, crowd: Crowd, agents: list[Agent], began: Mapping[int, leaks.Held]) -> _Memory:
        """What all sandboxes held together, when all were alive; then they are ended."""
        prints = [_print(agent) for agent in agents]
        for agent, each in zip(agents, prints, strict=True):
            crowd.bury(agent, _both(began[agent.number], leaks.held(each)))
        untold = next((each.untold for each in prints if each.untold), "")
        return _Memory(0 if untold else sum(each.memory_bytes for each in prints), untold)

    def _counted(self, events: Sequence[Event]) -> list[Event]:
        return of(events, "start", "hello", "echo", "write", "read")

    def _together(self, events: Sequence[Event], alive: int) -> Iterator[str]:
        """As many as were asked for were tried, each worked, and the first sandbox was ended after the last work."""
        if len(of(events, "start")) != self.agents:
            yield f"expected {self.agents} starts, found {len(of(events, 'start'))}"
        started = {event.agent for event in of(events, "start") if event.right}
        if len(started) != alive:
            yield f"agents_alive: expected {len(started)}, found {alive}"
        work, ends = of(events, "echo", "write", "read"), of(events, "end")
        if started - {event.agent for event in work}:
            yield "an agent that was started did no work"
        first_ns = min((event.started_ns for event in work), default=0)
        last_ns = max((event.ended_ns for event in work), default=0)
        if any(event.ended_ns > first_ns for event in of(events, "start") if event.right):
            yield "an agent worked before all sandboxes were there"
        if any(event.started_ns < last_ns for event in ends):
            yield "a sandbox was ended before all work was done: they were not alive together"

    def _succeeded(self, events: Sequence[Event], evidence: Evidence) -> Iterator[str]:
        counted = self._counted(events)
        done = figures.right(counted)
        yield from oracles.equals(evidence, "operations_right", done)
        yield from oracles.equals(evidence, "operations_due", self.due)
        if len(counted) > self.due or done < float(self.least_success) * self.due:
            found = figures.sure(done, self.due)
            yield f"expected a success rate of {float(self.least_success):g} or more, found {found}"
            yield from invariants.none_failed(counted)

    def _measurements(self, events: Sequence[Event], memory_bytes: int) -> tuple[Measurement, ...]:
        name = self.definition.name
        work = of(events, "echo", "write", "read")
        fine = [event for event in work if event.right]
        found = [figures.success(f"{name}.success", self._counted(events), due=self.due)]
        if fine:
            found.append(figures.figure(f"{name}.latency", [each.elapsed_ns for each in fine], "ns"))
            found.append(figures.throughput(f"{name}.throughput", work))
        if ready_ns := _ready_ns(events, self.agents):
            found.append(figures.figure(f"{name}.ready", [ready_ns], "ns"))
        if memory_bytes > 0:
            found.append(figures.figure(f"{name}.memory", [memory_bytes], "bytes"))
        return tuple(found)


def _print(agent: Agent) -> Footprint:
    """A sandbox that did not live to the end has none."""
    try:
        return agent.instance.footprint()
    except TargetFailed as error:
        return Footprint(processes=(), files=(), memory_bytes=0, disk_bytes=0, untold=str(error))


def _both(began: leaks.Held, ended: leaks.Held) -> leaks.Held:
    """What one held at the begin, where it may not live to the end, and at the end, where it may have more."""
    return leaks.Held(
        processes=tuple({*began.processes, *ended.processes}),
        files=tuple({*began.files, *ended.files}),
        remains=began.remains,
    )


def _ready_ns(events: Sequence[Event], agents: int) -> int:
    """From the first request to the last first answer; 0 where not all are there."""
    hellos = [event for event in of(events, "hello") if event.right]
    if len(hellos) < agents:
        return 0
    return max(event.ended_ns for event in hellos) - min(event.started_ns for event in of(events, "start"))
