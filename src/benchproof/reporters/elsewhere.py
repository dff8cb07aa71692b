"""The words of the table of published figures: what others say of other systems, apart from all that was measured."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.matrix import Report
from benchproof.reporters import layout

TITLE = "published elsewhere: context, never compared"
HEAD = ("metric", "figure", "system")


def texts(report: Report) -> Iterator[tuple[str, str, str]]:
    """A line for each figure, its fields as in `HEAD`; those of one metric together, in the order of the report."""
    order = [row.metric for row in report.rows]
    found = [(figure, each.name) for each in report.published for figure in each.figures]
    known = {metric: number for number, metric in enumerate(dict.fromkeys(order))}
    for figure, name in sorted(found, key=lambda pair: known.get(pair[0].metric, len(known))):
        yield figure.metric, figure.text, layout.cut(name, layout.MOST_OF_A_NAME)


def sources(report: Report) -> Iterator[str]:
    """Who says so, of what, when."""
    for each in report.published:
        told = "; ".join(text for text in (each.source, each.machine, each.date) if text)
        yield f"{layout.cut(each.name, layout.MOST_OF_A_NAME)}: {told}"
