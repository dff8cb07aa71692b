"""Speed-up over CPUs, latency over agents, and the quantiles of a metric that has several."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from benchproof.analysis.degradation import Curve as Crowd
from benchproof.analysis.matrix import Report, Row
from benchproof.analysis.scaling import ScalingRow
from benchproof.charts import scaling
from benchproof.charts.scaling import Curve
from benchproof.markup import Markup, element
from benchproof.reporters import crowds, layout, speeds
from benchproof.reporters.html import parts
from benchproof.reporters.html.cases import saying

_QUANTILE = re.compile(r"(.+?)[._]?(?:(p\d{1,2}(?:\.\d{1,3})?|median))", re.ASCII)
_MOST = 30  # charts of a kind
_MOST_STEPS = 40  # of the curve of a law


def section(report: Report) -> Iterator[Markup]:
    """Each of the three, where there is one."""
    yield from _scaling(report)
    yield from _crowds(report)
    yield from _quantiles(report)


def _scaling(report: Report) -> Iterator[Markup]:
    if not report.scaling:
        return
    yield element("h3", "Speed-up with more CPUs")
    head = speeds.head(report)
    rows = (speeds.texts(row, report) for row in report.scaling)
    yield parts.table("Medians and speed-ups by width", head, rows)
    by_workload: dict[str, list[ScalingRow]] = {}
    for row in report.scaling:
        by_workload.setdefault(row.workload, []).append(row)
    for workload, some in list(by_workload.items())[:_MOST]:
        yield from _speedups(workload, some)
    yield parts.items(line for row in report.scaling for line in speeds.details(row))
    yield parts.paragraph(speeds.LEGEND, class_="quiet small")


def _speedups(workload: str, rows: Sequence[ScalingRow]) -> Iterator[Markup]:
    widths = sorted({step.width for row in rows for step in row.steps if step.speedup is not None} | {1})
    if len(widths) < 2:
        return
    curves = [_measured(row, number) for number, row in enumerate(rows)]
    curves += [_law(row, number, widths) for number, row in enumerate(rows) if row.law is not None]
    ideal = tuple((float(width), float(width)) for width in widths)
    curves.append(Curve(name="ideal: as many times as fast as CPUs", series=5, points=ideal, measured=False))
    ticks = [(float(width), str(width)) for width in widths]
    drawn = scaling.draw(
        f"{parts.name(workload)}: speed-up by CPUs",
        curves,
        ticks=ticks,
        across="CPUs",
        say=lambda value: f"{value:.3g}x",
    )
    yield element("figure", element("figcaption", parts.name(workload)), drawn, class_="curves")


def _measured(row: ScalingRow, number: int) -> Curve:
    known = {float(step.width): step for step in row.steps if step.speedup is not None}
    points = {width: step.speedup for width, step in known.items() if step.speedup is not None}
    if any(step.width == 1 and step.median is not None for step in row.steps):
        points = {1.0: 1.0} | points
    spans = {width: (step.interval.low, step.interval.high) for width, step in known.items() if step.interval}
    return Curve(name=parts.name(row.system), series=number, points=tuple(sorted(points.items())), spans=spans)


def _law(row: ScalingRow, number: int, widths: Sequence[int]) -> Curve:
    assert row.law is not None
    every = max(1, (max(widths) - min(widths)) // _MOST_STEPS)
    places = sorted({*range(min(widths), max(widths), every), *widths})
    points = tuple((float(width), row.law.speedup(width)) for width in places)
    name = f"{parts.name(row.system)}: Universal Scalability Law"
    return Curve(name=name, series=number, points=points, measured=False)


def _crowds(report: Report) -> Iterator[Markup]:
    if not report.crowds:
        return
    yield element("h3", "Agents at once")
    rows = (line for curve in report.crowds for line in crowds.texts(curve))
    yield parts.table("Each target with so many agents", crowds.HEAD, rows)
    curves = [each for number, curve in enumerate(report.crowds) if (each := _latency(curve, number)).points]
    agents = sorted({int(x) for curve in curves for x, _ in curve.points})
    if len(agents) > 1:
        ticks = [(math.log2(max(1, each)), str(each)) for each in agents]
        placed = [_by_doubling(curve) for curve in curves]
        drawn = scaling.draw(
            "Latency by agents", placed, ticks=ticks, across="agents", say=lambda value: layout.amount(value, "ns")
        )
        yield element("figure", element("figcaption", "Latency of one operation"), drawn, class_="curves")
    yield parts.items(words for curve in report.crowds for words in crowds.details(curve))
    yield parts.paragraph(crowds.LEGEND, class_="quiet small")


def _latency(curve: Crowd, number: int) -> Curve:
    points = tuple((float(each.agents), each.latency_ns) for each in curve.points if each.latency_ns is not None)
    return Curve(name=parts.name(curve.target), series=number, points=points)


def _by_doubling(curve: Curve) -> Curve:
    points = tuple((math.log2(max(1.0, x)), value) for x, value in curve.points)
    return Curve(name=curve.name, series=curve.series, points=points)


def _quantiles(report: Report) -> Iterator[Markup]:
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in parts.timed(report):
        found = _QUANTILE.fullmatch(row.metric)
        stem, name = (found[1], found[2]) if found else (row.metric, "median")  # what an invocation gives is a median
        groups.setdefault((stem, str(sorted(row.parameters.items())), row.unit or ""), {})[name] = row
    plots = [plot for (stem, _, _), rows in groups.items() if len(rows) > 1 for plot in _of_metric(report, stem, rows)]
    if plots:
        yield element("h3", "Quantiles")
        yield from plots[:_MOST]


def _of_metric(report: Report, stem: str, rows: Mapping[str, Row]) -> Iterator[Markup]:
    """Between the median and p99.9 the places are by how rare: each nine is a step."""
    ordered = dict(sorted(rows.items(), key=lambda pair: _rarity(pair[0])))
    curves = []
    for number, column in enumerate(report.columns):
        cells = {name: row.cells[column.target] for name, row in ordered.items() if column.target in row.cells}
        points = tuple((_rarity(name), cell.median) for name, cell in cells.items() if cell.median is not None)
        if points:
            curves.append(Curve(name=parts.name(layout.labelled(report, column)), series=number, points=points))
    if curves:
        ticks = [(_rarity(name), name) for name in ordered]
        say = saying(next(iter(ordered.values())))
        drawn = scaling.draw(f"{parts.name(stem)}: quantiles", curves, ticks=ticks, across="quantile", say=say)
        yield element("figure", element("figcaption", parts.name(stem)), drawn, class_="curves")


def _rarity(name: str) -> float:
    share = 50.0 if name == "median" else float(name.removeprefix("p"))
    return -math.log10(max(1e-4, 1 - share / 100))
