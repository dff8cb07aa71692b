"""The tables of the terminal, each as wide as the terminal is: no figure is ever cut.

What does not fit puts the interval beneath its ratio, then leaves out what notes say as well, then becomes several
tables, with fewer targets in each, and at last a few short lines a benchmark. Pictures stand behind the words, or
beneath the table where there is no room for them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Cell, Column, Report, Row
from benchproof.reporters import drawings, layout, pictures, records, tables
from benchproof.reporters.screen import escape, fits

_LONGEST_HEAD = 24  # characters of a column's head in one line


def of(console: Console, report: Report, *, draw: bool = False) -> Iterator[Table | Text | str]:
    """The tables of a report in their order, and beneath them how to read them."""
    drawn = False
    for table in tables.of(report):
        if isinstance(table, tables.Pair):
            found = list(_of_pair(console, table, draw=draw))
        else:
            found = list(_of_part(console, report, table, draw=draw))
        yield from found
        drawn = drawn or any(isinstance(each, drawings.Drawn) for each in found)
        if isinstance(table, tables.Pair) and table.neither:
            yield escape(f"neither has: {', '.join(table.neither)}")
        if table.legend:
            yield table.legend
    if drawn:
        yield pictures.legend(cell.comparison for row in report.rows for cell in row.cells.values())


def _of_pair(console: Console, pair: tables.Pair, *, draw: bool) -> Iterator[Table | Text]:
    if draw and (
        drawn := _first_that_fits(console, [partial(_pair, pair, in_lines=1, drawn=n) for n in drawings.BARS[:-1]])
    ):
        yield drawn
        return
    makers = [
        partial(_pair, pair, in_lines=1),
        partial(_pair, pair, in_lines=2),
        partial(_short, pair, _name),
        partial(_short, pair, lambda line: escape(line.name)),
    ]
    yield _first_that_fits(console, makers) or records.of_pair(console, pair)
    if draw:
        yield from drawings.beneath(console, drawings.of_pair(pair))


def _of_part(console: Console, report: Report, part: tables.Part, *, draw: bool) -> Iterator[Table | Text]:
    makers = [partial(_matrix, report, part, part.columns, in_lines=lines) for lines in (1, 2)]
    found = _first_that_fits(console, makers)
    several = [found] if found else list(_split(console, report, part))
    if all(fits(console, each) for each in several):
        yield from several
    else:
        yield records.of_part(console, report, part)
    if draw:
        yield from drawings.beneath(console, drawings.of_part(report, part))


def _split(console: Console, report: Report, part: tables.Part) -> Iterator[Table]:
    """As many columns in each table as there is room for."""
    columns = list(part.columns)
    while columns:
        some = next(
            (n for n in range(len(columns), 1, -1) if fits(console, _matrix(report, part, columns[:n], in_lines=2))), 1
        )
        yield _matrix(report, part, columns[:some], in_lines=2)
        del columns[:some]


def _first_that_fits(console: Console, makers: Iterable[Callable[[], Table]]) -> Table | None:
    return next((table for make in makers if fits(console, table := make())), None)


def _table(title: str, kind: type[Table] = Table) -> Table:
    return kind(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _add_columns(table: Table, left: Iterable[str], figures: Iterable[tuple[str, str | None]]) -> None:
    """The names of what stands at the left, then those of figures, with their styles."""
    for name in left:
        table.add_column(name, overflow="fold")
    for name, style in figures:
        head = "\n".join(escape(line) for line in textwrap.wrap(name, _LONGEST_HEAD))
        table.add_column(head, justify="right", overflow="fold", style=style)


def _pair(pair: tables.Pair, *, in_lines: int, drawn: int = 0) -> Table:
    """`drawn`: characters for a picture of each ratio; without, there are no pictures."""
    pictured = drawings.of_pair(pair) if drawn else None
    table = _table(escape(pair.title), drawings.Drawn if pictured else Table)
    heads = [(column.target, None) for column in (pair.new, pair.base)]
    _add_columns(table, ("benchmark", "status", "unit"), [*heads, ("ratio", None)])
    table.add_column("notes")
    scale = drawings.scale_of(pictured, drawn) if pictured else None
    if pictured:
        drawings.add_columns(table, pictured, scale)
    for name, lines in tables.lines_by_tier(pair):
        _section(table, name)
        for line in lines:
            figures = (line.new, line.base, _ratio(line.comparison, in_lines))
            more = drawings.cells(pictured, line.name, scale) if pictured else ()
            table.add_row(_name(line), _word(line.status), line.unit, *figures, _numbers(line.notes), *more)
    return table


def _short(pair: tables.Pair, name_of: Callable[[tables.Line], str]) -> Table:
    """For a narrow terminal: what has no figure has its status in that place."""
    table = _table(escape(pair.title))
    heads = [(column.target, None) for column in (pair.new, pair.base)]
    _add_columns(table, ("benchmark", "unit"), [*heads, ("ratio", None)])
    table.add_column("notes")
    for name, lines in tables.lines_by_tier(pair):
        _section(table, name)
        for line in lines:
            words = (line.new or _word(line.status), line.base or _word(line.base_status))
            figures = (*(word.replace(" ±", "\n±") for word in words), _ratio(line.comparison, 2))
            table.add_row(name_of(line), line.unit, *figures, _numbers(line.notes))
    return table


def _section(table: Table, name: str) -> None:
    if name:
        table.add_row(f"[italic]{name}[/]")


def _name(line: tables.Line) -> str:
    mechanism = f"\n[dim]  {escape(line.mechanism)}[/]" if line.mechanism else ""
    return escape(line.name) + mechanism


def _word(status: str) -> str:
    return status if status == "passed" else f"[yellow]{status}[/]"


def _numbers(notes: Iterable[int]) -> str:
    return " ".join(map(str, notes))


def _ratio(comparison: Comparison | None, in_lines: int) -> str:
    text = layout.ratio_text(comparison)
    if comparison is None or not text:
        return ""
    lines = text.replace(" [", "\n[").splitlines() if in_lines > 1 else [text]
    return f"[{drawings.COLOURS[comparison.verdict] or 'default'}]" + "\n".join(map(escape, lines)) + "[/]"


def _matrix(report: Report, part: tables.Part, columns: Iterable[Column], *, in_lines: int) -> Table:
    columns, numbers = tuple(columns), layout.notes(report)
    table = _table(part.title)
    heads = [(layout.title(report, column), "dim" if column.context else None) for column in columns]
    _add_columns(table, ("benchmark", "unit"), heads)
    table.add_column("status", no_wrap=True)
    table.add_column("notes")
    for name, rows in tables.by_tier(part.rows):
        _section(table, name)
        for row in rows:
            divisor, unit = layout.scale(row)
            cells = [_cell(row, row.cells.get(column.target), divisor, in_lines) for column in columns]
            marks = _numbers(tables.marks(row, columns, numbers))
            table.add_row(escape(layout.question(report, row)), unit, *cells, tables.share(row, columns), marks)
    return table


def _cell(row: Row, cell: Cell | None, divisor: float, in_lines: int) -> str:
    if cell is None:  # it states this metric in another unit, in a row of its own
        return ""
    number = layout.figure_text(cell, divisor, row.unit)
    if cell.median is None:
        return f"[yellow]{number}[/]"
    ratio = _ratio(cell.comparison, in_lines)
    return f"{number}\n{ratio}" if ratio else number
