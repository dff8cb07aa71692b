"""One line of a forest plot: a ratio with its interval on a logarithmic scale, the margin around 1, the A/A floor.

The names and the figures stand beside it as text of the page, so that they can be read at any width. Which verdict it
is, the mark says by its shape, the page by a word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from benchproof.analysis.compare import Comparison
from benchproof.charts import svg
from benchproof.charts.svg import Scale
from benchproof.markup import Markup

_HEIGHT, _MIDDLE = 26.0, 13.0
_APART = 12.0  # per cent of the width: what the words of a tick take
MARKS = {"faster": ("up", "good"), "slower": ("down", "bad"), "same": ("square", "same")}
_UNSURE = ("circle", "doubt")


def scale(comparisons: Iterable[Comparison]) -> Scale:
    """One for all lines that stand beneath each other; 1 is always on it, and so is the margin."""
    ends = [1.0]
    for each in comparisons:
        ends += [1 + each.margin, 1 / (1 + each.margin)]
        if each.ratio is not None:
            ends += [each.ratio.low, each.ratio.estimate, each.ratio.high]
    return svg.log_scale([end for end in ends if math.isfinite(end)], start=2, end=98)


def axis(on: Scale) -> Markup:
    """What is above the lines: the ticks, as ratios."""
    drawn = []
    for x, value in svg.spaced(((on.at(tick), tick) for tick in on.ticks(4)), _APART):
        drawn += [svg.words(x, 12, f"{value:g}x", "muted"), svg.line(x, 16, x, 22, "axis")]
    return svg.chart("Scale of the ratios", "Logarithmic; 1x is no difference.", 22, *drawn)


def strip(comparison: Comparison, on: Scale, *, title: str, said: str, href: str = "") -> Markup:
    """The line of one comparison that has a ratio."""
    drawn = []
    margin = 1 + comparison.margin
    drawn.append(svg.rectangle(on.at(1 / margin), on.at(margin), 0, _HEIGHT, "band"))
    if comparison.floor:
        low, high = on.at(1 / (1 + comparison.floor)), on.at(1 + comparison.floor)
        drawn.append(svg.rectangle(low, high, 1, _HEIGHT - 2, "floor"))
    drawn += [svg.line(on.at(value), 0, on.at(value), _HEIGHT, "grid") for value in on.ticks(4)]
    drawn.append(svg.line(on.at(1), 0, on.at(1), _HEIGHT, "one"))
    if (ratio := comparison.ratio) is not None:
        shape, meaning = MARKS.get(comparison.verdict, _UNSURE)
        look = "mark" if comparison.verdict in MARKS else "hollow"
        low, middle, high = (on.at(value) for value in (ratio.low, ratio.estimate, ratio.high))
        drawn.append(svg.line(low, _MIDDLE, high, _MIDDLE, f"span {meaning}"))
        drawn += [svg.line(end, _MIDDLE - 4, end, _MIDDLE + 4, f"span {meaning}") for end in (low, high)]
        drawn.append(svg.mark(shape, middle, _MIDDLE, f"{look} {meaning}", said=said, href=href))
    return svg.chart(title, said, _HEIGHT, *drawn)
