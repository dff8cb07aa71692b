"""A few values as a line as high as a word: for a table in which each row has a history."""

from __future__ import annotations

from collections.abc import Sequence

from benchproof.charts import svg
from benchproof.markup import Markup

_HEIGHT, _REACH = 20.0, 3.0
MOST_POINTS = 60  # the newest


def draw(values: Sequence[float], *, title: str, said: str) -> Markup:
    """The line; its last value is marked. Without values it is empty, and its description says what `said` does."""
    some = tuple(values[-MOST_POINTS:])
    if not some:
        return svg.chart(title, said, _HEIGHT, class_="spark")
    heights = svg.scale(some, start=_HEIGHT - _REACH, end=_REACH)
    step = 96 / max(1, len(some) - 1)
    places = [(2 + number * step, heights.at(value)) for number, value in enumerate(some)]
    x, y = places[-1]
    last = svg.mark("circle", x, y, "mark s0", size=2.5)
    return svg.chart(title, said, _HEIGHT, *svg.path(places, "thin s0"), last, class_="spark")
