"""Benchmark `chaos.exhaust_memory`."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence

from benchproof import cgroups, oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import invariants, own
from benchproof.benchmarks.resilience.agents import Agent, Crowd
from benchproof.benchmarks.resilience.chaos import FAULT, HEALED, VICTIM, Chaos, Struck, replaced
from benchproof.benchmarks.resilience.events import Event, of
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Definition
from benchproof.oracles import Evidence
from benchproof.quantities import Size

_TIMES = 4  # the limit: so much is asked for, at most
_LEAST_BYTES, _MOST_BYTES = 1 << 20, 1 << 33


class ExhaustMemory(Chaos, frozen=True):
    """A program takes all the memory that it gets: is its own sandbox the only one that suffers?"""

    definition = Definition(
        name="chaos.exhaust_memory",
        tier=TIER,
        question=__doc__,
        mechanism="each sandbox in a control group with a limit; a program in one touches four times as much",
        without_posix="one protection domain asks for more frames than its quota",
        oracle="something stopped it and says so (the group's count of kills, or the sandbox); others do not notice",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="no control group for memory that we may use, or sandboxes that are not ours",
    )
    fault = "memory"

    limit: Size = Size(128 << 20)  # of each sandbox, beyond what it has when it starts

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _LEAST_BYTES <= self.limit <= _MOST_BYTES:
            raise ValueError(f"limit: expected 1 MiB to 8 GiB, found {self.limit / 2**20:g} MiB")

    def strike(self, crowd: Crowd, victim: Agent) -> Struck:
        """A limit around each, then the program; who died of it is replaced."""
        held = leaks.held(victim.instance.footprint())
        with contextlib.ExitStack() as stack:
            groups = {agent.number: stack.enter_context(self._around(agent)) for agent in crowd.agents}
            began_ns = crowd.journal.now_ns()
            ended = self._exhaust(victim)
            crowd.journal.mark(FAULT, began_ns, ended)
            crowd.journal.mark(HEALED, crowd.journal.now_ns())
            alive = victim.echo("after").right
            kills = {number: group.oom_kills for number, group in groups.items()}
        if alive:
            victim.round()
        survivors = [victim] if alive else replaced(crowd, victim, held)
        others = sum(kills[number] for number in self.bystanders)
        return Struck(survivors, {"victim_kills": str(kills[VICTIM]), "other_kills": str(others), "hoard": ended})

    def victims(self, events: Sequence[Event], evidence: Evidence) -> Iterator[str]:
        """It was stopped, by the group or from within; where it lives on, it has lost nothing."""
        yield from oracles.equals(evidence, "other_kills", 0)
        lives = any(event.right for event in of(events, "after"))
        killed = oracles.number(evidence, "victim_kills")
        if evidence.get("hoard", "").endswith(" limit"):
            yield f"nothing stopped it: it took all of {_TIMES * int(self.limit)} bytes"
        elif killed < 1 and not lives:
            yield f"the sandbox died ({evidence.get('hoard')}), and no limit on its memory is what killed it"
        if lives:
            yield from invariants.nothing_lost(events, VICTIM)

    @contextlib.contextmanager
    def _around(self, agent: Agent) -> Iterator[cgroups.Group]:
        """The limit on one sandbox."""
        name = f"benchproof-{os.getpid()}-{secrets.token_hex(4)}"
        with (
            own.held(agent.instance.footprint().processes) as processes,
            cgroups.limited(cgroups.hierarchy(), name, limit_bytes=int(self.limit)) as group,
        ):
            for pid in processes.pids:
                group.add(pid)
            yield group

    def _exhaust(self, victim: Agent) -> str:
        """How the program ended, in words that begin with its exit status."""
        if not victim.instance.probe:
            raise NotSupported("the probe cannot be put into this sandbox, so nothing can take its memory")
        argv = [victim.instance.probe, "hoard", str(_TIMES * int(self.limit))]
        try:
            done = victim.instance.run(argv, timeout_s=self.terms.timeout_s)
        except TargetFailed as error:
            return f"no answer: {error}"
        return f"{done.exit_status} {done.stdout[:80].decode(errors='replace').strip()}"
