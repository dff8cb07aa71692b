"""What pages that list ask of the index: runs by what they are of, a page at a time. No folder is opened."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec
import sqlalchemy as sql

from benchproof.errors import UsageError
from benchproof.model import Frozen
from benchproof.store.database import ANSWERS, CASES, POINTS, RUNS, SERIES, chunks
from benchproof.store.index import Index, Known

STATES = ("complete", "running")
STATUSES = ("failed", "invalid", "unsupported", "unverified")  # of a question that has no verified answer
GATES = ("met", "not met", "undecided", "review")
_ESCAPE = "\\"
_EARLIEST, _LATEST = "0000-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,6}Z?)?)?)?)?)?)?", re.ASCII)
_NAMES = msgspec.json.Decoder(tuple[str, ...])


class Wanted(Frozen, frozen=True, kw_only=True):
    """Which runs; what is empty does not matter. Raises UsageError for a time that is none."""

    text: str = ""  # somewhere in the id, the labels or the targets
    benchmark: str = ""  # that was asked
    target: str = ""
    branch: str = ""
    status: str = ""  # of STATES, or of STATUSES: some question ended so
    gate: str = ""  # the worst verdict of its gates
    since: str = ""  # the beginning of a time: 2026, 2026-11, 2026-11-20T22
    until: str = ""  # the same, itself included

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            refuse_no_time(name, getattr(self, name))

    def query(self) -> dict[str, str]:
        """As it is in a URL."""
        return {"q" if name == "text" else name: getattr(self, name) for name in self.__struct_fields__}


def refuse_no_time(name: str, given: str) -> None:
    """Raises UsageError for what is neither nothing nor the beginning of a time."""
    if given and not _TIME.fullmatch(given):
        raise UsageError(f"{name}: expected the beginning of a time such as 2026-11-20, found '{given[:40]}'")


class Line(Frozen, frozen=True, kw_only=True):
    """A run as a list shows it."""

    run: Known
    targets: tuple[str, ...]
    passed: int  # of the questions that were asked so far
    asked: int
    troubles: tuple[str, ...]  # statuses without a verified answer
    gates: str  # the worst verdict; empty without gates


class Listing(Frozen, frozen=True):
    """One page of runs, the newest first."""

    lines: tuple[Line, ...]
    total: int  # on all pages


def runs(index: Index, wanted: Wanted, *, skip: int, most: int) -> Listing:
    """Those runs, after the first `skip`. Raises StoreError."""
    where = _conditions(wanted)
    page = sql.select(RUNS).where(*where).order_by(RUNS.c.at.desc(), RUNS.c.run_id.desc()).offset(skip).limit(most)
    with index.reading() as connection:
        total = connection.execute(sql.select(sql.func.count()).select_from(RUNS).where(*where)).scalar_one()
        return Listing(tuple(_line(index, row) for row in connection.execute(page)), total)


def run(index: Index, run_id: str) -> Known | None:
    """The run of that id; None where the index has none. Raises StoreError."""
    with index.reading() as connection:
        row = connection.execute(sql.select(RUNS).where(RUNS.c.run_id == run_id)).first()
    return index.known(row) if row else None


def _line(index: Index, row: sql.Row[Any]) -> Line:
    statuses = row.statuses.split()
    return Line(
        run=index.known(row),
        targets=_NAMES.decode(row.targets),
        passed=row.passed,
        asked=row.asked,
        troubles=tuple(each for each in STATUSES if each in statuses),
        gates=row.gates,
    )


def _conditions(wanted: Wanted) -> list[sql.ColumnElement[bool]]:
    found = []
    if wanted.text:
        found.append(
            sql.or_(*(_holds(column, wanted.text) for column in (RUNS.c.run_id, RUNS.c.labels, RUNS.c.targets)))
        )
    if wanted.benchmark:
        found.append(RUNS.c.id.in_(_asked(wanted)))
    elif wanted.target:
        found.append(RUNS.c.targets.contains(_written(wanted.target), autoescape=True, escape=_ESCAPE))
    if wanted.branch:
        found.append(RUNS.c.branch == wanted.branch)
    if wanted.status in STATES:
        found.append(RUNS.c.state == wanted.status)
    elif wanted.status:
        found.append(RUNS.c.statuses.contains(f" {wanted.status} "))
    if wanted.gate:
        found.append(RUNS.c.gates == wanted.gate)
    if wanted.since:
        found.append(RUNS.c.at >= wanted.since + _EARLIEST[len(wanted.since) :])
    if wanted.until:
        found.append(RUNS.c.at <= wanted.until + _LATEST[len(wanted.until) :])
    return found


def _asked(wanted: Wanted) -> sql.Select[tuple[int]]:
    """Runs in which that benchmark was asked, of that target if one is named."""
    cases = sql.select(CASES.c.id).where(CASES.c.benchmark == wanted.benchmark)
    if wanted.target:
        cases = cases.where(CASES.c.target == wanted.target)
    return sql.select(ANSWERS.c.run).where(ANSWERS.c.question.in_(cases))


def _written(name: str) -> str:
    return msgspec.json.encode(name).decode()


def _holds(column: sql.Column[Any], text: str) -> sql.ColumnElement[bool]:
    return column.icontains(text, autoescape=True, escape=_ESCAPE)


def series(
    index: Index, text: str, *, branch: str = "", skip: int, most: int
) -> tuple[list[tuple[str, str, str]], int]:
    """Target, benchmark and metric of those whose name holds the text, by name, and how many there are.

    `branch`: only of those that a complete run of that branch has.
    """
    names = (SERIES.c.target, SERIES.c.benchmark, SERIES.c.metric)
    found = sql.select(*names).distinct()
    if text:
        found = found.where(sql.or_(*(_holds(column, text) for column in names)))
    if branch:
        runs = sql.select(RUNS.c.id).where(RUNS.c.branch == branch, RUNS.c.state == "complete")
        of_it = sql.select(POINTS.c.run).where(POINTS.c.series == SERIES.c.id, POINTS.c.run.in_(runs))
        found = found.where(of_it.exists())
    page = found.order_by(SERIES.c.benchmark, SERIES.c.metric, SERIES.c.target).offset(skip).limit(most)
    with index.reading() as connection:
        total = connection.execute(sql.select(sql.func.count()).select_from(found.subquery())).scalar_one()
        return [(row.target, row.benchmark, row.metric) for row in connection.execute(page)], total


def times(index: Index, run_ids: Collection[str]) -> dict[str, str]:
    """When each of these runs was made, in UTC."""
    with index.reading() as connection:
        return {
            row.run_id: row.at
            for some in chunks(sorted(run_ids))
            for row in connection.execute(sql.select(RUNS.c.run_id, RUNS.c.at).where(RUNS.c.run_id.in_(some)))
        }


def within(at: str, since: str, until: str) -> bool:
    """Whether a time is in the window; either end may be the beginning of a time, or nothing."""
    return since + _EARLIEST[len(since) :] <= at <= until + _LATEST[len(until) :]


def version(index: Index) -> tuple[int, ...]:
    """Others where the index knows other runs, or some have ended since."""
    ended = sql.func.count(sql.case((RUNS.c.state == "complete", 1)))
    with index.reading() as connection:
        return tuple(connection.execute(sql.select(sql.func.count(), ended, sql.func.max(RUNS.c.id))).one())
