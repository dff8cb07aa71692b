"""Benchmark `chaos.fill_disk`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER
from benchproof.benchmarks.resilience import invariants
from benchproof.benchmarks.resilience.agents import Agent, Crowd
from benchproof.benchmarks.resilience.chaos import FAULT, HEALED, VICTIM, Chaos, Struck, replaced
from benchproof.benchmarks.resilience.events import Event, of
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Definition
from benchproof.oracles import Evidence
from benchproof.quantities import Size

_WAY = 'a workspace of its own size, such as that of kind "qemu"; or a larger `most`, which the host must have room for'
_LEAST_BYTES, _MOST_BYTES = 1 << 20, 1 << 34


class FillDisk(Chaos, frozen=True):
    """A program fills the disk of its sandbox: is what was acknowledged still there, and do others notice?"""

    definition = Definition(
        name="chaos.fill_disk",
        tier=TIER,
        question=__doc__,
        mechanism="one workspace is filled until there is no room, files are written to it, then room is made",
        without_posix="one protection domain uses up its quota of storage",
        oracle="a write without room is refused or kept whole, no file is lost, others do not notice",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a workspace that takes `most` and is not full, or the target's own words",
    )
    fault = "no room"

    most: Size = Size(256 << 20)  # no more than this is ever written

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _LEAST_BYTES <= self.most <= _MOST_BYTES:
            raise ValueError(f"most: expected 1 MiB to 16 GiB, found {self.most / 2**20:g} MiB")

    def strike(self, crowd: Crowd, victim: Agent) -> Struck:
        """Fill it, write where there is no room, make room, write again."""
        held = leaks.held(victim.instance.footprint())
        path = str(_workspace(victim) / "filler")
        began_ns = crowd.journal.now_ns()
        taken = self._fill(victim, path, int(self.most))
        if taken.endswith(" limit"):
            raise NotSupported(f"the workspace took {self.most / 2**20:.0f} MiB and is not full", missing=_WAY)
        crowd.journal.mark(FAULT, began_ns, taken)
        for _ in range(self.rounds):
            victim.write()
        began_ns = crowd.journal.now_ns()
        try:
            self._fill(victim, path, 0)
        except TargetFailed as error:
            return Struck(replaced(crowd, victim, held), {"filled": taken, "room_made": str(error)})
        crowd.journal.mark(HEALED, began_ns)
        victim.round()
        return Struck([victim], {"filled": taken, "room_made": "yes"})

    def victims(self, events: Sequence[Event], evidence: Evidence) -> Iterator[str]:
        """It lived through it: room could be made, and then it worked; what it acknowledged, it holds."""
        if evidence.get("room_made") != "yes":
            said = evidence.get("room_made", "nothing was said")
            yield f"a full disk ended the sandbox: no room could be made: {said}"
        healed = of(events, HEALED)
        mine = [event for event in events if event.agent == VICTIM and healed]
        yield from invariants.none_failed(event for event in mine if event.started_ns >= healed[0].ended_ns)
        yield from invariants.in_time(mine, deadline_ns=int(self.deadline * 1e9))
        yield from invariants.nothing_lost(events, VICTIM)

    def _fill(self, victim: Agent, path: str, size_bytes: int) -> str:
        """How much was taken and what stopped it, in the probe's words."""
        argv = [victim.instance.probe, "fill", path, str(size_bytes)]
        done = victim.instance.run(argv, timeout_s=self.terms.timeout_s)
        if done.exit_status:
            raise TargetFailed(f"the program that fills the disk ended with exit status {done.exit_status}")
        return done.stdout[:80].decode(errors="replace").strip()


def _workspace(victim: Agent) -> PurePosixPath:
    """Where its files lie."""
    if not victim.kept or not victim.instance.probe:
        raise NotSupported("the probe cannot be put into this sandbox, so nothing can fill its disk")
    path, _ = next(iter(victim.kept.values()))
    return PurePosixPath(path).parent
