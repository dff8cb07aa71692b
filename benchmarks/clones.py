"""What does one more clone cost in memory, and how soon do 32 of them work, against guests for themselves?

Memory is told in two ways, which have to agree: the proportional sets of all processes added up, and what the machine
has available. Each is the slope of a line through 10 to 60 clones, all alive and each with an answer given; what they
share is in no slope. What the first command of a clone adds, mostly code that TCG has translated, is told beside it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import linear_regression, median

from benchmarks.guests import laboratory, linux, verified_command
from benchmarks.rows import NoNumber, Row, with_neighbours
from benchproof import runner
from benchproof.benchmarks.lifecycle.fanout import Fanout
from benchproof.footprint import proportional_set_bytes
from benchproof.model import ForkableInstance, Passed
from benchproof.targets.qemu import Qemu

_CLONES, _STEP = 60, 10
_FAN, _ROUNDS = 32, 3
_GOAL_MIB, _GOAL_S = 18, 3
GOAL = f"<= {_GOAL_MIB} MiB each, {_FAN} within {_GOAL_S} s"
_MIB = 1 << 20


def study() -> Sequence[Row]:
    """A guest for itself, then 60 clones; then 32 at once and one after another."""
    with laboratory() as lab:
        target = linux(lab)
        with target.cold() as alone:
            verified_command(alone)
            alone_bytes = alone.footprint().memory_bytes
        return [*_memory_rows(target, alone_bytes), _fan_row(target)]


def _memory_rows(target: Qemu, alone_bytes: int) -> list[Row]:
    (points, command_bytes), around = with_neighbours(lambda: _crowd(target))
    counts = [float(count) for count, _, _ in points]
    slopes = {
        "sum of PSS": linear_regression(counts, [pss for _, pss, _ in points]).slope,
        "MemAvailable": -linear_regression(counts, [available for _, _, available in points]).slope,
    }
    return [
        Row(
            what=f"one more of {_CLONES} clones, by {way}",
            unit="MiB",
            measured=slope / _MIB,
            against="a guest that was booted, PSS",
            peer=alone_bytes / _MIB,
            ratio=slope / alone_bytes,
            goal=f"<= {_GOAL_MIB} MiB",
            met=slope <= _GOAL_MIB * _MIB,
            samples={"clones": counts, "pss": [each[1] for each in points], "available": [each[2] for each in points]},
            note=f"{command_bytes / _MIB:.1f} MiB more, by PSS, when it has run its first command",
            disturbed=around.disturbing,
        )
        for way, slope in slopes.items()
    ]


def _crowd(target: Qemu) -> tuple[list[tuple[int, float, float]], float]:
    """(clones alive, sum of their PSS, what the machine has available) at each tenth clone; what a command adds."""
    clones: list[ForkableInstance] = []
    points = []
    with ExitStack() as alive:
        while len(clones) < _CLONES:
            clones.append(alive.enter_context(target.image().start()))
            if len(clones) % _STEP == 0:
                points.append((len(clones), float(_pss_bytes(clones)), _available_bytes()))
        for clone in clones:
            verified_command(clone)
        more_bytes = (_pss_bytes(clones) - points[-1][1]) / _CLONES
    return points, more_bytes


def _pss_bytes(clones: Sequence[ForkableInstance]) -> int:
    return sum(proportional_set_bytes(pid) for clone in clones for pid in clone.footprint().processes)


def _available_bytes() -> float:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if found is None:
        raise NoNumber("this kernel does not tell MemAvailable")
    return float(int(found[1]) << 10)


def _fan_row(target: Qemu) -> Row:
    (fan_s, one_by_one_s), around = with_neighbours(lambda: (_fan_out_s(target), _one_by_one_s(target)))
    ours_s = median(fan_s)
    return Row(
        what=f"fan-out of {_FAN} clones, until all have worked",
        unit="s",
        measured=ours_s,
        against="the same one after another",
        peer=one_by_one_s,
        ratio=ours_s / one_by_one_s,
        goal=f"<= {_GOAL_S} s",
        met=ours_s <= _GOAL_S,
        samples={"fan_out_s": fan_s, "one_by_one_s": [one_by_one_s]},
        disturbed=around.disturbing,
    )


def _fan_out_s(target: Qemu) -> list[float]:
    """By the benchmark that users run, its oracle asked."""
    question = Fanout(clones=_FAN, samples=_ROUNDS)
    outcome = runner.judge(question, question.run(target))
    if not isinstance(outcome, Passed):
        raise NoNumber(f"expected {_FAN} clones that work, found {outcome}")
    return [elapsed_ns / 1e9 for elapsed_ns in outcome.measurements[0].samples]


def _one_by_one_s(target: Qemu) -> float:
    began_ns = time.monotonic_ns()
    with ExitStack() as alive:
        for _ in range(_FAN):
            verified_command(alive.enter_context(target.image().start()))
        return (time.monotonic_ns() - began_ns) / 1e9
