"""From a store to tables: which rows each table is made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchproof import history
from benchproof.errors import UsageError
from benchproof.exports import of_runs
from benchproof.exports.tables import TABLES, Row

Rows = Callable[[], Iterator[Row]]
_OF_A_RUN: dict[str, Callable[[Path], Iterator[Row]]] = {
    "runs": of_runs.runs,
    "results": of_runs.results,
    "figures": of_runs.figures,
    "gates": of_runs.gates,
    "envelopes": of_runs.envelopes,
}
OF_THE_INDEX = tuple(name for name in TABLES if name not in _OF_A_RUN)


def of_folders(name: str, folders: Sequence[Path], *, leave_out: Callable[[str], None]) -> Rows:
    """The rows of one table, run by run. `leave_out` is told of a run whose plan makes no sense here, and why."""
    rows = _OF_A_RUN[name]

    def of(folder: Path) -> Iterator[Row]:
        try:
            yield from rows(folder)
        except UsageError as error:  # before the first row: its report cannot be made
            leave_out(f"{name} of '{folder}': {error}")

    return lambda: itertools.chain.from_iterable(map(of, folders))


def of_index(name: str, home: Path, url: str | None, wanted: Sequence[str] | None) -> Rows:
    """The rows of one table, of all runs of the index or of the `wanted` ids. Raises UsageError without SQLAlchemy."""
    with history.opened(home, url) as opened:
        opened.update()
    from benchproof.exports import of_index as stored  # noqa: PLC0415 - SQLAlchemy is an extra, and was found

    rows = {"series": stored.series, "points": stored.points}[name]
    return lambda: rows(home, url, wanted)
