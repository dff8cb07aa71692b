"""Rows of the index, as the database hands them out. Needs SQLAlchemy.

The index is brought up to date first. One that a team shares has the points of all its homes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from benchproof.exports.tables import Row, instant
from benchproof.store.database import ENVIRONMENTS, POINTS, RUNS, SERIES, Database, address

_AT_ONCE = 5000
_HEAD = (
    *(SERIES.c.key, SERIES.c.target, SERIES.c.benchmark, SERIES.c.parameters),
    *(SERIES.c.metric, SERIES.c.unit, SERIES.c.better, SERIES.c.clock),
)


def series(home: Path, url: str | None, wanted: Collection[str] | None) -> Iterator[Row]:
    """All of them, or those with a point of the `wanted` runs."""
    query = sql.select(*_HEAD, ENVIRONMENTS.c.facts).join(ENVIRONMENTS, ENVIRONMENTS.c.key == SERIES.c.environment)
    if wanted is not None:
        with_point = sql.select(POINTS.c.series).join(RUNS, RUNS.c.id == POINTS.c.run).where(RUNS.c.run_id.in_(wanted))
        query = query.where(SERIES.c.id.in_(with_point))
    for row in _streamed(home, url, query.order_by(SERIES.c.key)):
        yield tuple(row)


def points(home: Path, url: str | None, wanted: Collection[str] | None) -> Iterator[Row]:
    """All of them, or those of the `wanted` runs; by series, and within it in the order in which they were added."""
    stored = (RUNS.c.run_id, RUNS.c.at, RUNS.c.state, POINTS.c.value, POINTS.c.n, POINTS.c.spread, POINTS.c.verified)
    joined = POINTS.join(SERIES, SERIES.c.id == POINTS.c.series).join(RUNS, RUNS.c.id == POINTS.c.run)
    query = sql.select(*_HEAD, *stored).select_from(joined)
    if wanted is not None:
        query = query.where(RUNS.c.run_id.in_(wanted))
    at = len(_HEAD) + stored.index(RUNS.c.at)
    for row in _streamed(home, url, query.order_by(POINTS.c.series, POINTS.c.run)):
        yield (*row[:at], instant(row[at]), *row[at + 1 :])


def _streamed(home: Path, url: str | None, query: sql.Select[Any]) -> Iterator[sql.Row[Any]]:
    database = Database(address(home, url))
    try:
        with database.explained(), database.reading() as connection:
            yield from connection.execution_options(yield_per=_AT_ONCE).execute(query)
    finally:
        database.close()
