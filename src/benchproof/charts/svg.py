"""What every chart is made of: scales with round ticks, marks of several shapes, and the frame with its words.

A place across is a share of the width (`"12.5%"`), a height is in pixels. Values are finite and may be as large as a
float is: a bundle says what it wants.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence

from benchproof.markup import Markup, element
from benchproof.model import Frozen

_MOST_DECADES = 5  # on a logarithmic scale with ticks between the powers of ten
_MOST_TICKS = 12
_ZEROS = re.compile(r"(\d)\.(\d*?)0+(?![\d.])", re.ASCII)
_LARGEST = 1.7e308  # of a float
_LARGEST_LOG = 600.0
_SHAPES = {
    "square": "M-4-4H4V4H-4Z",
    "diamond": "M0-5.5L5.5 0L0 5.5L-5.5 0Z",
    "up": "M0-5.5L5 4.5H-5Z",
    "down": "M0 5.5L5-4.5H-5Z",
    "bar": "M-1.5-6H1.5V6H-1.5Z",
}
_OF_SERIES = ("circle", "square", "diamond", "up", "down")
_COLOURS = 6  # of series, in the palette


class Scale(Frozen, frozen=True):
    """From values to places: `low` is at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value; one beyond the ends is at the end."""
        return self.start + min(1.0, max(0.0, self._share(value))) * (self.end - self.start)

    def _share(self, value: float) -> float:
        low, high = self._of(self.low), self._of(self.high)
        return (self._of(value) - low) / (high - low)

    def _of(self, value: float) -> float:
        if self.logarithmic:
            return math.log(value) if value > 0 else -math.inf
        return value / 2  # the difference of two of these is always finite

    def ticks(self, most: int = 5) -> tuple[float, ...]:
        """Round values within the scale, at most about so many."""
        if self.logarithmic and self.high / self.low > 4:
            return _powers(self.low, self.high, most)
        return _round_steps(self.low, self.high, most)


def scale(values: Iterable[float], *, start: float, end: float, room: float = 0.05) -> Scale:
    """A linear scale over the values, with `room` (a share) on both sides; equal values are in the middle."""
    some = tuple(values)
    low, high = min(some), max(some)
    reach = max((high / 2 - low / 2) * 2 * room, max(abs(low), abs(high)) * 1e-9)
    spread = (reach if high > low else abs(low) * room) or 1.0
    low, high = (max(-_LARGEST, min(_LARGEST, each)) for each in (low - spread, high + spread))
    return Scale(low, high, start, end)


def log_scale(values: Iterable[float], *, start: float, end: float, room: float = 0.05) -> Scale:
    """A logarithmic scale over the values that are above zero."""
    logs = [math.log(value) for value in values if 0 < value < math.inf] or [0.0]
    logs = [max(-_LARGEST_LOG, min(_LARGEST_LOG, each)) for each in logs]
    spread = (max(logs) - min(logs)) * room or 0.05
    low, high = min(logs) - spread, max(logs) + spread
    return Scale(math.exp(low), math.exp(high), start, end, logarithmic=True)


def _round_steps(low: float, high: float, most: int) -> tuple[float, ...]:
    rough = (high / 2 - low / 2) / most * 2
    if rough <= 0 or not math.isfinite(rough):
        return ()
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((n * power for n in (1, 2, 5, 10) if n * power >= rough), 10 * power)
    if not step or not math.isfinite(high / step):
        return ()
    first, last = math.ceil(low / step), math.floor(high / step)
    return tuple(number * step for number in range(first, min(last, first + _MOST_TICKS) + 1))


def _powers(low: float, high: float, most: int) -> tuple[float, ...]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if last - first > _MOST_DECADES:
        every = math.ceil((last - first) / most)
        return tuple(10.0**power for power in range(first, last + 1, every) if low <= 10.0**power <= high)
    fine = tuple(n * 10.0**power for power in range(first, last + 1) for n in (1, 2, 5))
    found = tuple(value for value in fine if low <= value <= high)
    return found if len(found) <= most + 1 else tuple(v for v in found if math.log10(v).is_integer()) or found[::2]


# ---- elements ----


def percent(place: float) -> str:
    """A share of the width."""
    return f"{place:.2f}".rstrip("0").rstrip(".") + "%"


def pixels(height: float) -> str:
    """A height, to a tenth."""
    return f"{height:.1f}".removesuffix(".0")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line between two places."""
    return element("line", x1=percent(x1), y1=pixels(y1), x2=percent(x2), y2=pixels(y2), class_=class_)


def rectangle(x1: float, x2: float, y: float, height: float, class_: str) -> Markup:
    """From one share of the width to another."""
    wide = percent(max(0.0, x2 - x1))
    return element("rect", x=percent(x1), y=pixels(y), width=wide, height=pixels(max(0.0, height)), class_=class_)


def words(x: float, y: float, said: str, class_: str = "", *, anchor: str = "") -> Markup:
    """Text at a place; near an end of the chart it is written away from that end."""
    where = anchor or ("start" if x < 8 else "end" if x > 92 else "middle")
    anchored = None if where == "start" else where
    return element("text", said, x=percent(x), y=pixels(y), text_anchor=anchored, class_=class_ or None)


def mark(shape: str, x: float, y: float, class_: str, *, size: float = 4, said: str = "", href: str = "") -> Markup:
    """One point, told when the pointer is on it; `href` leads to where it comes from.

    Such a link takes no stop of the keyboard: where thousands of points have one, the list behind them has them too.
    """
    inner = (element("title", said),) if said else ()
    if shape == "circle":
        drawn = element("circle", *inner, cx=percent(x), cy=pixels(y), r=pixels(size), class_=class_)
    else:
        path = element("path", *inner, d=_SHAPES[shape], class_=class_)
        drawn = element("svg", path, x=percent(x), y=pixels(y), overflow="visible")
    return element("a", drawn, href=href, tabindex="-1") if href else drawn


def tick(said: str) -> str:
    """A round value in words, without the zeros behind its point: `2.500 us` is `2.5 us`."""
    return _ZEROS.sub(lambda found: found[1] + (f".{found[2]}" if found[2] else ""), said)


def spaced(places: Iterable[tuple[float, float]], least: float) -> Iterator[tuple[float, float]]:
    """Of (place, value) in their order, those that stand at least so far from the one before."""
    last = -math.inf
    for place, value in places:
        if place - last >= least:
            last = place
            yield place, value


def series_class(number: int) -> str:
    """The colour of a series; with its shape, no two of the first 30 are alike."""
    return f"s{number % _COLOURS}"


def series_shape(number: int) -> str:
    """The shape of a series."""
    return _OF_SERIES[number % len(_OF_SERIES)]


def path(points: Sequence[tuple[float, float]], class_: str) -> Iterator[Markup]:
    """A line through points, in pieces: a path knows no shares of a width."""
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        yield line(x1, y1, x2, y2, class_)


def chart(title: str, description: str, height: float, *drawn: str, class_: str = "") -> Markup:
    """The frame. Who cannot see it hears the title and the description."""
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *drawn,
        xmlns="http://www.w3.org/2000/svg",
        class_=f"chart {class_}".rstrip(),
        role="img",
        width="100%",
        height=pixels(height),
    )
