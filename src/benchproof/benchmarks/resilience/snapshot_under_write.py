"""Benchmark `chaos.snapshot_under_write`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import invariants
from benchproof.benchmarks.resilience.agents import Agent, Crowd
from benchproof.benchmarks.resilience.chaos import FAULT, VICTIM, Chaos, Struck
from benchproof.benchmarks.resilience.events import Event, of
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Definition, Image, Observation, Served, Target
from benchproof.oracles import Evidence

_WAIT_S = 600.0  # for a few writes; each has a timeout of its own


class SnapshotUnderWrite(Chaos, frozen=True):
    """A sandbox is frozen while files are written to it: what does the image hold?"""

    definition = Definition(
        name="chaos.snapshot_under_write",
        tier=TIER,
        question=__doc__,
        mechanism="one thread writes file after file into a sandbox, another has it frozen meanwhile",
        without_posix="a checkpoint of a protection domain while requests to it go on",
        oracle="the image holds every file acknowledged before, none written after, no gap and no torn file",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a target that is no service, or a service that cannot fork",
    )
    fault = "freeze"

    writes: int = 4  # acknowledged before the freeze, and at least as many tried after it began

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.writes <= 1000:
            raise ValueError(f"writes: expected 1 to 1000, found {self.writes}")

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        if not isinstance(target, Served):
            raise NotSupported("two requests at once to one instance need a service", missing='kind = "service"')
        return super().run(target)

    def strike(self, crowd: Crowd, victim: Agent) -> Struck:
        """Freeze it while it is written to, and look at a clone."""
        written = _Writer(victim)
        image = written.while_writing(self.writes, lambda: _freeze(crowd, victim))
        try:
            number = max(agent.number for agent in crowd.agents) + 1
            heir = crowd.join(number, start=image.start, of=victim)
        finally:
            image.delete()
        if heir is None:
            raise TargetFailed(f"no sandbox starts from the image: {of(crowd.journal.events, 'start')[-1].seen}")
        return Struck([victim, heir], {})

    def victims(self, events: Sequence[Event], evidence: Evidence) -> Iterator[str]:
        """The original has lost nothing; its image holds a beginning of what was written, and it is the right one."""
        del evidence
        heir, frozen = self.agents + 1, of(events, FAULT)
        yield from invariants.nothing_lost(events, VICTIM)
        if len(frozen) == 1:
            yield from invariants.nothing_lost(events, VICTIM, heir=heir, until_ns=frozen[0].started_ns)
            yield from _beginning(events, heir, frozen[0])


def _beginning(events: Sequence[Event], heir: int, frozen: Event) -> Iterator[str]:
    """What was written meanwhile is there up to some file, and nothing of what was written later."""
    there = {event.asked for event in of(events, "recall") if event.agent == heir and event.right}
    journal = [event for event in of(events, "write") if event.agent == VICTIM and event.asked.startswith("entry-")]
    meanwhile = [event for event in journal if event.ended_ns > frozen.started_ns]
    if not any(event.ended_ns <= frozen.started_ns for event in journal) or not meanwhile:
        yield "expected files written before the freeze and after it began, found none"
    gone = ""
    for event in meanwhile:
        if event.asked not in there:
            gone = gone or event.asked
        elif event.started_ns > frozen.ended_ns:
            yield f"the image holds '{event.asked}', which was written after it was made"
        elif gone:
            yield f"the image holds '{event.asked}' and not '{gone}', which was written before it"


def _freeze(crowd: Crowd, victim: Agent) -> Image:
    began_ns = crowd.journal.now_ns()
    image = victim.instance.freeze()
    crowd.journal.mark(FAULT, began_ns)
    return image


class _Writer:
    """Writes files with names of their own, one after another, in a thread."""

    def __init__(self, victim: Agent) -> None:
        self._victim = victim
        self._enough = threading.Event()
        self._progress = threading.Condition()
        self._acknowledged = 0

    def while_writing(self, writes: int, work: Callable[[], Image]) -> Image:
        """Do it after so many were acknowledged, and go on for as many more after it."""
        with ThreadPoolExecutor(1) as thread:
            writing = thread.submit(self._write)
            try:
                self._await(writes)
                done = work()
                self._await(self._acknowledged + writes)
            finally:
                self._enough.set()
            writing.result()
        return done

    def _write(self) -> None:
        number = 0
        while not self._enough.is_set():
            event = self._victim.write(f"entry-{number}")
            number += 1
            with self._progress:
                self._acknowledged += event.right
                self._progress.notify_all()
            if not event.right:
                raise TargetFailed(f"a write failed while it was frozen: {event.seen}")

    def _await(self, acknowledged: int) -> None:
        with self._progress:
            if not self._progress.wait_for(lambda: self._acknowledged >= acknowledged, _WAIT_S):
                raise TargetFailed(f"no {acknowledged} files were acknowledged within {_WAIT_S:g} s")
