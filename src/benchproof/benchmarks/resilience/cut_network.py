"""Benchmark `chaos.cut_network`."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Self
from urllib.parse import urlsplit

import msgspec

from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import invariants
from benchproof.benchmarks.resilience.agents import Agent, Crowd
from benchproof.benchmarks.resilience.chaos import FAULT, HEALED, VICTIM, Chaos, Struck, replaced
from benchproof.benchmarks.resilience.events import Event, Journal, of
from benchproof.benchmarks.resilience.relay import Relay, relayed
from benchproof.benchmarks.resilience.served import reachable
from benchproof.errors import TargetFailed
from benchproof.model import Definition, Observation, Target
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

_LONGEST_S = 60.0


class CutNetwork(Chaos, frozen=True):
    """The network between an agent and its service is gone for a while: what does the agent see, and do others?"""

    definition = Definition(
        name="chaos.cut_network",
        tier=TIER,
        question=__doc__,
        mechanism="one agent reaches the service through a relay, which holds or resets everything for a while",
        without_posix="messages to one client are held or refused for a while",
        oracle="held: answered afterwards, nothing lost; reset: said at once; others do not notice, nothing is left",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a target that is no service",
    )
    fault = "network"

    how: Literal["hold", "reset"] = "hold"
    cut: Duration = Duration(1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.cut <= _LONGEST_S or self.cut >= self.timeout:
            raise ValueError(f"cut: expected up to {_LONGEST_S:g} s and less than the timeout, found {self.cut:g} s")

    def quick(self) -> Self:
        """A shorter one."""
        return msgspec.structs.replace(super().quick(), cut=min(self.cut, Duration(0.3)))

    def run(self, target: Target) -> Observation:
        """One invocation: the victim by way of the relay, the others not. Raises InvocationError."""
        served = reachable(target)
        url = served.service().url
        parts = urlsplit(url)
        with (
            relayed(str(parts.hostname), parts.port or 80) as relay,
            served.reached(f"{parts.scheme}://127.0.0.1:{relay.port}{parts.path}") as through,
            served.reached(url) as directly,
        ):
            strike = functools.partial(self._cut, relay, directly.delete)
            return self.observed(directly.start, strike, starts={VICTIM: through.start, self.heir: through.start})

    def _cut(self, relay: Relay, delete: Callable[[str], None], crowd: Crowd, victim: Agent) -> Struck:
        """Cut it, ask meanwhile, mend it, work on."""
        held, before_bytes = leaks.held(victim.instance.footprint()), relay.passed_bytes
        with ThreadPoolExecutor(1) as thread:
            try:
                began_ns = crowd.journal.now_ns()
                relay.be(self.how)
                crowd.journal.mark(FAULT, began_ns)
                asked = thread.submit(victim.echo, "patience")
                threading.Event().wait(float(self.cut))  # the cut itself: nothing is measured by it
            finally:
                self._mend(relay, crowd.journal)
            asked.result()
        seen = {"relayed_bytes": str(before_bytes), "how": self.how}
        if self.how == "reset":  # its client has given it up, and could not say so
            _given_up(delete, victim)
            return Struck(replaced(crowd, victim, held), seen)
        victim.round()
        return Struck([victim], seen)

    def _mend(self, relay: Relay, journal: Journal) -> None:
        began_ns = journal.now_ns()
        relay.be("none")
        journal.mark(HEALED, began_ns)

    def victims(self, events: Sequence[Event], evidence: Evidence) -> Iterator[str]:
        """It really went through the relay; what it saw while the network was gone is what can be seen then."""
        if not evidence.get("relayed_bytes", "0").isdigit() or int(evidence.get("relayed_bytes", "0")) < 1:
            yield "nothing went through the relay: the network that was cut was not that of the agent"
        faults, healed, asked = of(events, FAULT), of(events, HEALED), of(events, "patience")
        if not len(faults) == len(healed) == len(asked) == 1:
            yield f"expected one cut and one request in it, found {len(healed)} and {len(asked)}"
            return
        if self.how == "hold":
            if asked[0].ended_ns < healed[0].started_ns:
                yield "a request was answered while nothing got through: it was not cut, or another answered"
            yield from invariants.none_failed(event for event in events if event.agent == VICTIM)
            yield from invariants.nothing_lost(events, VICTIM)
        elif asked[0].status != "failed":
            yield "a request was answered while every connection was reset: it was not cut, or another answered"
        yield from invariants.in_time(asked, deadline_ns=int((self.deadline + self.cut) * 1e9))


def _given_up(delete: Callable[[str], None], victim: Agent) -> None:
    """End the sandbox from where the network was never gone. It may have been ended already."""
    name = getattr(victim.instance, "name", "")

    def end() -> str:
        try:
            delete(name)
        except TargetFailed as error:
            return str(error)
        return "deleted"

    began_ns = victim.journal.now_ns()
    victim.journal.mark("given up", began_ns, end())
