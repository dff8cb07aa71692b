"""The executive matrix: benchmarks down, targets across, how each answer ended, and the verdict with its ratio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchproof.analysis.matrix import Column, Report, Row
from benchproof.markup import Markup, element, join
from benchproof.reporters import layout, tables
from benchproof.reporters.html import parts

_CAPTION = (
    "Medians; beneath, the verdict against the target behind the slash, the ratio and its interval. A figure leads to "
    "the lines of results.jsonl behind it."
)


def section(report: Report) -> Iterator[Markup]:
    """The matrix of all targets on which time was measured."""
    columns = [column for column in report.columns if not column.exact]
    rows = [row for row in parts.timed(report) if any(column.target in row.cells for column in columns)]
    if rows:
        yield matrix(report, columns, rows, _CAPTION)
        yield parts.paragraph(layout.legend(report, exact=False, paired=False, signs=False), class_="quiet small")


def matrix(report: Report, columns: Sequence[Column], rows: Sequence[Row], caption: str) -> Markup:
    """The table of these targets and rows, in sections by tier."""
    heads = [parts.name(layout.title(report, column)) for column in columns]
    top = element("tr", *(element("th", head, scope="col") for head in ("Benchmark", *heads)))
    body = [line for name, some in tables.by_tier(rows) for line in _tier(report, columns, heads, name, some)]
    return parts.framed(caption, element("thead", top), element("tbody", *body))


def _tier(
    report: Report, columns: Sequence[Column], heads: Sequence[str], name: str, rows: Sequence[Row]
) -> Iterator[Markup]:
    if name:
        head = element("th", name.capitalize(), scope="rowgroup", colspan=str(len(columns) + 1))
        yield element("tr", head, class_="tier")
    numbers = layout.notes(report)
    for row in rows:
        cells = (
            element("td", _cell(report, row, column, numbers), data_head=head)
            if column.target in row.cells
            else element("td")
            for column, head in zip(columns, heads, strict=True)
        )
        yield element("tr", element("th", _name(report, row), scope="row"), *cells)


def _name(report: Report, row: Row) -> Markup:
    said = parts.name(layout.question(report, row))
    return join((said, " ", parts.unit(row)))


def _cell(report: Report, row: Row, column: Column, numbers: dict[str, int]) -> Markup:
    cell = row.cells[column.target]
    marks = parts.notes(numbers, column.target, cell)
    return join((parts.figure(report, row, column.target), " ", marks, parts.ratio(cell.comparison)))
