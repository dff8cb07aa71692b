"""The ratios as a forest plot: for each target a table, a line for each metric, all on one logarithmic scale."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Column, Report, Row
from benchproof.charts import forest
from benchproof.charts.svg import Scale
from benchproof.markup import Markup, element, join
from benchproof.reporters import layout
from benchproof.reporters.html import parts

_LEGEND = (
    "The mark is the estimate (up: faster, down: slower, square: the same, hollow circle: undecided), the line its "
    "interval, the grey band the margin within which two are the same, a dashed frame the measured A/A floor. Left of "
    "1x is less: good where lower is better, bad where higher is."
)


def section(report: Report) -> Iterator[Markup]:
    """One plot for each target that was compared."""
    made = [plot for column in report.columns if not column.exact for plot in _plot(report, column)]
    if made:
        yield parts.paragraph(_LEGEND, class_="quiet small")
        yield from made


def _plot(report: Report, column: Column) -> Iterator[Markup]:
    rows = [row for row in report.rows if column.target in row.cells]
    found = [(row, each) for row in rows if (each := row.cells[column.target].comparison) and each.ratio]
    if not found:
        return
    on = forest.scale(each for _, each in found)
    title = f"{parts.name(layout.labelled(report, column))} against {parts.name(column.reference)}"
    heads = ("Benchmark", "Verdict and ratio", forest.axis(on))
    top = (element("th", head, scope="col", class_="strip" if place == 2 else None) for place, head in enumerate(heads))
    lines = (_line(report, row, column, each, on) for row, each in found)
    yield element("h3", title)
    yield parts.framed(
        f"Ratios of {title}, with intervals",
        element("thead", element("tr", *top)),
        element("tbody", *lines),
        look="cards forest",
    )
    yield parts.items(_without(report, column, rows))


def _line(report: Report, row: Row, column: Column, comparison: Comparison, on: Scale) -> Markup:
    name = parts.name(layout.question(report, row))
    said = f"{comparison.verdict}: {layout.ratio_text(comparison)[2:]}"
    href = f"#{parts.anchor(report, row, column.target)}"
    strip = forest.strip(comparison, on, title=name, said=said, href=href)
    head = join((element("a", name, href=href), " ", parts.unit(row)))
    return element(
        "tr",
        element("th", head, scope="row"),
        element("td", parts.ratio(comparison), _why(comparison)),
        element("td", strip, class_="strip"),
    )


def _why(comparison: Comparison) -> Markup:
    if comparison.verdict in forest.MARKS or not comparison.reason:
        return Markup("")
    return element("small", f" {layout.cut(comparison.reason, 200)}", class_="quiet")


def _without(report: Report, column: Column, rows: list[Row]) -> Iterator[str]:
    """What was compared and has no interval, with the reason."""
    for row in rows:
        comparison = row.cells[column.target].comparison
        if comparison is not None and comparison.ratio is None:
            words = layout.ratio_text(comparison)[2:] or comparison.reason
            yield f"{parts.name(layout.question(report, row))}: {comparison.verdict}: {layout.cut(words, 200)}"
