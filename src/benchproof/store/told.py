"""What the index keeps of a run beside its figures: which questions had an answer, and what its gates said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from benchproof.store.database import ANSWERS, CASES, GATES
from benchproof.store.database import insert as insert_rows
from benchproof.store.points import Answer
from benchproof.store.verdicts import Gated

_ANSWER = ("question", "at_us", "run", "passed", "asked", "status", "reason")
_GATE = ("run", "number", "name", "benchmark", "target", "parameters", "verdict", "reason")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def insert(connection: Connection, run: int, at: str, answers: Sequence[Answer], gates: Sequence[Gated]) -> None:
    """Of the run that has this number in the index."""
    numbers = _cases(connection, answers)
    when = (datetime.fromisoformat(at) - _EPOCH) // timedelta(microseconds=1)
    rows = [
        (numbers[each.benchmark, each.target], when, run, each.passed, each.asked, each.status, each.reason)
        for each in answers
    ]
    insert_rows(connection, ANSWERS, _ANSWER, rows)
    insert_rows(connection, GATES, _GATE, [(run, number, *each.row()) for number, each in enumerate(gates)])


def _cases(connection: Connection, answers: Sequence[Answer]) -> dict[tuple[str, str], int]:
    """The number of each benchmark on each target; rows for those that have none yet."""
    known = _known(connection)
    new = [key for each in answers if (key := (each.benchmark, each.target)) not in known]
    if new:
        insert_rows(connection, CASES, ("benchmark", "target"), new)
        known = _known(connection)
    return known


def _known(connection: Connection) -> dict[tuple[str, str], int]:
    rows = connection.execute(sql.select(CASES.c.benchmark, CASES.c.target, CASES.c.id))
    return {(row.benchmark, row.target): row.id for row in rows}
