"""The invocations of one case in the order of their blocks: whether a target drifted, warmed up or was disturbed.

Each target has a scale of its own, never less than 10 % of its median: drift of a few per cent is seen beside a target
that is a hundred times slower, and noise of a thousandth does not look like drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchproof.charts import lanes, svg
from benchproof.charts.lanes import Lane, Say
from benchproof.charts.svg import Scale
from benchproof.markup import Markup

_LEAST_HALF = 0.05  # of the median, above and below it
_REACH = 11.0  # pixels above and below the middle of a lane


def draw(title: str, shown: Sequence[Lane], say: Say) -> Markup:
    """The chart, a lane for each target; across are blocks."""
    blocks = [lane.block(number) for lane in shown for number in range(len(lane.values))]
    on = Scale(min(blocks) - 0.5, max(blocks) + 0.5, 2, 98)
    height = lanes.HEIGHT * len(shown)
    drawn = [each for number, lane in enumerate(shown) for each in _lane(lane, lanes.HEIGHT * number, on, say)]
    return svg.chart(title, lanes.described(shown, say) + ".", height + 20, *drawn, *_axis(on, blocks, height))


def _axis(on: Scale, blocks: Sequence[int], height: float) -> Iterator[Markup]:
    first, last = min(blocks), max(blocks)
    yield svg.words(on.at(first), height + 14, f"block {first}", "muted", anchor="start")
    if last > first:
        yield svg.words(on.at(last), height + 14, f"block {last}", "muted", anchor="end")


def _lane(lane: Lane, top: float, on: Scale, say: Say) -> Iterator[Markup]:
    look, middle = svg.series_class(lane.series), top + lanes.MIDDLE
    least = abs(lane.median) * _LEAST_HALF
    ends = (*lane.values, lane.median - least, lane.median + least)
    heights = svg.scale(ends, start=middle + _REACH, end=middle - _REACH, room=0)
    span = f"{say(min(lane.values))} to {say(max(lane.values))}"
    yield svg.words(0, top + lanes.NAME, span, f"said {look}", anchor="start")
    yield svg.line(0, heights.at(lane.median), 100, heights.at(lane.median), "grid")
    some = range(min(len(lane.values), lanes.MOST_POINTS))
    places = [(on.at(lane.block(number)), heights.at(lane.values[number])) for number in some]
    yield from svg.path(places, f"thin {look}")
    for number, (x, y) in zip(some, places, strict=True):
        yield svg.mark(
            svg.series_shape(lane.series),
            x,
            y,
            f"{lane.look(number)} {look}",
            size=3,
            said=lane.point(number, say),
            href=lane.link(number),
        )
