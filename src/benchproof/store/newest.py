"""The newest verified figure of each series, without reading the history that led to it. Needs SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from benchproof.model import Frozen
from benchproof.store import epochs
from benchproof.store.database import ENVIRONMENTS, POINTS, RUNS, SERIES, chunks

_LOOKED_THROUGH = 20  # newest runs; nearly every metric is in one of them, and its history need not be read
_NAME = ("target", "benchmark", "parameters", "metric", "unit")
_Name = tuple[str, ...]  # what the columns above say


class Newest(Frozen, frozen=True, kw_only=True):
    """What the newest complete run that has it says of one metric of one case, whatever its environment was."""

    target: str
    benchmark: str
    parameters: str  # as JSON, keys in order
    metric: str
    unit: str
    value: float
    n: int  # invocations
    run_id: str
    at: str  # UTC

    @property
    def case(self) -> tuple[str, str, str]:
        """Target, benchmark, parameters."""
        return self.target, self.benchmark, self.parameters


def newest(connection: Connection, *, branch: str = "") -> list[Newest]:
    """One of each metric, in the order of its names; of imported and incomplete runs none.

    Nor of what follows an upstream's rules in part: there is no place here to say so beside the figure.
    """
    found: dict[_Name, Newest] = {}
    left = _series(connection)
    for run in connection.execute(_runs(branch).limit(_LOOKED_THROUGH)).all():
        found |= _figures(connection, run, left)
        left = {number: name for number, name in left.items() if name not in found}
    for run, some in _last_runs(connection, branch, left):
        for name, each in _figures(connection, run, {number: left[number] for number in some}).items():
            if name not in found or (found[name].at, found[name].run_id) < (each.at, each.run_id):
                found[name] = each
    return [found[name] for name in sorted(found)]


def _series(connection: Connection) -> dict[int, _Name]:
    """By number; a series is of one environment, so that a metric may have several."""
    follows_all = sql.func.replace(ENVIRONMENTS.c.facts, f'"{epochs.RULES}":', "") == ENVIRONMENTS.c.facts
    columns = [SERIES.c[name] for name in _NAME]
    wanted = sql.select(SERIES.c.id, *columns).join(ENVIRONMENTS, ENVIRONMENTS.c.key == SERIES.c.environment)
    return {number: tuple(name) for number, *name in connection.execute(wanted.where(follows_all))}


def _runs(branch: str) -> sql.Select[tuple[int, str, str]]:
    """Those that count, the newest first."""
    wanted = sql.select(RUNS.c.id, RUNS.c.run_id, RUNS.c.at).where(RUNS.c.state == "complete")
    wanted = wanted.where(RUNS.c.branch == branch) if branch else wanted
    return wanted.order_by(RUNS.c.at.desc(), RUNS.c.run_id.desc())


def _figures(
    connection: Connection, run: sql.Row[tuple[int, str, str]], series: Mapping[int, _Name]
) -> dict[_Name, Newest]:
    """What a run says of these series."""
    of_run = sql.select(POINTS.c.series, POINTS.c.value, POINTS.c.n).where(POINTS.c.run == run.id, POINTS.c.verified)
    return {
        series[row.series]: Newest(
            **dict(zip(_NAME, series[row.series], strict=True)), value=row.value, n=row.n, run_id=run.run_id, at=run.at
        )
        for some in chunks(list(series))
        for row in connection.execute(of_run.where(POINTS.c.series.in_(some)))
    }


def _last_runs(
    connection: Connection, branch: str, series: Iterable[int]
) -> Iterator[tuple[sql.Row[tuple[int, str, str]], list[int]]]:
    """The newest run of each of these series, with the series of which it is: every point of theirs is looked at."""
    runs = _runs(branch).subquery()
    last: dict[str, list[int]] = {}
    # time and name as one text, since times are of one width
    wanted = sql.select(POINTS.c.series, sql.func.max(runs.c.at + runs.c.run_id)).join(runs, runs.c.id == POINTS.c.run)
    wanted = wanted.where(POINTS.c.verified).group_by(POINTS.c.series)
    for some in chunks(list(series)):
        for number, key in connection.execute(wanted.where(POINTS.c.series.in_(some))):
            last.setdefault(key, []).append(number)
    known = {run.at + run.run_id: run for run in connection.execute(_runs(branch))} if last else {}
    return ((known[key], numbers) for key, numbers in last.items())
