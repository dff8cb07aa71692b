"""For a terminal that has no room for a table: a few short lines a benchmark, in which no figure is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from benchproof.analysis.matrix import Report
from benchproof.reporters import layout, tables
from benchproof.reporters.screen import escape


def of_pair(console: Console, pair: tables.Pair) -> Text:
    """A target against its reference."""
    lines = [pair.title]
    for name, some in tables.lines_by_tier(pair):
        lines += [name] if name else []
        for line in some:
            figures = [
                _told(target, figure, line.unit, status)
                for target, figure, status in (
                    (pair.new.target, line.new, line.status),
                    (pair.base.target, line.base, line.base_status),
                )
            ]
            lines += _record(console, line.name, line.notes, [*figures, layout.ratio_text(line.comparison)])
    return _text(lines)


def of_part(console: Console, report: Report, part: tables.Part) -> Text:
    """Several targets, each with its ratio."""
    numbers = layout.notes(report)
    lines = [part.title] if part.title else []
    for name, rows in tables.by_tier(part.rows):
        lines += [name] if name else []
        for row in rows:
            divisor, unit = layout.scale(row)
            told = []
            for column in (each for each in part.columns if each.target in row.cells):
                cell = row.cells[column.target]
                told.append(_told(layout.title(report, column), layout.figure_text(cell, divisor, row.unit), unit))
                told.append(layout.ratio_text(cell.comparison))
            lines += _record(console, layout.question(report, row), tables.marks(row, part.columns, numbers), told)
    return _text(lines)


def _told(target: str, figure: str, unit: str, status: str = "") -> str:
    return f"{target} {figure} {unit}".rstrip() if figure else f"{target} {status}"


def _record(console: Console, name: str, notes: Iterable[int], told: Iterable[str]) -> Iterator[str]:
    yield name + "".join(f" [{number}]" for number in notes)
    line = ""
    for words in filter(None, told):
        if line and len(line) + 2 + len(words) + 2 > console.width:
            yield f"  {line}"
            line = ""
        line = f"{line}, {words}" if line else words
    yield f"  {line}"


def _text(lines: Iterable[str]) -> Text:
    return Text.from_markup("\n".join(map(escape, lines)))
