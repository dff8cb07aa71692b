"""Benchmark `chaos.pause_guest`."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import msgspec

from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import invariants, own
from benchproof.benchmarks.resilience.agents import Agent, Crowd
from benchproof.benchmarks.resilience.chaos import FAULT, HEALED, UNSUPPORTED, VICTIM, Chaos, Struck
from benchproof.benchmarks.resilience.events import Event, Journal, of
from benchproof.model import Definition
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

_LONGEST_S = 60.0


class PauseGuest(Chaos, frozen=True):
    """A sandbox stands still for a while: does it go on as if nothing was, and do others notice?"""

    definition = Definition(
        name="chaos.pause_guest",
        tier=TIER,
        question=__doc__,
        mechanism="SIGSTOP to the processes of one sandbox (of traced ones, to their tracer), a request to it, SIGCONT",
        without_posix="one protection domain is not scheduled for a while",
        oracle="nothing is answered while it stands; then the request is, no file is lost, and others do not notice",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )
    fault = "SIGSTOP"

    pause: Duration = Duration(1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.pause <= _LONGEST_S or self.pause >= self.timeout:
            raise ValueError(
                f"pause: expected up to {_LONGEST_S:g} s and less than the timeout, found {self.pause:g} s"
            )

    def quick(self) -> Self:
        """A shorter pause."""
        return msgspec.structs.replace(super().quick(), pause=min(self.pause, Duration(0.3)))

    def strike(self, crowd: Crowd, victim: Agent) -> Struck:
        """Stop it, ask it, let it go on, and have it work."""
        processes = own.untraced(victim.instance.footprint().processes)
        with ThreadPoolExecutor(1) as thread:
            with _stopped(processes, crowd.journal):
                asked = thread.submit(victim.echo, "patience")
                threading.Event().wait(float(self.pause))  # the pause itself: nothing is measured by it
            asked.result()
        victim.round()
        return Struck([victim], {"paused_for_ns": str(round(self.pause * 1e9))})

    def victims(self, events: Sequence[Event], evidence: Evidence) -> Iterator[str]:
        """It stood as long as it was to, the request waited for that long and was answered, and no file is lost."""
        del evidence
        faults, healed, asked = of(events, FAULT), of(events, HEALED), of(events, "patience")
        if not len(faults) == len(healed) == len(asked) == 1:
            yield f"expected one pause and one request in it, found {len(healed)} and {len(asked)}"
            return
        if healed[0].started_ns - faults[0].ended_ns < self.pause * 1e9:
            yield f"it was to stand still for {self.pause:g} s, and was let go before"
        if asked[0].ended_ns < healed[0].started_ns:
            yield "a sandbox that stood still answered: it was not stopped, or another answered in its name"
        yield from invariants.none_failed(event for event in events if event.agent == VICTIM)
        yield from invariants.nothing_lost(events, VICTIM)


@contextlib.contextmanager
def _stopped(processes: Sequence[int], journal: Journal) -> Iterator[None]:
    """They stand still within the context, and go on after it whatever happens."""
    with own.held(processes) as found:
        began_ns = journal.now_ns()
        try:
            found.signal(signal.SIGSTOP)
            journal.mark(FAULT, began_ns)
            yield
        finally:
            began_ns = journal.now_ns()
            found.signal(signal.SIGCONT)
            journal.mark(HEALED, began_ns)
