"""Every call of a tool as a row of SQLite, so that "what was slow" is a question in SQL.

SELECT tool_name, duration_ms FROM mcp_calls WHERE tool_name LIKE 'snapshot%' ORDER BY duration_ms DESC LIMIT 20
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from benchproof.errors import StoreError, UsageError

_LOG = logging.getLogger(__name__)
FILE = "calls.sqlite"
AVERAGES = (
    "SELECT tool_name, count(*) AS calls, sum(outcome <> 'ok') AS not_ok, avg(duration_ms) AS average_ms, "
    "min(duration_ms) AS least_ms, max(duration_ms) AS most_ms FROM mcp_calls GROUP BY tool_name ORDER BY tool_name"
)
_TABLE = (
    "CREATE TABLE IF NOT EXISTS mcp_calls (id INTEGER PRIMARY KEY, tool_name TEXT NOT NULL, started_at TEXT NOT NULL, "
    "duration_ms REAL NOT NULL, outcome TEXT NOT NULL, sandbox TEXT NOT NULL, stages_json TEXT NOT NULL, "
    "error TEXT NOT NULL DEFAULT '')"
)
_INSERT = (
    "INSERT INTO mcp_calls (tool_name, started_at, duration_ms, outcome, sandbox, stages_json, error) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_MOST_ROWS = 1_000_000  # the oldest go first
_SWEEP_EVERY = 10_000


class Calls:
    """The record of a daemon, written by any of its threads."""

    def __init__(self, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(state / FILE, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=OFF")  # a record of calls, not of money: no wait for the disk
            self._database.execute(_TABLE)
        except sqlite3.Error as error:
            raise StoreError(f"cannot keep calls in '{state / FILE}': {error}") from error
        self._added = 0

    def add(
        self,
        tool: str,
        *,
        started: datetime,
        elapsed_ns: int,
        outcome: str,
        sandbox: str,
        stages_ns: Mapping[str, int],
        error: str = "",
    ) -> None:
        """One row; `outcome`: ok, refused or failed."""
        stages = json.dumps({f"{name}_ms": ns / 1e6 for name, ns in stages_ns.items()})
        row = (tool, started.isoformat(), elapsed_ns / 1e6, outcome, sandbox, stages, error)
        try:
            self._insert(row)
        except sqlite3.Error as trouble:  # no room, or the end has begun: the call itself was done all the same
            _LOG.warning("calls tool=%s kept=0 error=%r", tool, str(trouble))

    def _insert(self, row: tuple[object, ...]) -> None:
        with self._lock:
            self._database.execute(_INSERT, row)
            self._added += 1
            if self._added % _SWEEP_EVERY == 0:
                self._database.execute(
                    "DELETE FROM mcp_calls WHERE id <= (SELECT max(id) FROM mcp_calls) - ?", (_MOST_ROWS,)
                )

    def close(self) -> None:
        """No row is added afterwards."""
        with self._lock:
            self._database.close()


def ask(state: Path, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Names and rows of a question that changes nothing. Raises UsageError."""
    file = state / FILE
    if not file.is_file():
        raise UsageError(f"no calls were kept in '{state}'; expected the --state folder of a benchproof-sandboxd")
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
        try:
            cursor = database.execute(sql)
            return tuple(column[0] for column in cursor.description or ()), cursor.fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise UsageError(f"the question cannot be answered: {error}") from error


def table(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    """Lines of columns, numbers to the right."""
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    left = [all(isinstance(row[index], str) for row in rows) for index in range(len(names))]
    for line in (list(names), *texts):
        cells = zip(line, widths, left, strict=True)
        yield "  ".join(
            f"{text:<{width}}" if is_left else f"{text:>{width}}" for text, width, is_left in cells
        ).rstrip()


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
