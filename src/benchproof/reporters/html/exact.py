"""Counts of instructions: a table of their own, since they are never compared with time."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.matrix import Report
from benchproof.markup import Markup
from benchproof.reporters import layout
from benchproof.reporters.html import glance, parts


def section(report: Report) -> Iterator[Markup]:
    """The matrix of the targets whose instructions were counted."""
    columns = [column for column in report.columns if column.exact]
    rows = [row for row in report.rows if any(column.target in row.cells for column in columns)]
    if rows:
        yield glance.matrix(report, columns, rows, "Instructions of one operation, to the last digit")
        yield parts.paragraph(layout.legend(report, exact=True, paired=False), class_="quiet small")
