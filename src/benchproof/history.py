"""From the index to trends: which stored series are one line, and what the system under test was at each change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchproof import labels
from benchproof.analysis import trend
from benchproof.analysis.trend import Change, Epoch, Point, Series, Trend
from benchproof.errors import UsageError
from benchproof.plugins import nearest

if TYPE_CHECKING:
    from benchproof.store.index import Index, StoredSeries


def opened(home: Path, url: str | None) -> Index:
    """The index of these runs. Raises UsageError where its libraries are not installed or where there are no runs."""
    if not url and not (home / "runs").is_dir():
        raise UsageError(f"no runs in '{home}'; `benchproof run` makes one, --home names another folder")
    try:
        from benchproof.store.index import Index  # noqa: PLC0415 - SQLAlchemy is an extra
    except ModuleNotFoundError as error:
        raise UsageError(f"a history needs {error.name}: pip install 'benchproof[history]'") from error
    return Index(home, url)


def trends(
    index: Index,
    *,
    what: str = "",
    target: str = "",
    branch: str = "",
    delta: float | None = None,
    points: bool = False,
) -> tuple[Trend, ...]:
    """Of all series, or of those of a benchmark or metric, a target, a branch. Raises UsageError if there is none."""
    found = judged(index, what=what, target=target, branch=branch, delta=delta, points=points)
    if not found:
        _refuse(index, what=what, target=target, branch=branch)
    return found


def judged(
    index: Index,
    *,
    what: str = "",
    target: str = "",
    branch: str = "",
    delta: float | None = None,
    points: bool = False,
    among: Collection[tuple[str, str, str]] = (),
) -> tuple[Trend, ...]:
    """The same, which may be none. `among`: only of these targets, benchmarks and metrics."""
    stored = index.series(what=what, target=target, branch=branch, among=among)
    try:
        found = trend.judge(lines(stored), delta=delta, points=points)
    except ModuleNotFoundError as error:
        raise UsageError(f"a history needs {error.name}: pip install 'benchproof[history]'") from error
    return _with_systems(index, found)


def _refuse(index: Index, *, what: str, target: str, branch: str) -> None:
    """Says what there is in place of what was asked for."""
    names, targets = index.names()
    if what and what not in names:
        raise UsageError(f"no run has a figure of '{what}'; {nearest(what, sorted(names))}")
    if target and target not in targets:
        raise UsageError(f"no run has a figure of target '{target}'; {nearest(target, sorted(targets))}")
    branches = sorted({run.labels.get("branch", "") for run in index.runs()} - {""})
    if branch and branch not in branches:
        raise UsageError(f"no run is of branch '{branch}'; {nearest(branch, branches)}")
    raise UsageError("no complete run has such a figure; `benchproof list runs` shows what there is")


# ---- which stored series are one line ----


def lines(stored: Iterable[StoredSeries]) -> list[Series]:
    """One metric of one benchmark on one target is one line, unless a run has it with several parameters at once."""
    groups: defaultdict[tuple[str, ...], list[StoredSeries]] = defaultdict(list)
    for each in stored:
        groups[each.target, each.benchmark, each.metric].append(each)
    return [_line(part) for group in groups.values() for part in _split(group)]


def _split(group: Sequence[StoredSeries]) -> Iterable[Sequence[StoredSeries]]:
    """By parameters if they are cases side by side; as they are if one took the place of the other."""
    by_parameters: defaultdict[str, list[StoredSeries]] = defaultdict(list)
    for each in group:
        by_parameters[each.parameters].append(each)
    runs = [{point.run.run_id for each in part for point in each.points} for part in by_parameters.values()]
    disjoint = sum(map(len, runs)) == len(set().union(*runs))
    return [group] if disjoint else by_parameters.values()


def _line(part: Sequence[StoredSeries]) -> Series:
    in_time = sorted(part, key=lambda each: each.points[-1].run.at)
    newest = in_time[-1]
    return Series(
        target=newest.target,
        benchmark=newest.benchmark,
        metric=newest.metric,
        parameters=newest.parameters,
        epochs=tuple(map(_epoch, in_time)),
    )


def _epoch(stored: StoredSeries) -> Epoch:
    parameters: Mapping[str, Any] = msgspec.json.decode(stored.parameters)
    facts = stored.environment | {f"parameters.{name}": str(value) for name, value in parameters.items()}
    facts |= {"metric.unit": stored.unit, "metric.clock": stored.clock, "metric.better": stored.better}
    points = (
        Point(run=each.run.run_id, commit=labels.named(each.run.labels), value=each.value, verified=each.verified)
        for each in stored.points
    )
    return Epoch(facts=facts, unit=stored.unit, better=stored.better, clock=stored.clock, points=tuple(points))


# ---- what was measured, where a level changed ----


def _with_systems(index: Index, found: Iterable[Trend]) -> tuple[Trend, ...]:
    trends = tuple(found)
    wanted = {
        (point.run, each.target)
        for each in trends
        for stretch in each.stretches
        for change in stretch.changes
        for point in (change.before, change.after)
    }
    systems = index.systems(wanted) if wanted else {}
    return tuple(_told(each, systems) for each in trends)


def _told(trend_: Trend, systems: Mapping[tuple[str, str], Mapping[str, str]]) -> Trend:
    def told(change: Change) -> Change:
        before, after = (systems.get((point.run, trend_.target), {}) for point in (change.before, change.after))
        return msgspec.structs.replace(change, system=trend.differing(before, after))

    stretches = (
        msgspec.structs.replace(stretch, changes=tuple(map(told, stretch.changes))) for stretch in trend_.stretches
    )
    return msgspec.structs.replace(trend_, stretches=tuple(stretches))
