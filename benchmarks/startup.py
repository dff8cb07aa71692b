"""How long does the command line take to answer, against a bare start of the same interpreter?

The goals are in wall time, because that is what a user waits for; the ratio tells a slow machine from a slow program.
"""

from __future__ import annotations

import compileall
import importlib.util
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.rows import Row, Turns, in_turn, wall_ms

_REPEATS = 20
_TIMEOUT_S = 60.0
_PACKAGES = ("benchproof", "click", "msgspec", "rich")
_BARE = "python -c pass"
_GOALS_MS = {"benchproof --version": 80, "benchproof run --help": 150}
GOAL = ", ".join(f"{name} <= {goal_ms} ms" for name, goal_ms in _GOALS_MS.items())


def study() -> Sequence[Row]:
    """Two commands and the bare interpreter in turn, once each unmeasured."""
    _byte_compile()
    script = str(Path(sys.executable).with_name("benchproof"))
    commands = {_BARE: [sys.executable, "-c", "pass"]}
    commands |= {name: [script, *name.split()[1:]] for name in _GOALS_MS}
    measures = {name: partial(wall_ms, argv, timeout_s=_TIMEOUT_S) for name, argv in commands.items()}
    for measure in measures.values():
        measure()
    turns = in_turn(measures, rounds=_REPEATS)
    return [_row(name, goal_ms, turns) for name, goal_ms in _GOALS_MS.items()]


def _byte_compile() -> None:
    """An installed package is compiled; where PYTHONDONTWRITEBYTECODE is set, an editable one never gets to be."""
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            compileall.compile_dir(Path(spec.origin).parent, quiet=2)


def _row(name: str, goal_ms: float, turns: Turns) -> Row:
    ours_ms, bare_ms = turns.medians(name, _BARE)
    ours, bare = turns.samples[name], turns.samples[_BARE]
    return Row(
        what=name,
        unit="ms",
        measured=ours_ms,
        against=_BARE,
        peer=bare_ms,
        ratio=ours_ms / bare_ms,
        goal=f"<= {goal_ms} ms",
        met=ours_ms <= goal_ms,
        note=f"{turns.note()}; fastest of {len(ours)} {min(ours):.1f} ms, of the bare interpreter {min(bare):.1f} ms",
        samples={name: ours, _BARE: bare},
        set_aside=turns.set_aside,
        disturbed=turns.disturbed,
    )
