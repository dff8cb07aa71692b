"""Where each figure is from: every value with the line of results.jsonl that has its raw samples."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.matrix import Cell, Report, Row
from benchproof.markup import Markup, element, join
from benchproof.reporters import layout
from benchproof.reporters.html import parts
from benchproof.reporters.html.cases import saying

MOST_VALUES = 200  # of a cell; the file has them all


def section(report: Report) -> Iterator[Markup]:
    """One entry for each cell; the table is folded until somebody follows a figure into it."""
    rows = [_entry(report, row, target) for row in report.rows for target in row.cells]
    if not rows:
        return
    where = parts.file_link(report, "results.jsonl")
    yield parts.paragraph(
        "Each line of ",
        where,
        " is one invocation, with its raw samples, its evidence and a hash over itself and the line before. The links "
        "work where this page lies beside the folder runs; anywhere else, sed -n 12p results.jsonl shows line 12.",
    )
    heads = ("Benchmark", "Target", "Values by block, each with its line")
    top = element("thead", element("tr", *(element("th", head, scope="col") for head in heads)))
    made = parts.framed("Values, one an invocation, and the lines they are from", top, element("tbody", *rows))
    yield element("details", element("summary", f"{len(rows)} cells"), made)


def _entry(report: Report, row: Row, target: str) -> Markup:
    cell, key = row.cells[target], parts.anchor(report, row, target)
    cells = (
        element("th", parts.name(layout.question(report, row)), scope="row"),
        element("td", parts.name(layout.shown_target(report, target)), data_head="Target"),
        element("td", _values(report, row, cell, key)),
    )
    return element("tr", *cells, id=key)


def _values(report: Report, row: Row, cell: Cell, key: str) -> Markup:
    say = saying(row)
    if not cell.values:
        lines = [parts.file_link(report, "results.jsonl", str(line), line=line) for line in cell.lines[:MOST_VALUES]]
        return join(
            (
                parts.status(cell.status),
                " ",
                f"line{'s' * (len(lines) > 1)} " if lines else "no line",
                join(lines, ", "),
            )
        )
    made = [
        element("li", f"{say(value)} ", _line(report, cell, place), id=f"{key}-{place}")
        for place, value in enumerate(cell.values[:MOST_VALUES])
    ]
    left = len(cell.values) - MOST_VALUES
    more = [element("li", f"and {left} more")] if left > 0 else []
    return element("ol", *made, *more, class_="lines")


def _line(report: Report, cell: Cell, place: int) -> Markup:
    if place >= len(cell.lines):
        return Markup("")
    line = cell.lines[place]
    return parts.file_link(report, "results.jsonl", f"L{line}", line=line)
