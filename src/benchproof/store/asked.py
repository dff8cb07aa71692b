"""What was asked of whom, and what became of it the last time; what gates said from run to run. Needs SQLAlchemy."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sql

from benchproof.model import Frozen
from benchproof.store.database import ANSWERS, CASES, GATES, RUNS
from benchproof.store.index import Index, Known

_ANSWER = (ANSWERS.c.passed, ANSWERS.c.asked, ANSWERS.c.status, ANSWERS.c.reason)


class Latest(Frozen, frozen=True, kw_only=True):
    """The newest answers of one target to one benchmark."""

    benchmark: str
    target: str
    passed: int  # of the questions of the benchmark: it may have several parameters
    asked: int
    status: str  # the worst
    reason: str
    run_id: str
    at: str  # UTC


class Said(Frozen, frozen=True, kw_only=True):
    """What a gate said of one target in one run."""

    run_id: str
    verdict: str
    reason: str


class Gate(Frozen, frozen=True):
    """One gate on one target over runs."""

    name: str
    target: str
    parameters: str  # as JSON
    said: dict[str, Said]  # by run


def latest(index: Index) -> list[Latest]:
    """Of every benchmark and target that was ever asked. Raises StoreError."""
    others = ANSWERS.alias()
    newest = sql.select(sql.func.max(others.c.at_us)).where(others.c.question == CASES.c.id).scalar_subquery()
    is_newest = sql.and_(ANSWERS.c.question == CASES.c.id, ANSWERS.c.at_us == newest)
    wanted = (  # outer joins, though each has an answer: SQLite would begin with the million answers
        sql.select(CASES.c.benchmark, CASES.c.target, *_ANSWER, RUNS.c.run_id, RUNS.c.at)
        .join_from(CASES, ANSWERS, is_newest, isouter=True)
        .join(RUNS, RUNS.c.id == ANSWERS.c.run, isouter=True)
        .order_by(CASES.c.benchmark, CASES.c.target, RUNS.c.run_id)
    )
    with index.reading() as connection:
        found = [Latest(**row) for row in connection.execute(wanted).mappings() if row["run_id"] is not None]
    return list({(each.benchmark, each.target): each for each in found}.values())  # of two at once the last


def gates(index: Index, *, branch: str, skip: int, most: int) -> tuple[list[Known], list[Gate], int]:
    """Some runs that had gates, the newest first, what each gate said in them, and how many such runs there are."""
    where = [RUNS.c.gates != ""] + ([RUNS.c.branch == branch] if branch else [])
    page = sql.select(RUNS).where(*where).order_by(RUNS.c.at.desc(), RUNS.c.run_id.desc()).offset(skip).limit(most)
    with index.reading() as connection:
        total = connection.execute(sql.select(sql.func.count()).select_from(RUNS).where(*where)).scalar_one()
        runs = {row.id: index.known(row) for row in connection.execute(page)}
        rows = connection.execute(sql.select(GATES).where(GATES.c.run.in_(list(runs))).order_by(GATES.c.number))
        return list(runs.values()), _by_gate(rows.all(), {number: run.run_id for number, run in runs.items()}), total


def _by_gate(rows: Sequence[sql.Row[tuple[object, ...]]], runs: dict[int, str]) -> list[Gate]:
    found: dict[tuple[str, str, str], Gate] = {}
    for row in rows:
        key = (row.name, row.target, row.parameters)
        said = Said(run_id=runs[row.run], verdict=row.verdict, reason=row.reason)
        found.setdefault(key, Gate(*key, {})).said[said.run_id] = said
    return [found[key] for key in sorted(found)]
