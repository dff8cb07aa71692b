"""Benchmark `soak.agents`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import Self

import msgspec

from benchproof import oracles
from benchproof.analysis import growth, stats
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import figures, invariants
from benchproof.benchmarks.resilience.agents import Agent, Crowd, gathered, supply
from benchproof.benchmarks.resilience.crowded import Crowded
from benchproof.benchmarks.resilience.events import Event, Journal, of, read
from benchproof.footprint import descendants, proportional_set_bytes
from benchproof.model import Definition, Frozen, Measurement, Observation, Target
from benchproof.oracles import Evidence
from benchproof.quantities import Duration, Share, Size

_LOOKS = 120  # in all
_WINDOWS = 10
_LEAST_GROWTH_NS = 20e9
_GRACE_S, _SETTLE_S = 5.0, 0.05
_NS_PER_HOUR = 3600e9
_WORK = ("echo", "write", "read")
_COUNTED = ("start", "hello", *_WORK)


class Look(Frozen, frozen=True, array_like=True):
    """What all our descendants held at one time, in ns since the invocation began."""

    at_ns: int
    processes: int
    memory_bytes: int


class Soak(Crowded, frozen=True):
    """Agents come and go for a while: does anything fail, slow down or grow?"""

    definition = Definition(
        name="soak.agents",
        tier=TIER,
        question=__doc__,
        mechanism="agents work without a pause; each ends its sandbox after `lifetime` rounds and starts in a new one",
        without_posix="protection domains made, used and revoked for a while",
        oracle="every answer is right, nothing of any sandbox is left, memory is not shown to grow beyond `growth`",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a target that does not tell what its instances hold, or the target's own words",
    )

    duration: Duration = Duration(60)
    agents: int = 4
    lifetime: int = 5  # rounds in one sandbox
    growth: Size = Size(256 << 20)  # of memory in an hour; what is surely more is a leak
    least_success: Share = Share(1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.duration <= 7 * 86_400 and 1 <= self.agents <= 256 and 1 <= self.lifetime <= 10_000):
            raise ValueError(
                "expected a duration up to 7 days, 1 to 256 agents and a lifetime of 1 to 10000 rounds,"
                f" found {self.duration:g} s, {self.agents} and {self.lifetime}"
            )
        if self.least_success > 1:
            raise ValueError(f"least_success: expected at most 1, found {self.least_success:g}")

    def quick(self) -> Self:
        """At most 3 s."""
        return msgspec.structs.replace(self, duration=min(self.duration, Duration(3)))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        start, journal = supply(target), Journal()
        with gathered(start, journal, self.terms) as crowd:
            warm = crowd.join(self.agents + 1)  # what is made once and kept is made now
            if warm:
                crowd.leave(warm)
            before = self._look(journal)
            looks = self._soak(crowd, journal)
            after = self._settled(journal, before.processes)
        events = journal.events
        seen = {
            "looks": msgspec.json.encode((before, *looks, after)).decode(),
            "success": figures.sure(figures.right(of(events, *_COUNTED)), len(of(events, *_COUNTED))),
        }
        evidence = journal.evidence() | crowd.ledger.evidence() | seen
        return Observation(measurements=self._measurements(events, _looks(seen)), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence, events = observation.evidence, read(observation.evidence)
        yield from invariants.whole(events, wall_ns=oracles.number(evidence, "wall_ns"))
        yield from invariants.never_wrong(events)
        yield from self._worked(events)
        yield from oracles.nothing_left(evidence)
        yield from oracles.equals(evidence, "instances_ended", sum(each.right for each in of(events, "start")))
        yield from self._flat(_looks(evidence))
        yield from invariants.follows(observation.measurements, self._measurements(events, _looks(evidence)))

    def _soak(self, crowd: Crowd, journal: Journal) -> list[Look]:
        """Looks at what all of us hold, while the agents come and go."""
        deadline_s = time.monotonic() + float(self.duration)
        enough = threading.Event()
        looks: list[Look] = []
        with ThreadPoolExecutor(self.agents) as threads:
            futures = [threads.submit(self._live, crowd, n, enough) for n in range(1, self.agents + 1)]
            try:
                while not enough.wait(max(0.0, min(float(self.duration) / _LOOKS, deadline_s - time.monotonic()))):
                    looks.append(self._look(journal))
                    if time.monotonic() >= deadline_s or any(future.done() for future in futures):
                        break
            finally:
                enough.set()
            for future in futures:
                future.result()
        return looks

    def _live(self, crowd: Crowd, number: int, enough: threading.Event) -> None:
        """One life after another under one number; who cannot start tries again, as an agent would."""
        while not enough.is_set():
            agent = crowd.join(number)
            if agent is None:
                enough.wait(0.1)
                continue
            self._work(agent, enough)
            agent.recall()
            crowd.leave(agent)

    def _work(self, agent: Agent, enough: threading.Event) -> None:
        for _ in range(self.lifetime):
            if enough.is_set():
                break
            agent.round()

    def _look(self, journal: Journal) -> Look:
        """At all that descends from us, the service too if we started it."""
        processes = descendants(os.getpid())
        return Look(journal.now_ns(), len(processes), sum(map(proportional_set_bytes, processes)))

    def _settled(self, journal: Journal, processes: int) -> Look:
        """When all sandboxes were ended. A service may still be busy with its pool for a while."""
        deadline_s = time.monotonic() + _GRACE_S
        while (look := self._look(journal)).processes > processes and time.monotonic() < deadline_s:
            time.sleep(_SETTLE_S)
        return look

    def _worked(self, events: Sequence[Event]) -> Iterator[str]:
        """All the while, and as well as is asked."""
        counted = of(events, *_COUNTED)
        done = figures.right(counted)
        if done < float(self.least_success) * len(counted):
            wanted = f"{float(self.least_success):g}"
            yield f"expected a success rate of {wanted} or more, found {figures.sure(done, len(counted))}"
        yield from invariants.none_failed(of(events, "end", "recall"))
        work = of(events, *_WORK)
        if not work or work[-1].ended_ns - work[0].started_ns < 0.5 * self.duration * 1e9:
            yield f"expected work for {self.duration:g} s, found less than half of it"
        for agent in sorted(set(range(1, self.agents + 1)) - {each.agent for each in work}):
            yield f"agent {agent} did no work"

    def _flat(self, looks: Sequence[Look]) -> Iterator[str]:
        """As many processes after it as before, and memory that does not surely grow beyond what is allowed."""
        if len(looks) < 2:  # before and after
            yield f"looks: expected two or more, found {len(looks)}"
            return
        before, after = looks[0], looks[-1]
        if after.processes > before.processes:
            yield f"there were {before.processes} processes before it and {after.processes} after: some are left behind"
        if growth.verdict(_slope(looks), tolerance=float(self.growth)) == "grows":
            slope = _slope(looks)
            assert slope is not None
            yield f"memory grows by {slope.low / 2**20:.0f} MiB an hour or more, {self.growth / 2**20:.0f} are allowed"

    def _measurements(self, events: Sequence[Event], looks: Sequence[Look]) -> tuple[Measurement, ...]:
        name, counted = self.definition.name, of(events, *_COUNTED)
        fine = [each for each in of(events, *_WORK) if each.right]
        if not fine:
            return ()
        found = [
            figures.success(f"{name}.success", counted, due=len(counted)),
            figures.figure(f"{name}.latency", [each.elapsed_ns for each in fine], "ns"),
            figures.throughput(f"{name}.throughput", of(events, *_WORK)),
        ]
        if starts := [each.elapsed_ns for each in of(events, "start") if each.right]:
            found.append(figures.figure(f"{name}.provision", starts, "ns"))
        if (drift := _drift(fine)) is not None:
            found.append(figures.figure(f"{name}.drift", [drift], "ratio"))
        if (slope := _slope(looks)) is not None:
            found.append(figures.figure(f"{name}.memory_growth", [slope.estimate], "bytes"))
        return tuple(found)


def _looks(evidence: Evidence | Mapping[str, str]) -> tuple[Look, ...]:
    try:
        return msgspec.json.decode(evidence.get("looks", "[]"), type=tuple[Look, ...])
    except msgspec.MsgspecError:
        return ()


def _slope(looks: Sequence[Look]) -> stats.Interval | None:
    """Bytes an hour while agents worked, without the first quarter; None of a time too short to say anything of hours.

    Of means over windows: looks that follow one another at once see the same sandboxes, and are not independent.
    """
    inner = looks[1:-1]  # before the first and after the last there are no sandboxes
    if not inner or inner[-1].at_ns - inner[0].at_ns < _LEAST_GROWTH_NS:
        return None
    settled_ns = inner[0].at_ns + (inner[-1].at_ns - inner[0].at_ns) / 4
    window_ns = (inner[-1].at_ns - settled_ns) / _WINDOWS
    windows: dict[int, list[Look]] = {}
    for each in inner:
        if each.at_ns >= settled_ns:
            windows.setdefault(min(_WINDOWS - 1, int((each.at_ns - settled_ns) / window_ns)), []).append(each)
    means = [(fmean(each.at_ns for each in of), fmean(each.memory_bytes for each in of)) for of in windows.values()]
    return growth.slope([at_ns / _NS_PER_HOUR for at_ns, _ in means], [memory_bytes for _, memory_bytes in means])


def _drift(work: Sequence[Event]) -> float | None:
    """The median latency of the last third of the time, to that of the first; None where one of them has none."""
    began_ns, ended_ns = work[0].started_ns, max(each.ended_ns for each in work)
    third_ns = (ended_ns - began_ns) / 3
    first = [each.elapsed_ns for each in work if each.started_ns < began_ns + third_ns]
    last = [each.elapsed_ns for each in work if each.started_ns >= ended_ns - third_ns]
    return stats.median(last) / stats.median(first) if first and last else None
