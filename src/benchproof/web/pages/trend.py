"""One metric over runs: its chart, where its level changed, its epochs, and every run behind a point.

`from` and `to` are a window to look through: what changed is judged over all runs, whatever part of them is shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from benchproof.analysis.trend import Point, Stretch, Trend
from benchproof.charts import trend as chart
from benchproof.reporters import layout, trends
from benchproof.store import listings
from benchproof.web import asked
from benchproof.web.asked import Missing
from benchproof.web.pages import trends as list_of_all
from benchproof.web.site import Site


def page(site: Site, request: Request) -> Response:
    """That of one target and one metric, several where a run has it with several parameters; without them the list."""
    if not request.query_params:
        return list_of_all.page(site, request)
    names = {name: asked.text(request, name) for name in ("target", "benchmark", "metric", "parameters", "branch")}
    window = asked.time(request, "from"), asked.time(request, "to")
    found = _found(site, names)
    times = listings.times(
        site.index, {point.run for each in found for part in each.stretches for point in part.points}
    )
    return site.page(
        "trend.html",
        names=names,
        window=window,
        shown=[
            _shown(site, _through(each, times, *window), times) | {"told": trends.parameters(each, found)}
            for each in found
        ],
    )


def _found(site: Site, names: Mapping[str, str]) -> list[Trend]:
    """Judged beside the other metrics of its benchmark: what one lost another may have gained. Raises Missing."""
    some = site.judged(what=names["benchmark"], target=names["target"], branch=names["branch"])
    found = [
        each
        for each in some
        if (each.benchmark, each.metric, each.target) == (names["benchmark"], names["metric"], names["target"])
        and names["parameters"] in {"", each.parameters}
    ]
    if not found:
        raise Missing(f"no complete run has a figure of metric '{names['metric']}' of target '{names['target']}'")
    return found


def _through(found: Trend, times: Mapping[str, str], start: str, end: str) -> Trend:
    """As much of it as the window shows."""
    stretches = (_part(each, times, start, end) for each in found.stretches)
    return msgspec.structs.replace(found, stretches=tuple(each for each in stretches if each.points))


def _part(stretch: Stretch, times: Mapping[str, str], start: str, end: str) -> Stretch:
    # a run that is gone since its trend was judged is in no window
    inside = [listings.within(times.get(point.run, ""), start, end) for point in stretch.points]
    if all(inside):
        return stretch
    first = inside.index(True) if any(inside) else 0
    points = tuple(point for point, is_in in zip(stretch.points, inside, strict=True) if is_in)
    changes = tuple(
        msgspec.structs.replace(each, place=each.place - first)
        for each in stretch.changes
        if 0 < each.place - first < len(points)
    )
    expected = stretch.expected if inside[-1] else None
    return msgspec.structs.replace(stretch, points=points, changes=changes, expected=expected)


def _shown(site: Site, found: Trend, times: Mapping[str, str]) -> dict[str, object]:
    """Words and the chart; its points and those of the table are the same, in the same order."""
    drawn = [(part, point) for part in found.stretches for point in part.points][-chart.MOST_POINTS :]
    return {
        "trend": found,
        "verdict": trends.verdict(found) if found.stretches else "",
        "expected": trends.expected(found.newest) if found.stretches else "",
        "chart": chart.draw(found, say=layout.amount, href=lambda point: _link(site, point)),
        "changes": [
            (change, list(trends.change_lines(change, part))) for part in found.stretches for change in part.changes
        ],
        "points": [(times[point.run], point, layout.amount(point.value, part.unit)) for part, point in drawn][::-1],
    }


def _link(site: Site, point: Point) -> str:
    return str(site.link("runs", point.run))
