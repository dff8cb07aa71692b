"""What a study hands back, and the few things that all studies do: take turns, run a child, look at the neighbours.

A row without `measured` is a row without a number, and its note says why. Nothing here decides with statistics: these
are medians and ratios for a reader, beside the raw figures.

A round in which other work kept the CPUs busy is set aside as a whole, both sides of it, and taken again for as long as
patience lasts; its figures are kept and counted. That is what benchproof does with an invocation over a limit of noise.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import msgspec

from benchproof import noise
from benchproof.model import Frozen

ROOT = Path(__file__).parent.parent
_BUSY_FIELDS = (0, 1, 2, 5, 6)  # of the line `cpu` of /proc/stat: user, nice, system, irq, softirq
_DISTURBED_CPUS = 0.15
_PATIENCE_S = 60.0  # of one study that waits for its neighbours
_PAUSE_S = 2.0  # until a disturbed round is taken again
T = TypeVar("T")


class NoNumber(Exception):  # noqa: N818 - named as what it leads to
    """A tool was missing, did not end well or said something else than expected: the study ends without a number."""


class Row(Frozen, frozen=True, kw_only=True):
    """One thing measured, what it is held against, and whether the goal was met."""

    what: str
    unit: str = ""
    measured: float | None = None
    against: str = ""  # name of the peer
    peer: float | None = None
    ratio: float | None = None
    goal: str
    met: bool | None = None
    note: str = ""
    samples: Mapping[str, Sequence[float]] = msgspec.field(default_factory=dict)
    set_aside: Sequence[Mapping[str, float]] = ()  # disturbed rounds, not in `samples`
    disturbed: bool = False  # other work was in the way, of some `samples` at least

    @property
    def verdict(self) -> str:
        """In one or two words."""
        word = "no number" if self.met is None else "met" if self.met else "MISSED"
        return f"{word}?" if self.disturbed else word


class Neighbours(Frozen, frozen=True):
    """What else ran while a study was measured. None: this kernel does not tell."""

    elapsed_s: float
    others_cpus: float | None  # how many CPUs were busy with neither us nor our children, on average
    steal: float | None  # share of all CPU time that the hypervisor gave to others
    load: float | None

    @property
    def disturbing(self) -> bool:
        """Whether a figure of this study should be taken again."""
        return self.others_cpus is not None and self.others_cpus > _DISTURBED_CPUS

    def __str__(self) -> str:
        if self.others_cpus is None:
            return "what else ran is not known"
        advice = ": run it again on a quiet machine" if self.disturbing else ""
        return f"other work kept {self.others_cpus:.2f} of {os.cpu_count()} CPUs busy{advice}"


class Turns(Frozen, frozen=True):
    """What `in_turn` measured: one figure a round of each, in the order of the rounds."""

    samples: dict[str, list[float]]
    set_aside: list[dict[str, float]]
    disturbed: bool

    def medians(self, *names: str) -> list[float]:
        """Of the figures of each."""
        return [median(self.samples[name]) for name in names]

    def note(self) -> str:
        """What a reader must know of the rounds."""
        if self.disturbed:
            return "DISTURBED by other work: no figure to go by"
        return f"{len(self.set_aside)} disturbed rounds set aside" if self.set_aside else "no round disturbed"


def with_neighbours(work: Callable[[], T]) -> tuple[T, Neighbours]:
    """What `work` returns, and what else the machine did meanwhile."""
    before, ours_before_s = noise.snapshot(), _our_cpu_s()
    answer = work()
    after, ours_after_s = noise.snapshot(), _our_cpu_s()
    elapsed_s = (after.monotonic_ns - before.monotonic_ns) / 1e9
    others = None
    if before.cpu_ticks and after.cpu_ticks:
        ticks = sum(after.cpu_ticks[field] - before.cpu_ticks[field] for field in _BUSY_FIELDS)
        others = max(0.0, ticks / os.sysconf("SC_CLK_TCK") - (ours_after_s - ours_before_s)) / elapsed_s
    around = noise.between(before, after)
    return answer, Neighbours(elapsed_s=elapsed_s, others_cpus=others, steal=around.steal, load=around.load)


def _our_cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def in_turn(measures: Mapping[str, Callable[[], float]], *, rounds: int) -> Turns:
    """Call each once a round, in an order shuffled anew each round: drift and neighbours fall on all of them."""
    quiet: list[dict[str, float]] = []
    disturbed: list[dict[str, float]] = []
    shuffle, order = random.Random(rounds).shuffle, list(measures)
    patient_until_s = time.monotonic() + _PATIENCE_S
    while len(quiet) < rounds and (time.monotonic() < patient_until_s or len(quiet) + len(disturbed) < rounds):
        shuffle(order)
        figures, around = with_neighbours(lambda: {name: measures[name]() for name in order})
        (disturbed if around.disturbing else quiet).append(figures)
        if around.disturbing and time.monotonic() < patient_until_s:
            time.sleep(_PAUSE_S)
    short = rounds - len(quiet)
    used = quiet + disturbed[:short]
    return Turns(
        samples={name: [figures[name] for figures in used] for name in measures},
        set_aside=disturbed[short:],
        disturbed=short > 0,
    )


def agreement(*, ours: str, peer: str, unit: str, tolerance: float, turns: Turns, note: str = "") -> Row:
    """Whether our median is that of the peer, within `tolerance`."""
    measured, theirs = turns.medians(ours, peer)
    ratio = measured / theirs
    pairs = [mine / other for mine, other in zip(turns.samples[ours], turns.samples[peer], strict=True)]
    notes = [turns.note(), f"single pairs {min(pairs):.2f} to {max(pairs):.2f}", note]
    return Row(
        what=ours,
        unit=unit,
        measured=measured,
        against=peer,
        peer=theirs,
        ratio=ratio,
        goal=f"within {tolerance:.0%}",
        met=abs(ratio - 1) <= tolerance,
        note="; ".join(filter(None, notes)),
        samples=turns.samples,
        set_aside=turns.set_aside,
        disturbed=turns.disturbed,
    )


def clean_environment() -> dict[str, str]:
    """Ours, without what makes Python slower than its users know it."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}


def wall_ms(argv: list[str], *, timeout_s: float) -> float:
    """From the request to the end of a command that prints to nowhere. Raises NoNumber if it does not end well."""
    actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    started_ns = time.monotonic_ns()
    pid = os.posix_spawn(argv[0], argv, clean_environment(), file_actions=actions)
    ended = _ends_within(pid, timeout_s)
    elapsed_ms = (time.monotonic_ns() - started_ns) / 1e6
    if not ended:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    if status:
        raise NoNumber(f"expected exit status 0, found wait status {status} of {' '.join(argv)}")
    return elapsed_ms


def _ends_within(pid: int, timeout_s: float) -> bool:
    with _pidfd(pid) as descriptor:  # a wait with a time-out of `subprocess` sleeps up to 50 ms between looks
        return bool(select.select([descriptor], [], [], timeout_s)[0])


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
