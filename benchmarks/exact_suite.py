"""How long does the exact primitive suite take, and does any of its figures ever differ, on a busy host and elsewhere?

Each case runs twice, side by side, as it does for users; the peer runs each once, so the ratio is the price of the
proof. Then the suite is repeated while another program keeps every core busy, in turn from the snapshot in the cache
and from one that was built apart: every case must give one and the same figure throughout.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.guests import emptied_cache, every_core_busy, laboratory, linux
from benchmarks.rows import NoNumber, Row, with_neighbours
from benchproof import runner
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.errors import LabInvalid
from benchproof.model import Passed
from benchproof.targets.qemu import Qemu

_REPETITIONS = 20
_QUICK_REPETITIONS, _QUICK_CASES = 4, ("syscall.getpid", "ipc.unix_pingpong", "process.fork_exec")
_GOAL_S = 5
GOAL = f"<= {_GOAL_S} s, 1 figure a case, no invalid pair"


def study() -> Sequence[Row]:
    """The whole suite."""
    return _study(SUITES["primitive"], _REPETITIONS)


def quick_study() -> Sequence[Row]:
    """Three cases, a few times."""
    return _study(_QUICK_CASES, _QUICK_REPETITIONS)


def _study(names: Sequence[str], repetitions: int) -> list[Row]:
    figures = _Figures()
    with laboratory() as lab, tempfile.TemporaryDirectory() as folder:
        target = linux(lab, exact=True)
        apart = linux(emptied_cache(lab, Path(folder)), exact=True)
        if target.counter().snapshot.state == apart.counter().snapshot.state:
            raise NoNumber("expected two snapshots, found one")
        (twice_s, once_s), around = with_neighbours(lambda: (figures.take(target, names), _once_s(target, names)))
        with every_core_busy():
            for number in range(repetitions):
                figures.take((target, apart)[number % 2], names)
                lab.logs.clear()
    row = Row(
        what=f"exact suite, {len(names)} cases, each twice",
        unit="s",
        measured=twice_s,
        against="each once",
        peer=once_s,
        ratio=twice_s / once_s,
        goal=f"<= {_GOAL_S} s",
        met=twice_s <= _GOAL_S,
        disturbed=around.disturbing,
    )
    return [row, *figures.rows(repetitions)]


def _once_s(target: Qemu, names: Sequence[str]) -> float:
    counter, began_s = target.counter(), time.monotonic()
    for name in names:
        counter.once([target.machine.probe, *BENCHMARKS.load(name)().exact_arguments()], timeout_s=60)
    return time.monotonic() - began_s


class _Figures:
    """All figures of each case, and how many pairs of runs did not agree."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, list[float]] = defaultdict(list)
        self._invalid: list[str] = []

    def take(self, target: Qemu, names: Sequence[str]) -> float:
        """The suite once; returns how long it took, in s."""
        began_s = time.monotonic()
        for name in names:
            question = BENCHMARKS.load(name)()
            try:
                outcome = runner.judge(question, question.run(target))
            except LabInvalid as error:
                self._invalid.append(f"{name}: {error}")
                continue
            if not isinstance(outcome, Passed):
                raise NoNumber(f"expected a right answer of '{name}', found {outcome}")
            self._seen[name] += outcome.measurements[0].samples
        return time.monotonic() - began_s

    def rows(self, repetitions: int) -> list[Row]:
        """How many distinct figures, and how many invalid pairs."""
        distinct = {name: len(set(values)) for name, values in self._seen.items()}
        differ = [f"{name} {sorted(set(self._seen[name]))}" for name, count in distinct.items() if count > 1]
        pairs = sum(map(len, self._seen.values())) + len(self._invalid)
        what = f"{repetitions} repetitions, every core busy, two snapshots"
        most = max(distinct.values(), default=0)
        figures = Row(
            what=f"distinct figures of a case at most: {what}",
            measured=most,
            goal="1",
            met=most == 1,
            note=f"differ: {'; '.join(differ)}" if differ else f"all {len(distinct)} cases have one figure each",
            samples=dict(self._seen),
        )
        invalid = Row(
            what=f"invalid pairs of runs of {pairs}",
            measured=len(self._invalid),
            goal="0",
            met=not self._invalid,
            note="; ".join(self._invalid[:3]),
        )
        return [figures, invalid]
