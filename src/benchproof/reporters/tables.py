"""Which tables a report has: a target against its reference alone where that serves best, and the matrix of the rest.

A pair of two guests, or the only pair there is, has a table of its own, and it comes first. What is left, and what is
context, is a matrix of targets. Nothing is in two tables, and time and instructions are in none together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import NamedTuple

import msgspec

from benchproof.analysis.compare import Comparison
from benchproof.analysis.invocations import Question, question
from benchproof.analysis.matrix import Cell, Column, Report, Row
from benchproof.reporters import layout

_MOST_PAIRS = 2  # with one reference; more are easier to read side by side
_MOST_OF_A_MECHANISM = 28  # characters beneath a benchmark's name; all of it is in a note
TIERS = {0: "correctness", 1: "primitives", 2: "common operations", 3: "workloads", 4: "user stories"}


class Part(NamedTuple):
    """A matrix: rows that are told of the same columns."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    legend: str
    title: str = ""


class Line(NamedTuple):
    """One metric of a pair. `mechanism`: what the target times, where that is not what the reference times."""

    target: str
    row: Row
    name: str
    mechanism: str
    status: str  # of the target, and of the reference where that alone has no figure
    base_status: str
    unit: str
    new: str  # empty without a figure
    base: str
    comparison: Comparison | None
    notes: tuple[int, ...]


class Pair(NamedTuple):
    """A target against its reference."""

    new: Column
    base: Column
    lines: tuple[Line, ...]
    legend: str
    title: str  # which against which, in what
    neither: tuple[str, ...] = ()  # what both say that they do not have, by name


def of(report: Report) -> Iterator[Pair | Part]:
    """The tables, in the order in which they are read."""
    numbers = layout.notes(report)
    for exact in (False, True):
        columns = [column for column in report.columns if column.exact == exact]
        pairs = _pairs(report, columns)
        for number, (new, base) in enumerate(pairs, start=1):
            legend = layout.legend(report, exact=exact, paired=True) if number == len(pairs) else ""
            asked = [row for row in report.rows if new.target in row.cells]
            lines = _lines(report, [row for row in asked if not _is_of_neither(row, new, base)], new, base, numbers)
            neither = tuple(layout.question(report, row) for row in asked if _is_of_neither(row, new, base))
            title = f"{layout.labelled(report, new)} against {layout.labelled(report, base)}"
            yield Pair(new, base, tuple(lines), legend, title + ", in instructions" * exact, neither)
        shown = {column.target for pair in pairs for column in pair}
        rest = tuple(column for column in columns if column.target not in shown)
        rows = tuple(row for row in report.rows if row.cells.keys() & {column.target for column in rest})
        if rest and pairs and all(column.context for column in rest):
            yield Part(rest, rows, "", "context, not compared")
        elif rest:
            name = "in instructions" if exact else "beside them" if pairs else ""
            yield from _parts(report, rest, rows, layout.legend(report, exact=exact, paired=False), name)


def _parts(report: Report, columns: Sequence[Column], rows: Sequence[Row], legend: str, title: str) -> Iterator[Part]:
    """A matrix for the questions that were asked of the same targets; mostly there is one."""
    groups: dict[tuple[Column, ...], list[Row]] = {}
    for row in rows:
        asked = tuple(column for column in columns if _question(row) in _questions(report, column.target))
        groups.setdefault(asked, []).append(row)
    for number, (some, theirs) in enumerate(groups.items(), start=1):
        yield Part(some, tuple(theirs), legend if number == len(groups) else "", title)


def _question(row: Row) -> Question:
    return question(row.benchmark, row.parameters)


def _questions(report: Report, target: str) -> set[Question]:
    """What the target was asked."""
    return {_question(row) for row in report.rows if target in row.cells}


def _pairs(report: Report, columns: Sequence[Column]) -> list[tuple[Column, Column]]:
    by_name = {column.target: column for column in columns}
    against: dict[str, list[Column]] = {}
    for column in columns:
        told = column.target != column.reference and not column.context and column.reference in by_name
        if told and _questions(report, column.target) == _questions(report, column.reference):
            against.setdefault(column.reference, []).append(column)
    return [
        (column, by_name[reference])
        for reference, some in against.items()
        if len(columns) == 2 or (len(some) <= _MOST_PAIRS and _is_guest(report, by_name[reference]))
        for column in some
    ]


def _is_guest(report: Report, column: Column) -> bool:
    machine = report.envelopes.get(column.envelope, {}).get("machine", {})
    return machine.get("execution", "native") not in {"native", "unknown"}


def _is_of_neither(row: Row, new: Column, base: Column) -> bool:
    cells = [row.cells[column.target] for column in (new, base) if column.target in row.cells]
    return len(cells) == 2 and all(cell.status == "unsupported" for cell in cells)


def _lines(report: Report, rows: Iterable[Row], new: Column, base: Column, numbers: dict[str, int]) -> Iterator[Line]:
    for row in rows:
        cell = row.cells[new.target]
        home = _home(report, row, base.target)
        other = home.cells[base.target]
        both = {name: each for name, each in ((base.target, other), (new.target, cell)) if name in row.cells}
        divisor, unit = layout.scale(msgspec.structs.replace(row, cells=both))
        elsewhere = home.unit is not row.unit and other.median is not None and home.unit is not None
        yield Line(
            target=new.target,
            row=row,
            name=layout.question(report, row),
            mechanism=layout.cut(cell.mechanism, _MOST_OF_A_MECHANISM) if _is_unlike(cell) else "",
            status=_status(cell, other),
            base_status=other.status,
            unit=unit,
            new=_figure(cell, divisor, row),
            base=layout.amount(other.median, home.unit)
            if elsewhere and other.median is not None and home.unit
            else _figure(other, divisor, row),
            comparison=cell.comparison,
            notes=tuple(sorted({*_marks(new.target, cell, numbers), *_marks(base.target, other, numbers)})),
        )


def _home(report: Report, row: Row, target: str) -> Row:
    """The row that has the same metric of the target: another one where it states that in another unit."""
    asked = (row.benchmark, row.parameters, row.metric)
    return next(
        each
        for each in chain((row,), report.rows)
        if target in each.cells and (each.benchmark, each.parameters, each.metric) == asked
    )


def _is_unlike(cell: Cell) -> bool:
    return bool(cell.difference or (cell.comparison and cell.comparison.unlike))


def _status(new: Cell, base: Cell) -> str:
    if new.status != "passed" or base.status == "passed":
        return new.status
    return "no reference" if base.status == "unsupported" else f"reference {base.status}"


def _figure(cell: Cell, divisor: float, row: Row) -> str:
    """Empty without one: the status stands in a column of its own."""
    return "" if cell.median is None else layout.figure_text(cell, divisor, row.unit)


def _marks(target: str, cell: Cell, numbers: dict[str, int]) -> tuple[int, ...]:
    return tuple(numbers[note] for note in layout.cell_notes(target, cell))


def marks(row: Row, columns: Iterable[Column], numbers: dict[str, int]) -> list[int]:
    """The numbers of the notes on these cells of a row."""
    cells = ((column.target, row.cells[column.target]) for column in columns if column.target in row.cells)
    return sorted({number for target, cell in cells for number in _marks(target, cell, numbers)})


def share(row: Row, columns: Iterable[Column]) -> str:
    """How many of these cells of a row passed: `2/3`."""
    cells = [row.cells[column.target] for column in columns if column.target in row.cells]
    return f"{sum(cell.status == 'passed' for cell in cells)}/{len(cells)}"


def lines_by_tier(pair: Pair) -> Iterator[tuple[str, list[Line]]]:
    """The same sections of a pair's lines."""
    lines = {id(line.row): line for line in pair.lines}
    for name, rows in by_tier([line.row for line in pair.lines]):
        yield name, [lines[id(row)] for row in rows]


def by_tier(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Sections of a table: the name of a tier and its rows; without a name where all are of one."""
    ordered = sorted(rows, key=lambda row: row.tier)
    several = len({row.tier for row in ordered}) > 1
    for tier, some in groupby(ordered, key=lambda row: row.tier):
        yield tier_name(tier) if several else "", list(some)


def tier_name(tier: int) -> str:
    """`tier 1: primitives`."""
    return f"tier {tier}: {TIERS[tier]}" if tier in TIERS else f"tier {tier}"
