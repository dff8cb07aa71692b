"""Curves over a number of something: speed-up over CPUs, latency over agents, values over quantiles.

A curve is drawn through what was measured and no further; a fitted law is a curve of its own, dashed, without points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from benchproof.charts import svg
from benchproof.charts.svg import Scale
from benchproof.markup import Markup
from benchproof.model import Frozen

_TOP, _BOTTOM = 12.0, 200.0
_LINE = 18.0  # of the legend
_FAR = 20.0  # from here on, greatest by least, the heights are logarithmic


class Curve(Frozen, frozen=True, kw_only=True):
    """One line. `points` are (place across, value); `spans` the intervals of those that have one, by place."""

    name: str
    series: int
    points: tuple[tuple[float, float], ...]
    spans: Mapping[float, tuple[float, float]] = MappingProxyType({})
    measured: bool = True  # else it is a law or an ideal: dashed, without marks


def draw(
    title: str,
    curves: Sequence[Curve],
    *,
    ticks: Sequence[tuple[float, str]],
    across: str,
    say: Callable[[float], str],
    href: str = "",
) -> Markup:
    """The chart; `ticks`: what stands where across."""
    shown = [curve for curve in curves if curve.points]
    values = [value for curve in shown for _, value in curve.points] + [
        end for curve in shown for span in curve.spans.values() for end in span if math.isfinite(end)
    ]
    apart = min(values) > 0 and max(values) / min(values) > _FAR
    heights = (svg.log_scale if apart else svg.scale)(values, start=_BOTTOM, end=_TOP)
    places = [place for place, _ in ticks]
    on = Scale(min(places), max(places) if max(places) > min(places) else min(places) + 1, 14, 96)
    drawn = [each for curve in shown for each in _curve(curve, on, heights, say, href)]
    legend = [each for n, curve in enumerate(shown) for each in _named(curve, _BOTTOM + 44 + _LINE * n)]
    described = "; ".join(_told(curve, dict(ticks), say) for curve in shown)
    frame = [*_grid(heights, say), *_ticks(on, ticks, across)]
    return svg.chart(title, described, _BOTTOM + 36 + _LINE * len(shown), *frame, *drawn, *legend)


def _told(curve: Curve, ticks: dict[float, str], say: Callable[[float], str]) -> str:
    return f"{curve.name}: " + ", ".join(f"{ticks.get(x, f'{x:g}')} {say(value)}" for x, value in curve.points)


def _grid(heights: Scale, say: Callable[[float], str]) -> Iterator[Markup]:
    for value in heights.ticks(4)[:6]:
        y = heights.at(value)
        yield svg.line(0, y, 100, y, "grid")
        yield svg.words(0, y - 3, svg.tick(say(value)), "muted", anchor="start")


def _ticks(on: Scale, ticks: Sequence[tuple[float, str]], across: str) -> Iterator[Markup]:
    for place, said in ticks:
        yield svg.line(on.at(place), _BOTTOM, on.at(place), _BOTTOM + 4, "axis")
        yield svg.words(on.at(place), _BOTTOM + 16, said, "muted", anchor="middle")
    yield svg.words(100, _BOTTOM + 30, across, "muted", anchor="end")


def _curve(curve: Curve, on: Scale, heights: Scale, say: Callable[[float], str], href: str) -> Iterator[Markup]:
    look = svg.series_class(curve.series)
    places = [(on.at(x), heights.at(value)) for x, value in curve.points]
    yield from svg.path(places, f"thin {look}" if curve.measured else f"thin {look} dashed")
    for x, (low, high) in curve.spans.items():
        yield svg.line(on.at(x), heights.at(low), on.at(x), heights.at(high), f"span {look}")
    if not curve.measured:
        return
    for (x, y), (_, value) in zip(places, curve.points, strict=True):
        said = f"{curve.name}: {say(value)}"
        yield svg.mark(svg.series_shape(curve.series), x, y, f"mark {look}", said=said, href=href)


def _named(curve: Curve, y: float) -> Iterator[Markup]:
    look = svg.series_class(curve.series)
    yield svg.line(0, y - 4, 4, y - 4, f"thin {look}" if curve.measured else f"thin {look} dashed")
    if curve.measured:
        yield svg.mark(svg.series_shape(curve.series), 2, y - 4, f"mark {look}")
    yield svg.words(6, y, curve.name, anchor="start")
