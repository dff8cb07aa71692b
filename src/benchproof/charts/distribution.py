"""How the invocations of one case lie: a lane for each target, every invocation a point, its median and the interval.

No box, no density: with a handful of invocations these would show more than is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchproof.charts import lanes, svg
from benchproof.charts.lanes import Lane, Say
from benchproof.charts.svg import Scale
from benchproof.markup import Markup

_APART = 30.0  # per cent of the width: what the words of a tick take
_FAR = 8.0  # from here on, greatest by least, the scale is logarithmic


def draw(title: str, shown: Sequence[Lane], say: Say) -> Markup:
    """The chart; lanes without a value have no place in it."""
    values = [value for lane in shown for value in lane.values]
    apart = min(values) > 0 and max(values) / min(values) > _FAR
    on = (svg.log_scale if apart else svg.scale)(values, start=2, end=98)
    height = lanes.HEIGHT * len(shown)
    drawn = [each for number, lane in enumerate(shown) for each in _lane(lane, lanes.HEIGHT * number, on, say)]
    if apart:
        drawn.append(svg.words(100, lanes.NAME, "log scale", "muted", anchor="end"))
    described = lanes.described(shown, say) + (". The scale is logarithmic." if apart else ".")
    return svg.chart(title, described, height + 20, *_axis(on, height, say), *drawn)


def _axis(on: Scale, height: float, say: Say) -> Iterator[Markup]:
    for x, value in svg.spaced(((on.at(tick), tick) for tick in on.ticks(3)), _APART):
        yield svg.line(x, 0, x, height, "grid")
        yield svg.words(
            x, height + 14, svg.tick(say(value)), "muted", anchor="start" if x < 14 else "end" if x > 86 else ""
        )


def _lane(lane: Lane, top: float, on: Scale, say: Say) -> Iterator[Markup]:
    look, y = svg.series_class(lane.series), top + lanes.MIDDLE
    yield svg.words(0, top + lanes.NAME, f"{lane.name}: {say(lane.median)}", f"said {look}", anchor="start")
    if lane.interval:
        low, high = (on.at(end) for end in lane.interval)
        yield svg.line(low, y, high, y, f"span {look}")
    for number, value in enumerate(lane.values[: lanes.MOST_POINTS]):
        yield svg.mark(
            svg.series_shape(lane.series),
            on.at(value),
            y,
            f"{lane.look(number)} {look}",
            size=3,
            said=lane.point(number, say),
            href=lane.link(number),
        )
    yield svg.line(on.at(lane.median), y - 9, on.at(lane.median), y + 9, "span ink")
