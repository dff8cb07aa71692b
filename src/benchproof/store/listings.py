"""What pages that list ask of the index: runs by what they are of, a page at a time. No folder is opened."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sql

from benchproof.model import Frozen
from benchproof.store.database import RUNS
from benchproof.store.index import Index, Known, texts

_ESCAPE = "\\"


class Wanted(Frozen, frozen=True, kw_only=True):
    """Which runs; what is empty does not matter."""

    text: str = ""  # somewhere in the id or the labels
    branch: str = ""
    since: str = ""  # the beginning of a time: 2026, 2026-11, 2026-11-20T22
    until: str = ""  # the same, itself included


class Listing(Frozen, frozen=True):
    """One page of runs, the newest first."""

    runs: tuple[Known, ...]
    total: int  # on all pages


def runs(index: Index, wanted: Wanted, *, skip: int, most: int) -> Listing:
    """Those runs, after the first `skip`. Raises StoreError."""
    where = _conditions(wanted)
    page = sql.select(RUNS).where(*where).order_by(RUNS.c.at.desc(), RUNS.c.run_id.desc()).offset(skip).limit(most)
    with index.reading() as connection:
        total = connection.execute(sql.select(sql.func.count()).select_from(RUNS).where(*where)).scalar_one()
        found = tuple(index.known(row) for row in connection.execute(page))
    return Listing(found, total)


def run(index: Index, run_id: str) -> Known | None:
    """The run of that id; None where the index has none. Raises StoreError."""
    with index.reading() as connection:
        row = connection.execute(sql.select(RUNS).where(RUNS.c.run_id == run_id)).first()
    return index.known(row) if row else None


def _conditions(wanted: Wanted) -> list[sql.ColumnElement[bool]]:
    found = []
    if wanted.text:
        found.append(sql.or_(_holds(RUNS.c.run_id, wanted.text), _holds(RUNS.c.labels, wanted.text)))
    if wanted.branch:
        found.append(_holds(RUNS.c.labels, texts({"branch": wanted.branch})[1:-1]))
    if wanted.since:
        found.append(RUNS.c.at >= wanted.since)
    if wanted.until:
        found.append(RUNS.c.at < wanted.until + "~")  # behind everything that begins so
    return found


def _holds(column: sql.Column[Any], text: str) -> sql.ColumnElement[bool]:
    return column.icontains(text, autoescape=True, escape=_ESCAPE)
