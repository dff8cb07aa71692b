"""How often does a gate call a command slower than itself, and how often does it catch 5 %? In pairs, and in a row.

Each experiment has 30 pairs of real timings of one command, decided at the looks that `--until-decided` plans. First
the two sides take turns in random order, as in every run; then the same gate gets all of one side before all of the
other, as most CI gates measure. What is injected is a factor on the times of one side.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from statistics import median

from benchmarks.rows import NoNumber, Row, wall_ms
from benchproof.analysis.compare import Design, Side, Verdict, paired, planned_looks

GOAL = "of equal things at most 1 % called slower; 5 % slower caught in at least 90 %"
PAIRS = 30
EXPERIMENTS = 200
QUICK_EXPERIMENTS = 40
DESIGN = Design(margin=0.02, looks=planned_looks(PAIRS))
_TIMES = 5  # one value is the median of so many, as an invocation is that of its samples
_SIDES = ("a", "b")

Experiment = dict[str, list[float]]


def study() -> list[Row]:
    """Two rows, each beside the same gate in blocked order."""
    return _study(EXPERIMENTS)


def quick_study() -> list[Row]:
    """The same of fewer experiments: of rates about 1 % it says little."""
    return _study(QUICK_EXPERIMENTS)


def _study(experiments: int) -> list[Row]:
    """The two orders take turns, so that both see the same machine."""
    command = shutil.which("true")
    if command is None:
        raise NoNumber("expected the command `true`, found none")
    chance = random.Random(1)
    interleaved, blocked = [], []
    for _ in range(experiments):
        interleaved.append(_measured(command, _in_turn(chance)))
        blocked.append(_measured(command, [*["a"] * PAIRS, *["b"] * PAIRS]))
    return [
        _row("equal things called slower", interleaved, blocked, factor=1.0, goal="<= 1 %", least=None),
        _row("5 % slower, caught", interleaved, blocked, factor=1.05, goal=">= 90 %", least=90.0),
    ]


def _in_turn(chance: random.Random) -> list[str]:
    return [side for _ in range(PAIRS) for side in chance.sample(_SIDES, 2)]


def _measured(command: str, order: Sequence[str]) -> Experiment:
    found: Experiment = {side: [] for side in _SIDES}
    for side in order:
        found[side].append(median(wall_ms([command], timeout_s=10) for _ in range(_TIMES)))
    return found


def _row(
    what: str,
    interleaved: Sequence[Experiment],
    blocked: Sequence[Experiment],
    *,
    factor: float,
    goal: str,
    least: float | None,
) -> Row:
    ours, theirs = (_share(each, factor) for each in (interleaved, blocked))
    words = [_verdict(each, factor) for each in interleaved]
    counted = ", ".join(f"{words.count(word)} {word}" for word in ("faster", "slower", "same", "undecided"))
    return Row(
        what=f"{what}, in pairs",
        unit="%",
        measured=ours,
        against="all of one side first",
        peer=theirs,
        goal=goal,
        met=ours <= 1.0 if least is None else ours >= least,
        note=f"of {len(words)} experiments of {PAIRS} pairs, in pairs: {counted}",
        samples={"slower": [float(word == "slower") for word in words]},
    )


def _share(experiments: Sequence[Experiment], factor: float) -> float:
    return 100 * sum(_verdict(each, factor) == "slower" for each in experiments) / len(experiments)


def _verdict(experiment: Experiment, factor: float) -> Verdict:
    base = dict(enumerate(experiment["a"]))
    new = {block: value * factor for block, value in enumerate(experiment["b"])}
    return paired(Side(base=base, new=new, better="lower"), DESIGN).verdict
