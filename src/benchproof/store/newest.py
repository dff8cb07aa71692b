"""The newest verified figure of each series, without reading the history that led to it. Needs SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from benchproof.model import Frozen
from benchproof.store import epochs
from benchproof.store.database import ENVIRONMENTS, POINTS, RUNS, SERIES

_AT_ONCE = 500  # names in one query


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
    found: dict[tuple[str, ...], Newest] = {}
    for each in _of_series(connection, branch):
        name = (*each.case, each.metric, each.unit)
        if name not in found or (found[name].at, found[name].run_id) < (each.at, each.run_id):
            found[name] = each
    return [found[name] for name in sorted(found)]


def _of_series(connection: Connection, branch: str) -> Iterator[Newest]:
    """The newest of each series; a series is of one environment, so that a metric may have several."""
    by_run: dict[str, list[int]] = {}
    for row in connection.execute(_newest_runs(branch)):
        by_run.setdefault(row.key, []).append(row.series)
    runs = {row.at + row.run_id: row for row in connection.execute(sql.select(RUNS.c.id, RUNS.c.at, RUNS.c.run_id))}
    columns = [SERIES.c[name] for name in ("target", "benchmark", "parameters", "metric", "unit")]
    joined = sql.select(*columns, POINTS.c.value, POINTS.c.n).join(POINTS, POINTS.c.series == SERIES.c.id)
    joined = joined.join(ENVIRONMENTS, ENVIRONMENTS.c.key == SERIES.c.environment).where(
        sql.func.replace(ENVIRONMENTS.c.facts, f'"{epochs.RULES}":', "") == ENVIRONMENTS.c.facts
    )
    for key, numbers in by_run.items():
        run = runs[key]
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            wanted = joined.where(POINTS.c.run == run.id, POINTS.c.series.in_(some))
            for found in connection.execute(wanted).mappings():
                yield Newest(run_id=run.run_id, at=run.at, **found)


def _newest_runs(branch: str) -> sql.Select[tuple[int, str]]:
    """Of each series: the time and name of its newest run as one text, since times are of one width."""
    wanted = (
        sql.select(POINTS.c.series, sql.func.max(RUNS.c.at + RUNS.c.run_id).label("key"))
        .join(RUNS, RUNS.c.id == POINTS.c.run)
        .where(RUNS.c.state == "complete", POINTS.c.verified)
        .group_by(POINTS.c.series)
    )
    return wanted.where(RUNS.c.branch == branch) if branch else wanted
