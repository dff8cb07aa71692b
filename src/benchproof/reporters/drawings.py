"""The pictures of a table: which ratios and values are drawn, in columns of the table or in a table of their own.

What was counted is not drawn: it has neither an interval nor a run of values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchproof.analysis.matrix import Cell, Report
from benchproof.reporters import layout, pictures, tables
from benchproof.reporters.pictures import Scale
from benchproof.reporters.screen import escape

COLOURS = {"faster": "green", "slower": "red", "same": "", "undecided": "dim", "incomparable": "dim"}
_LEAST_BAR, _MOST_BAR = 13, 41  # characters
_NARROW = 60  # columns, below which there is no room for more than words
_GAP = 3  # between two columns


class Drawn(Table):
    """A table with pictures, which need a word about how to read them."""


class Pictured(NamedTuple):
    """`heads`: target -> the head of its column; `lines`: name -> target -> what is drawn of it."""

    heads: dict[str, str]
    lines: dict[str, dict[str, Cell]]

    def only(self, heads: Mapping[str, str]) -> Pictured:
        """These columns of it."""
        return Pictured(dict(heads), self.lines)

    def compared(self, target: str) -> bool:
        """Whether any of its cells has a ratio that can be drawn."""
        comparisons = [cells[target].comparison for cells in self.lines.values() if target in cells]
        return any(each is not None and each.ratio is not None for each in comparisons)

    def spark(self, target: str) -> int:
        """Characters of the longest run of values."""
        return max((len(pictures.spark(cells[target])) for cells in self.lines.values() if target in cells), default=0)


def of_pair(pair: tables.Pair) -> Pictured | None:
    """Of a target and its reference."""
    if pair.new.exact:
        return None
    names = {column.target: column.target for column in (pair.new, pair.base)}
    lines = {line.name: {name: line.row.cells[name] for name in names if name in line.row.cells} for line in pair.lines}
    return with_anything(Pictured(names, lines))


def of_part(report: Report, part: tables.Part) -> Pictured | None:
    """Of all columns of a matrix."""
    heads = {column.target: layout.title(report, column) for column in part.columns if not column.exact}
    lines = {
        layout.question(report, row): {name: row.cells[name] for name in heads if name in row.cells}
        for row in part.rows
    }
    return with_anything(Pictured(heads, lines))


def with_anything(found: Pictured) -> Pictured | None:
    """The columns in which there is anything to draw; None without any."""
    heads = {target: head for target, head in found.heads.items() if found.spark(target) or found.compared(target)}
    return found.only(heads) if heads else None


def scale_of(pictured: Pictured, width: int) -> Scale | None:
    """One scale for all columns."""
    return pictures.scale_of((cell.comparison for cells in pictured.lines.values() for cell in cells.values()), width)


def add_columns(table: Table, pictured: Pictured, width: int) -> Scale | None:
    """A column for ratios and values of each target; the scale that they are drawn on."""
    scale = scale_of(pictured, width)
    for target, head in pictured.heads.items():
        above = f"\n{pictures.axis(scale)}" if scale and pictured.compared(target) else ""
        table.add_column(escape(head) + above, no_wrap=True)
    return scale


def cells(pictured: Pictured, name: str, scale: Scale | None) -> Iterator[str]:
    """Those of one line."""
    for target in pictured.heads:
        cell = pictured.lines[name].get(target)
        yield _drawn(cell, scale if pictured.compared(target) else None) if cell else ""


def _drawn(cell: Cell, scale: Scale | None) -> str:
    found = cell.comparison
    spark = pictures.spark(cell)
    if scale is None:
        return spark
    if found is None or found.ratio is None:
        return f"{' ' * scale.width}  {spark}"
    style = COLOURS[found.verdict] or "default"
    return f"[{style}]{pictures.bar(found.ratio, scale)}[/]  {spark}"


def beneath(console: Console, pictured: Pictured | None) -> Iterator[Table]:
    """The pictures in tables of their own, with as many targets side by side as there is room for."""
    heads = dict(pictured.heads) if pictured and console.width >= _NARROW else {}
    while pictured and heads:
        many = next((n for n in range(len(heads), 1, -1) if _room(console, pictured, list(heads)[:n]) >= _LEAST_BAR), 1)
        some = {target: heads.pop(target) for target in list(heads)[:many]}
        room = _room(console, pictured, list(some))
        if room >= _LEAST_BAR:
            yield _table(pictured.only(some), min(room, _MOST_BAR), scale=scale_of(pictured, min(room, _MOST_BAR)))


def _room(console: Console, pictured: Pictured, targets: list[str]) -> int:
    """Characters for each bar, where these are side by side."""
    names = max(map(len, pictured.lines))
    sparks = sum(_GAP + 2 * pictured.compared(target) + pictured.spark(target) for target in targets)
    bars = sum(pictured.compared(target) for target in targets) or 1
    return (console.width - names - sparks - 2) // bars


def _table(pictured: Pictured, width: int, scale: Scale | None) -> Table:
    table = Drawn(title="drawn", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("benchmark", no_wrap=True)
    add_columns(table, pictured, width)
    for name in pictured.lines:
        table.add_row(escape(name), *cells(pictured, name, scale))
    return table
