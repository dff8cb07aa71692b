"""The pictures of a table: which ratios and values are drawn, in columns of the table or in a table of their own.

What was counted is not drawn: it has neither an interval nor a run of values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchproof.analysis.matrix import Cell, Report
from benchproof.reporters import layout, pictures, tables
from benchproof.reporters.pictures import Scale
from benchproof.reporters.screen import escape, fits

COLOURS = {"faster": "green", "slower": "red", "same": "", "undecided": "dim", "incomparable": "dim"}
BARS = (41, 31, 21, 13)  # characters of a picture, the widest that fits
_NARROW = 60  # columns, below which there is no room for more than words
_LONGEST_HEAD = 24  # characters


class Drawn(Table):
    """A table with pictures, which need a word about how to read them."""


class Pictured(NamedTuple):
    """`heads`: target -> the head of its column; `lines`: name -> target -> what is drawn of it."""

    heads: dict[str, str]
    lines: dict[str, dict[str, Cell]]

    def only(self, targets: Iterable[str]) -> Pictured:
        """These columns of it."""
        return Pictured({target: self.heads[target] for target in targets}, self.lines)

    def compared(self, target: str) -> bool:
        """Whether any of its cells has a ratio that can be drawn."""
        comparisons = [cells[target].comparison for cells in self.lines.values() if target in cells]
        return any(each is not None and each.ratio is not None for each in comparisons)

    def has(self, target: str) -> bool:
        """Whether there is anything to draw in its column."""
        return self.compared(target) or any(
            pictures.spark(cells[target]) for cells in self.lines.values() if target in cells
        )


def of_pair(pair: tables.Pair) -> Pictured | None:
    """Of a target and its reference."""
    if pair.new.exact:
        return None
    names = {column.target: column.target for column in (pair.new, pair.base)}
    lines = {line.name: {name: line.row.cells[name] for name in names if name in line.row.cells} for line in pair.lines}
    return with_anything(Pictured(names, lines))


def of_part(report: Report, part: tables.Part) -> Pictured | None:
    """Of all columns of a matrix. A metric that some targets state in another unit has one line for all of them."""
    heads = {column.target: column.target for column in part.columns if not column.exact}
    lines: dict[str, dict[str, Cell]] = {}
    for row in part.rows:
        found = {name: row.cells[name] for name in heads if name in row.cells}
        lines.setdefault(layout.question(report, row), {}).update(found)
    return with_anything(Pictured(heads, lines))


def with_anything(found: Pictured) -> Pictured | None:
    """The columns in which there is anything to draw; None without any."""
    some = [target for target in found.heads if found.has(target)]
    return found.only(some) if some else None


def scale_of(pictured: Pictured, width: int) -> Scale | None:
    """One scale for all columns."""
    return pictures.scale_of((cell.comparison for cells in pictured.lines.values() for cell in cells.values()), width)


def add_columns(table: Table, pictured: Pictured, scale: Scale | None) -> None:
    """A column for ratio and values of each target."""
    for target, head in pictured.heads.items():
        above = f"\n{pictures.axis(scale)}" if scale and pictured.compared(target) else ""
        table.add_column(escape(layout.cut(head, _LONGEST_HEAD)) + above, no_wrap=True)


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
    heads = list(pictured.heads) if pictured and console.width >= _NARROW else []
    while pictured and heads:
        tried = ((many, _table(pictured, heads[:many], bar)) for many in range(len(heads), 0, -1) for bar in BARS)
        many, table = next(((many, table) for many, table in tried if fits(console, table)), (1, None))
        if table is not None:
            yield table
        del heads[:many]


def _table(pictured: Pictured, targets: list[str], width: int) -> Table:
    table = Drawn(title="drawn", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("benchmark", no_wrap=True)
    some, scale = pictured.only(targets), scale_of(pictured, width)
    add_columns(table, some, scale)
    for name in some.lines:
        table.add_row(escape(name), *cells(some, name, scale))
    return table
