"""The tables of a report as templates take them: words, classes and links, and no figure of its own making."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Cell, Report, Row
from benchproof.reporters import layout, tables

MOST_LINES = 50  # behind one figure, as many as a page shows
MARKS = {  # a status or a verdict -> its shape; the word stands beside it
    "passed": "✓",
    "failed": "✗",
    "invalid": "!",
    "unsupported": "\N{EN DASH}",
    "missing": "○",
    "unverified": "?",
    "faster": "▲",
    "slower": "▼",
    "same": "=",
    "undecided": "~",
    "incomparable": "≠",
    "met": "✓",
    "not met": "✗",
    "review": "!",
    "off": "\N{EN DASH}",
}


class Shown(NamedTuple):
    """One cell of a table: a text, beneath it another, and the word that gives both their look."""

    text: str
    kind: str = ""  # a key of MARKS, or nothing
    below: str = ""
    below_kind: str = ""
    lines: tuple[int, ...] = ()  # of results.jsonl, those behind it; no more than a page shows


class Line(NamedTuple):
    """A row, with the numbers of its notes."""

    name: str
    unit: str
    cells: tuple[Shown, ...]
    notes: tuple[int, ...]


class Section(NamedTuple):
    """Rows of one tier; without a name where all are."""

    name: str
    lines: tuple[Line, ...]


class Sheet(NamedTuple):
    """A table. `legend`: how to read it."""

    title: str
    heads: tuple[str, ...]
    sections: tuple[Section, ...]
    legend: str


def of(report: Report) -> Iterator[Sheet]:
    """All tables of a report."""
    for table in tables.of(report):
        yield _pair(table) if isinstance(table, tables.Pair) else _part(report, table)


def _part(report: Report, part: tables.Part) -> Sheet:
    numbers = layout.notes(report)

    def line(row: Row) -> Line:
        divisor, unit = layout.scale(row)
        cells = tuple(_cell(row.cells.get(column.target), divisor, row) for column in part.columns)
        return Line(layout.question(report, row), unit, cells, tuple(tables.marks(row, part.columns, numbers)))

    return Sheet(
        title=part.title or "all targets",
        heads=tuple(layout.title(report, column) for column in part.columns),
        sections=tuple(Section(name, tuple(map(line, rows))) for name, rows in tables.by_tier(part.rows)),
        legend=part.legend,
    )


def _pair(pair: tables.Pair) -> Sheet:
    return Sheet(
        title=pair.title,
        heads=(pair.new.target, pair.base.target, "ratio"),
        sections=tuple(
            Section(name, tuple(_pair_line(pair, line) for line in lines)) for name, lines in tables.lines_by_tier(pair)
        ),
        legend=pair.legend,
    )


def _pair_line(pair: tables.Pair, line: tables.Line) -> Line:
    new, base = (_lines(line.row.cells.get(column.target)) for column in (pair.new, pair.base))
    figures = (
        Shown(line.new, below=line.mechanism, lines=new) if line.new else _status(line.status, new),
        Shown(line.base, lines=base) if line.base else _status(line.base_status, base),
    )
    return Line(line.name, line.unit, (*figures, _ratio(line.comparison)), line.notes)


def _cell(cell: Cell | None, divisor: float, row: Row) -> Shown:
    if cell is None:  # it states this metric in another unit, in a row of its own
        return Shown("")
    if cell.median is None:
        return _status(cell.status, _lines(cell))
    ratio, text = _ratio(cell.comparison), layout.figure_text(cell, divisor, row.unit)
    return Shown(text, below=ratio.text, below_kind=ratio.kind, lines=_lines(cell))


def _lines(cell: Cell | None) -> tuple[int, ...]:
    return cell.lines[:MOST_LINES] if cell else ()


def _status(status: str, lines: tuple[int, ...]) -> Shown:
    return Shown(status, status.removeprefix("reference "), lines=lines)


def _ratio(comparison: Comparison | None) -> Shown:
    text = layout.ratio_text(comparison)
    return Shown(f"{text[2:]} {comparison.verdict}", comparison.verdict) if comparison and text else Shown("")
