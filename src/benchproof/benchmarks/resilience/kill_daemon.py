"""Benchmark `chaos.kill_daemon`."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import figures, invariants, own
from benchproof.benchmarks.resilience.agents import Agent, Crowd, at_once, gathered
from benchproof.benchmarks.resilience.chaos import FAULT, recovery
from benchproof.benchmarks.resilience.crowded import Crowded
from benchproof.benchmarks.resilience.events import Event, Journal, of, read
from benchproof.benchmarks.resilience.served import Reachable, reachable
from benchproof.errors import NotSupported
from benchproof.model import Definition, Measurement, Observation, Service, Target
from benchproof.quantities import Duration

_START_TIMEOUT_S = 120.0
_SHOWN = 5


class KillDaemon(Crowded, frozen=True):
    """The service itself is killed: who is left behind, and how long until one that is started again does work?"""

    definition = Definition(
        name="chaos.kill_daemon",
        tier=TIER,
        question=__doc__,
        mechanism="SIGKILL to a service of its own with sandboxes in it; then it is started again in the same folder",
        without_posix="the domain that made the others is revoked, and made again",
        oracle="requests fail in time, no process of a sandbox lives on, no file outlives the restart, and that works",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a target that is no service, or a service that runs already",
    )

    agents: int = 4
    rounds: int = 3
    deadline: Duration = Duration(10)  # of a request to a service that is dead

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (1 <= self.agents <= 256 and 1 <= self.rounds <= 10_000):
            raise ValueError(f"expected 1 to 256 agents and 1 to 10000 rounds, found {self.agents} and {self.rounds}")
        if self.deadline <= 0:
            raise ValueError("deadline: expected a duration that is not zero")

    def quick(self) -> Self:
        """Two agents, a round each."""
        return msgspec.structs.replace(self, agents=min(self.agents, 2), rounds=1)

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        served, journal = reachable(target), Journal()
        with tempfile.TemporaryDirectory(prefix="benchproof-daemon-") as folder:
            with served.serve_in(Path(folder)) as first:
                first.await_ready(timeout_s=_START_TIMEOUT_S)
                orphans, held = self._killed(served, first, journal)
            seen, ledger = self._again(served, Path(folder), journal, held)
        evidence = journal.evidence() | ledger.evidence() | seen | {"orphans": _words(orphans)}
        return Observation(measurements=self._measurements(journal.events), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence, events = observation.evidence, read(observation.evidence)
        yield from invariants.whole(events, wall_ns=oracles.number(evidence, "wall_ns"))
        yield from invariants.never_wrong(events)
        yield from self._died(events)
        yield from oracles.equals(evidence, "orphans", "nothing")
        yield from oracles.equals(evidence, "files_after_restart", "nothing")
        yield from self._came_back(events)
        yield from oracles.nothing_left(evidence)
        yield from invariants.follows(observation.measurements, self._measurements(events))

    def _killed(self, served: Reachable, first: Service, journal: Journal) -> tuple[list[str], list[leaks.Held]]:
        """Which processes of sandboxes lived on, and what the sandboxes had held."""
        with served.reached(first.url) as reached, gathered(reached.start, journal, self.terms) as crowd:
            agents = crowd.fill(self.agents)
            at_once(agents, self._rounds)
            held = [leaks.held(agent.instance.footprint()) for agent in agents]
            with own.held([_daemon(first)]) as processes:
                began_ns = journal.now_ns()
                processes.kill()
                journal.mark(FAULT, began_ns)
            for agent in agents:
                agent.echo("denied")
            alone = [leaks.Held(processes=each.processes, files=()) for each in held]
            return [name for each in alone for name in leaks.await_gone(each)[1]], held

    def _again(
        self, served: Reachable, folder: Path, journal: Journal, held: Sequence[leaks.Held]
    ) -> tuple[dict[str, str], leaks.Ledger]:
        """Start it again where it was: it works, and what the dead one left is cleared."""
        began_ns = journal.now_ns()
        with contextlib.ExitStack() as stack:
            second = stack.enter_context(served.serve_in(folder))
            second.await_ready(timeout_s=_START_TIMEOUT_S)
            journal.note(0, "restart", began_ns, asked="", seen="")
            reached = stack.enter_context(served.reached(second.url))
            crowd = stack.enter_context(gathered(reached.start, journal, self.terms))
            self._work(crowd, self.agents + 1)
            files = [leaks.Held(processes=(), files=each.files) for each in held]
            found = [name for each in files for name in leaks.await_gone(each)[1]]
        return {"files_after_restart": _words(found)}, crowd.ledger

    def _work(self, crowd: Crowd, number: int) -> None:
        heir = crowd.join(number)
        if heir is not None:
            self._rounds(heir)
            heir.recall()
            crowd.leave(heir)

    def _rounds(self, agent: Agent) -> None:
        for _ in range(self.rounds):
            agent.round()

    def _died(self, events: Sequence[Event]) -> Iterator[str]:
        """All agents worked before, and were told in time that nobody is there any more."""
        faults, denied = of(events, FAULT), of(events, "denied")
        if len(faults) != 1:
            yield f"expected one fault, found {len(faults)}"
            return
        yield from invariants.none_failed(event for event in events if event.ended_ns <= faults[0].started_ns)
        if {event.agent for event in denied} != set(range(1, self.agents + 1)):
            yield f"expected a request of each of {self.agents} agents to the dead service, found {len(denied)}"
        if any(event.status == "answered" for event in denied):
            yield "a request to a dead service was answered: it was not killed, or another answered in its name"
        yield from invariants.in_time(denied, deadline_ns=int(self.deadline * 1e9))

    def _came_back(self, events: Sequence[Event]) -> Iterator[str]:
        heir = self.agents + 1
        if recovery(events, range(1, heir)) is None:
            yield "no verified work after the restart: there was no recovery"
        yield from invariants.none_failed(event for event in events if event.agent == heir)
        yield from invariants.nothing_lost(events, heir)

    def _measurements(self, events: Sequence[Event]) -> tuple[Measurement, ...]:
        name, faults = self.definition.name, of(events, FAULT)
        found = []
        if faults and (recovered := recovery(events, range(1, self.agents + 1))):
            found.append(figures.figure(f"{name}.recovery", [recovered.ended_ns - faults[0].started_ns], "ns"))
        if restarts := of(events, "restart"):
            found.append(figures.figure(f"{name}.restart", [each.elapsed_ns for each in restarts], "ns"))
        if denied := of(events, "denied"):
            found.append(figures.figure(f"{name}.denied", [each.elapsed_ns for each in denied], "ns"))
        return tuple(found)


def _daemon(service: Service) -> int:
    """The process that serves. Raises NotSupported for a service that we did not start."""
    if service.pid is None:
        raise NotSupported("the service was there before us, and is not ours to end")
    pid = service.pid
    for _ in ("its supervisor", "who stays when it dies"):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if len(children) != 1:
            raise NotSupported(f"cannot tell which of {len(children)} processes is the service")
        pid = int(children[0])
    return pid


def _words(found: Sequence[str]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more or "nothing"
