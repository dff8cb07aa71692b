"""Does `trend` find the steps, and leave unchanged series alone, beside Apache Otava and ruptures on the same series?

Three questions on series whose truth is known (histories.py): which share of unchanged series is flagged at all, for
five kinds of noise; precision and recall for steps of 5 and 10 % at a CV of 2 %; and the time for many series at once.
Each tool reads the same CSV file in a process of its own: Otava its CLI with its defaults, ruptures as its users write
it (find_changes_ruptures.py). Each has an environment of its own, made by pip at first use; where that fails, the row
says so.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks import histories, peers
from benchmarks.histories import Floats
from benchmarks.rows import ROOT, NoNumber, Row, Turns, in_turn
from benchproof.analysis import changepoints
from benchproof.analysis.trend import DELTA

OTAVA, RUPTURES = "apache-otava==0.8.0", "ruptures==1.1.10"
_OURS = "benchproof"
_SERIES, _POINTS = 200, 500
_FLAGGED_LIMIT = 0.05
_SCORE_LIMIT = 0.97
_TIMED = ((200, 0.5), (1000, 2.0))  # series of 500 points -> seconds
_ROUNDS = 5
_TIMEOUT_S = 600.0
_START = datetime(2001, 1, 1, tzinfo=UTC)
GOAL = "flagged <= 5 %, precision and recall >= 0.97, 200 x 500 in 0.5 s and 1,000 x 500 in 2 s"

Places = Sequence[Sequence[int]]
Tool = Callable[[Path], Places]


def study() -> Sequence[Row]:
    """All of it."""
    return _study(_SERIES, _ROUNDS)


def quick_study() -> Sequence[Row]:
    """Fewer series; the times are of as many as ever."""
    return _study(40, 1)


def _study(count: int, rounds: int) -> list[Row]:
    tools, missing = _tools()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [row for family in histories.FAMILIES for row in _flagged(family, count, tools, folder)]
        rows += [row for size in (0.05, 0.1) for row in _scores(size, count, tools, folder)]
        rows += [_in_process(number, goal_s, rounds) for number, goal_s in _TIMED]
        if "Otava" in tools:
            rows.append(_as_a_process(tools, folder, rounds))
    return rows + [Row(what=f"{peer}, on the same series", goal=GOAL, note=why) for peer, why in missing.items()]


# ---- the tools ----


def _tools() -> tuple[dict[str, Tool], dict[str, str]]:
    """Those that can be had here, and why the others cannot."""
    found: dict[str, Tool] = {_OURS: _ours}
    missing: dict[str, str] = {}
    for name, package, tool in (("Otava", OTAVA, _otava), ("ruptures", RUPTURES, _ruptures)):
        try:
            found[name] = partial(tool, peers.environment(package))
        except NoNumber as error:
            missing[name] = str(error)
    return found, missing


def _ours(file: Path) -> Places:
    output = peers.run([sys.executable, "-m", "benchmarks.find_changes", file], timeout_s=_TIMEOUT_S, cwd=ROOT)
    places: Places = json.loads(output)
    return places


def _ruptures(programs: Path, file: Path) -> Places:
    script = ROOT / "benchmarks" / "find_changes_ruptures.py"
    places: Places = json.loads(peers.run([programs / "python", script, file], timeout_s=_TIMEOUT_S))
    return places


def _otava(programs: Path, file: Path) -> Places:
    """By its CLI, told by a file of configuration what the columns are."""
    with file.open() as opened:
        _, *names = opened.readline().strip().split(",")
    metrics = "".join(f"      {name}: {{column: {name}, direction: -1}}\n" for name in names)
    head = f"    type: csv\n    file: {file}\n    time_column: time\n    attributes: []\n    metrics:\n"
    file.with_suffix(".yaml").write_text(f"tests:\n  study:\n{head}{metrics}")
    command = [programs / "otava", "analyze", "study", "--since", "2000-12-01", "--output", "json"]
    output = peers.run(command, timeout_s=_TIMEOUT_S, OTAVA_CONFIG=str(file.with_suffix(".yaml")))
    places: dict[str, list[int]] = {name: [] for name in names}
    for group in json.loads(output)["study"]:
        for change in group["changes"]:
            places[change["metric"]].append(change["index"])
    return list(places.values())


def _write(values: Floats, file: Path) -> Path:
    """A row an hour, a column a series."""
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["time", *(f"s{number:04}" for number in range(len(values)))])
        for hour, row in enumerate(values.T.tolist()):
            writer.writerow([(_START + timedelta(hours=hour)).isoformat(), *row])
    return file


# ---- what they find ----


def _flagged(family: str, count: int, tools: Mapping[str, Tool], folder: Path) -> list[Row]:
    values = histories.unchanged(family, count=count, points=_POINTS, seed=11)
    file = _write(values, folder / "unchanged.csv")
    shares = {name: 100 * sum(map(bool, tool(file))) / count for name, tool in tools.items()}
    return [
        Row(
            what=f"unchanged series flagged, {family}",
            unit="%",
            measured=shares[_OURS],
            against=peer,
            peer=shares[peer],
            goal=f"<= {_FLAGGED_LIMIT:.0%}",
            met=shares[_OURS] <= 100 * _FLAGGED_LIMIT,
            samples={name: [share] for name, share in shares.items()},
        )
        for peer in _others(tools)
    ]


def _scores(size: float, count: int, tools: Mapping[str, Tool], folder: Path) -> list[Row]:
    values, truth = histories.stepped(size, count=count, points=_POINTS, seed=12)
    file = _write(values, folder / "stepped.csv")
    scores = {name: histories.score(tool(file), truth) for name, tool in tools.items()}
    return [
        Row(
            what=f"steps of {size:.0%}, {what}",
            unit="%",
            measured=100 * scores[_OURS][which],
            against=peer,
            peer=100 * scores[peer][which],
            goal=f">= {_SCORE_LIMIT:.0%}",
            met=scores[_OURS][which] >= _SCORE_LIMIT,
            samples=dict(scores),
        )
        for which, what in enumerate(("precision", "recall"))
        for peer in _others(tools)
    ]


def _others(tools: Mapping[str, Tool]) -> list[str]:
    return [name for name in tools if name != _OURS] or [""]


# ---- how long it takes ----


def _in_process(count: int, goal_s: float, rounds: int) -> Row:
    values = histories.unchanged("Gaussian", count=count, points=_POINTS, seed=13).tolist()
    what = f"{count:,} series x {_POINTS}, in process"
    used_s: list[float] = []

    def find() -> None:
        before_s = time.process_time()
        changepoints.find(values, [DELTA] * count)
        used_s.append(time.process_time() - before_s)

    turns = in_turn({what: partial(_seconds, find)}, rounds=rounds)
    (measured,) = turns.medians(what)
    return Row(
        what=what,
        unit="s",
        measured=measured,
        goal=f"<= {goal_s} s",
        met=measured <= goal_s,
        note=f"{turns.note()}; CPU time {min(used_s):.2f} to {max(used_s):.2f} s",
        samples=turns.samples | {"CPU time": used_s},
        disturbed=turns.disturbed,
    )


def _as_a_process(tools: Mapping[str, Tool], folder: Path, rounds: int) -> Row:
    values = histories.unchanged("Gaussian", count=_TIMED[0][0], points=_POINTS, seed=14)
    file = _write(values, folder / "timed.csv")
    measures = {name: partial(_seconds, partial(tools[name], file)) for name in (_OURS, "Otava")}
    turns: Turns = in_turn(measures, rounds=rounds)
    ours_s, theirs_s = turns.medians(_OURS, "Otava")
    return Row(
        what=f"{_TIMED[0][0]} series x {_POINTS} from a CSV file, whole process",
        unit="s",
        measured=ours_s,
        against="Otava's CLI",
        peer=theirs_s,
        ratio=ours_s / theirs_s,
        goal="less than Otava's CLI",
        met=ours_s < theirs_s,
        note=turns.note(),
        samples=turns.samples,
        set_aside=turns.set_aside,
        disturbed=turns.disturbed,
    )


def _seconds(work: Callable[[], object]) -> float:
    started_s = time.monotonic()
    work()
    return time.monotonic() - started_s
