"""Benchmark `chaos.kill_guest`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import invariants, own
from benchproof.benchmarks.resilience.agents import Agent, Crowd
from benchproof.benchmarks.resilience.chaos import FAULT, UNSUPPORTED, VICTIM, Chaos, Struck, replaced
from benchproof.benchmarks.resilience.events import Event, of
from benchproof.errors import NotSupported
from benchproof.model import Definition, Image
from benchproof.oracles import Evidence

_FROZEN = "frozen"


class KillGuest(Chaos, frozen=True):
    """A sandbox is killed: how long until verified work in another that has its files, and do others notice?"""

    definition = Definition(
        name="chaos.kill_guest",
        tier=TIER,
        question=__doc__,
        mechanism="SIGKILL to the processes of one sandbox; one starts in its place, from its image where it has one",
        without_posix="one protection domain is revoked, and one made from its checkpoint",
        oracle="the killed one answers no more, what was frozen is all there, others do not notice, nothing is left",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )
    fault = "SIGKILL"

    def strike(self, crowd: Crowd, victim: Agent) -> Struck:
        """Freeze it if that can be done, kill it, ask it once more, start one in its place."""
        image = _frozen(victim)
        try:
            held = leaks.held(footprint := victim.instance.footprint())
            with own.held(footprint.processes) as processes:
                began_ns = crowd.journal.now_ns()
                processes.kill()
                crowd.journal.mark(FAULT, began_ns)
            victim.echo("denied")
            heirs = replaced(crowd, victim, held, start=image.start if image else None)
            for heir in heirs:
                heir.recall()
        finally:
            if image:
                image.delete()
        return Struck(heirs, {"processes_killed": str(len(processes.pids))})

    def victims(self, events: Sequence[Event], evidence: Evidence) -> Iterator[str]:
        """It answers nothing after its death, says so in time, and what was frozen lives on in its heir."""
        del evidence
        denied = of(events, "denied")
        if len(denied) != 1:
            yield f"expected one request to the killed sandbox, found {len(denied)}"
        if any(event.status == "answered" for event in denied):
            yield "the killed sandbox answered: it was not killed, or another answered in its name"
        yield from invariants.in_time(denied, deadline_ns=int(self.deadline * 1e9))
        if frozen := [event for event in of(events, "freeze") if event.right]:
            heir = self.agents + 1
            yield from invariants.nothing_lost(events, VICTIM, heir=heir, until_ns=frozen[0].started_ns)


def _frozen(victim: Agent) -> Image | None:
    """What it acknowledged is then a promise; None where it cannot be frozen, and nothing is promised."""
    images: list[Image] = []

    def freeze() -> str:
        images.append(victim.instance.freeze())
        return _FROZEN

    if not hasattr(victim.instance, "freeze"):
        return None
    try:
        victim.journal.timed(victim.number, "freeze", _FROZEN, freeze)
    except NotSupported:
        return None
    return images[0] if images else None
