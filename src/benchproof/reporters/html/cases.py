"""For each case how its invocations lie, and in which order they came: what a median alone does not tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchproof.analysis.matrix import Report, Row
from benchproof.charts import distribution, sequence
from benchproof.charts.lanes import Lane
from benchproof.markup import Markup, element
from benchproof.reporters import layout
from benchproof.reporters.html import parts

_MOST_OF_A_NAME = 26  # characters of a target beside its median, in half a column
MOST_CASES = 150  # that are drawn; the figures of all are in the tables
_LEGEND = (
    "Left, every invocation as a point; the bar is the median, the line its 95 % interval where there are enough. "
    "Right, the same by block: a slope is drift, a lone point a disturbance; each target has its own scale, at least "
    "10 % of its median high. Hollow: far out (marked, never removed), or not verified. A point leads to its evidence."
)


def section(report: Report) -> Iterator[Markup]:
    """Two charts for each case that has a figure."""
    rows = [row for row in parts.timed(report) if any(cell.values for cell in row.cells.values())]
    if not rows:
        return
    yield parts.paragraph(_LEGEND, class_="quiet small")
    if len(rows) > MOST_CASES:
        yield parts.paragraph(
            f"The first {MOST_CASES} of {len(rows)} cases are drawn; the evidence has the values of all."
        )
    yield element("div", *(_figure(report, row) for row in rows[:MOST_CASES]), class_="cases")


def _figure(report: Report, row: Row) -> Markup:
    lanes = [_lane(report, row, target) for target, cell in row.cells.items() if cell.values]
    name, say = parts.name(layout.question(report, row)), saying(row)
    drawn = (
        distribution.draw(f"{name}: distribution of invocations", lanes, say),
        sequence.draw(f"{name}: invocations by block", lanes, say),
    )
    return element("figure", element("figcaption", name, " ", parts.unit(row)), element("div", *drawn, class_="two"))


def _lane(report: Report, row: Row, target: str) -> Lane:
    cell = row.cells[target]
    interval = cell.intervals.get("median")
    return Lane(
        name=layout.cut(layout.shown_target(report, target), _MOST_OF_A_NAME),
        series=parts.series(report, target),
        values=cell.values,
        blocks=cell.blocks,
        links=parts.points(report, row, target),
        median=cell.median if cell.median is not None else cell.values[0],
        interval=(interval.low, interval.high) if interval else None,
        outliers=cell.summary.outliers if cell.summary else (),
        verified=cell.status == "passed",
    )


def saying(row: Row) -> Callable[[float], str]:
    """A value of the row in words, in the unit of its table."""
    divisor, unit = layout.scale(row)
    return lambda value: f"{layout.figure(value / divisor)} {unit}".rstrip()
