"""Something is done to one sandbox while the others work: what all benchmarks of that kind share.

Harm is done to what we started ourselves, and to nothing else. The first agent is the one to be harmed; the others work
without a pause from before the fault until after the recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.resilience import figures, invariants
from benchproof.benchmarks.resilience.agents import Agent, Begin, Crowd, at_once, gathered, supply, working
from benchproof.benchmarks.resilience.crowded import Crowded
from benchproof.benchmarks.resilience.events import Event, Journal, of, read
from benchproof.errors import TargetFailed
from benchproof.model import Measurement, Observation, Target
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

VICTIM = 1
FAULT, HEALED = "fault", "healed"  # events of the laboratory: it was planted, it was taken away
UNSUPPORTED = "a target whose sandboxes we did not start ourselves on this host, or the target's own words"


class Struck(NamedTuple):
    """Who is alive after it, and what there is to say of it."""

    survivors: list[Agent]  # of the victim and those that came in its place
    evidence: dict[str, str]


class Chaos(Crowded, frozen=True):
    """`agents`: the one that is harmed and the others; `rounds` of each before it; `deadline` of what others ask."""

    fault: ClassVar[str]  # in words, as evidence

    agents: int = 4
    rounds: int = 3
    deadline: Duration = Duration(10)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (2 <= self.agents <= 256 and 1 <= self.rounds <= 10_000):
            raise ValueError(f"expected 2 to 256 agents and 1 to 10000 rounds, found {self.agents} and {self.rounds}")
        if self.deadline <= 0:
            raise ValueError("deadline: expected a duration that is not zero")

    def quick(self) -> Self:
        """Two agents, a round each before the fault."""
        return msgspec.structs.replace(self, agents=2, rounds=1)

    def strike(self, crowd: Crowd, victim: Agent) -> Struck:
        """Plant the fault, and await the recovery."""
        raise NotImplementedError

    def victims(self, events: Sequence[Event], evidence: Evidence) -> Iterator[str]:
        """The violations of what the victim must and must not do."""
        raise NotImplementedError

    @property
    def bystanders(self) -> range:
        """The numbers of those that are not harmed."""
        return range(VICTIM + 1, self.agents + 1)

    @property
    def heir(self) -> int:
        """The number of who comes in the victim's place."""
        return self.agents + 1

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        return self.observed(supply(target), self.strike)

    def observed(
        self, start: Begin, strike: Callable[[Crowd, Agent], Struck], *, starts: Mapping[int, Begin] | None = None
    ) -> Observation:
        """The same, where some agents (by their numbers) get their sandboxes in another way."""
        journal = Journal()
        with gathered(start, journal, self.terms, starts=starts) as crowd:
            agents = _all_of(crowd.fill(self.agents), self.agents, journal)
            at_once(agents, self._before)
            with working(agents[1:]):
                struck = strike(crowd, agents[0])
            alive = [*struck.survivors, *agents[1:]]
            for agent in alive:
                agent.recall()
            for agent in alive:
                crowd.leave(agent)
        evidence = journal.evidence() | crowd.ledger.evidence() | {"fault": self.fault} | struck.evidence
        evidence |= {"bystanders": _told(self._disturbed(journal.events))}
        return Observation(measurements=self.measurements(journal.events), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence, events = observation.evidence, read(observation.evidence)
        yield from invariants.whole(events, wall_ns=oracles.number(evidence, "wall_ns"))
        yield from invariants.never_wrong(events)
        yield from oracles.equals(evidence, "fault", self.fault)
        yield from self._undisturbed(events)
        yield from self.victims(events, evidence)
        yield from oracles.nothing_left(evidence)
        started = [event for event in of(events, "start") if event.right]
        yield from oracles.equals(evidence, "instances_ended", len(started))
        yield from invariants.follows(observation.measurements, self.measurements(events))

    def measurements(self, events: Sequence[Event]) -> tuple[Measurement, ...]:
        """What follows from the events."""
        name, disturbed = self.definition.name, self._disturbed(events)
        found = []
        if recovered := recovery(events, self.bystanders):
            found.append(figures.figure(f"{name}.recovery", [recovered.ended_ns - _since_ns(events)], "ns"))
        if disturbed:
            found.append(figures.success(f"{name}.bystanders", disturbed, due=len(disturbed)))
        if fine := [event.elapsed_ns for event in disturbed if event.right]:
            found.append(figures.figure(f"{name}.bystander_latency", fine, "ns"))
        return tuple(found)

    def _before(self, agent: Agent) -> None:
        for _ in range(self.rounds):
            agent.round()

    def _disturbed(self, events: Sequence[Event]) -> list[Event]:
        """What the others did while the fault lasted, until the recovery."""
        recovered = recovery(events, self.bystanders)
        fault = of(events, FAULT)
        if not recovered or not fault:
            return []
        return [
            event
            for event in of(events, *invariants.WORK)
            if event.agent in self.bystanders
            and event.ended_ns > fault[0].started_ns
            and event.started_ns < recovered.ended_ns
        ]

    def _undisturbed(self, events: Sequence[Event]) -> Iterator[str]:
        """The others worked all the while, in time, without a failure, and lost nothing."""
        faults, recovered = of(events, FAULT), recovery(events, self.bystanders)
        if len(faults) != 1:
            yield f"expected one fault, found {len(faults)}"
            return
        if recovered is None:
            yield "no verified work after the fault: there was no recovery"
            return
        theirs = [event for event in events if event.agent in self.bystanders]
        yield from invariants.none_failed(theirs)
        yield from invariants.in_time(self._disturbed(events), deadline_ns=int(self.deadline * 1e9))
        busy = {event.agent for event in self._disturbed(events)}
        if idle := sorted(set(self.bystanders) - busy):
            yield f"agent {idle[0]} did nothing while the fault lasted: that it was not disturbed is not shown"
        for agent in self.bystanders:
            yield from invariants.nothing_lost(events, agent)


def recovery(events: Sequence[Event], bystanders: range) -> Event | None:
    """The first right work of the victim, or of who came in its place, that began when the fault was over."""
    since_ns = _since_ns(events, begun=False)
    for event in sorted(of(events, "hello", *invariants.WORK), key=lambda each: each.ended_ns):
        if event.agent not in bystanders and event.right and since_ns is not None and event.started_ns >= since_ns:
            return event
    return None


def _since_ns(events: Sequence[Event], *, begun: bool = True) -> int:
    """From when a recovery counts: when the fault was taken away; where nothing takes it away, when it was planted.

    `begun`: when that began, else when it was done.
    """
    found = of(events, HEALED) or of(events, FAULT)
    if not found:
        return 0
    return found[0].started_ns if begun else found[0].ended_ns


def replaced(crowd: Crowd, victim: Agent, held: leaks.Held, *, start: Begin | None = None) -> list[Agent]:
    """Bury the victim, start one in its place; `start`: from where, if that should hold the victim's files."""
    crowd.bury(victim, held)
    number = max(agent.number for agent in crowd.agents) + 1
    heir = crowd.join(number, start=start, of=victim if start else None)
    return [heir] if heir else []


def _all_of(agents: list[Agent], due: int, journal: Journal) -> list[Agent]:
    if len(agents) < due:
        failed = [event for event in of(journal.events, "start") if not event.right]
        raise TargetFailed(f"{due - len(agents)} of {due} sandboxes did not start, the first: {failed[0].seen}")
    return agents


def _told(events: Sequence[Event]) -> str:
    return figures.sure(figures.right(events), len(events))
