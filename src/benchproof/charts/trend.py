"""A metric over the runs of a history: a line of medians, parted where an epoch ends, with the changes of its level.

Runs stand side by side in their order, whatever time lay between them. What was verified is a full circle, what was
not is a hollow diamond. No line leads from one epoch to the next: they are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchproof.analysis.trend import Change, Point, Stretch, Trend
from benchproof.charts import svg
from benchproof.charts.svg import Scale
from benchproof.markup import Markup
from benchproof.model import Frozen, Unit

MOST_POINTS = 1000  # the newest; more are a smear on any screen
_TOP, _BOTTOM, _HEIGHT = 50.0, 220.0, 254.0
_LEFT, _RIGHT, _GAP = 10.0, 98.5, 1.5  # percent
_SIGNS = {"better": "up", "worse": "down"}
_CLASSES = {"better": "good", "worse": "bad"}

Say = Callable[[float, Unit], str]  # a value in words
Href = Callable[[Point], str]  # where a run is shown; empty: nowhere


class _Part(Frozen, frozen=True):
    """A stretch and where it is drawn: its points one after the other from `start` on, `step` apart."""

    stretch: Stretch
    points: tuple[Point, ...]
    skipped: int  # points before these, not drawn
    start: float
    step: float
    y: Scale

    def x(self, place: float) -> float:
        """Of a point by its place in the epoch."""
        return self.start + (place - self.skipped) * self.step


def draw(trend: Trend, *, say: Say, href: Href | None = None) -> Markup:
    """The chart of a trend that was judged with its points; without any, it says so."""
    parts = _parts(trend)
    if not parts:
        return svg.chart(_title(trend), "No points.", 40, svg.words(50, 24, "no points", "muted"))
    drawn = [each for part in parts for each in _part(part, say, href)]
    for number, part in enumerate(parts):
        if number:
            between = part.start - (_GAP + part.step) / 2
            drawn.append(svg.line(between, 8, between, _BOTTOM, "axis dashed"))
            drawn.append(svg.words(between, _BOTTOM + 14, "new epoch", "muted"))
    lines, ticks = _grid(parts[-1], say)
    return svg.chart(_title(trend), _description(parts, say), _HEIGHT, *lines, *drawn, *ticks, *_ends(parts))


def _title(trend: Trend) -> str:
    return f"{trend.metric} of {trend.target} over runs: {trend.verdict}"


def _description(parts: list[_Part], say: Say) -> str:
    newest = parts[-1].stretch
    last = parts[-1].points[-1]
    said = [
        f"{sum(len(part.points) for part in parts)} runs in {len(parts)} epochs",
        f"the newest, {last.run}, has {say(last.value, newest.unit)}",
        *(_change_words(change, newest, say) for change in newest.changes),
    ]
    return "; ".join(said) + "."


def _change_words(change: Change, stretch: Stretch, say: Say) -> str:
    size = "" if change.size is None else f" by {change.size:+.1%}"
    levels = f"from {say(change.old_level, stretch.unit)} to {say(change.new_level, stretch.unit)}"
    return f"{change.direction}{size} {levels} between {change.before.run} and {change.after.run}, {change.state}"


def _parts(trend: Trend) -> list[_Part]:
    """The stretches that have points, the newest of them all; those of one unit share a scale."""
    left, kept = MOST_POINTS, []
    for stretch in reversed(trend.stretches):
        points = stretch.points[-left:] if left else ()
        left -= len(points)
        if points:
            kept.append((stretch, points))
    kept.reverse()
    slots = sum(len(points) for _, points in kept)
    step = (_RIGHT - _LEFT - _GAP * (len(kept) - 1)) / max(1, slots)
    found, start = [], _LEFT + step / 2
    for stretch, points in kept:
        alike = [point.value for other, some in kept if other.unit == stretch.unit for point in some]
        y = svg.scale(alike, start=_BOTTOM, end=_TOP)
        found.append(_Part(stretch, points, len(stretch.points) - len(points), start, step, y))
        start += len(points) * step + _GAP
    return found


def _grid(part: _Part, say: Say) -> tuple[list[Markup], list[Markup]]:
    """The lines, which lie beneath all else, and their values, which lie above it."""
    heights = [(part.y.at(value), svg.tick(say(value, part.stretch.unit))) for value in part.y.ticks(4)]
    lines = [svg.line(0, y, 100, y, "grid") for y, _ in heights]
    return lines, [svg.words(0, y - 3, said, "muted", anchor="start") for y, said in heights]


def _part(part: _Part, say: Say, href: Href | None) -> Iterator[Markup]:
    yield from _expected(part)
    places = [(part.x(part.skipped + n), part.y.at(each.value)) for n, each in enumerate(part.points)]
    yield from svg.path(places, "thin s0")
    yield from _levels(part)
    size = 3.5 if part.step > 1 else 2
    for point, (x, y) in zip(part.points, places, strict=True):
        shape, look = ("circle", "mark") if point.verified else ("diamond", "hollow")
        link = href(point) if href else ""
        yield svg.mark(shape, x, y, f"{look} s0", size=size, said=_point_words(point, part, say), href=link)
    for number, change in enumerate(part.stretch.changes):
        if change.place > part.skipped:
            yield from _change(change, part, say, row=number % 2)


def _point_words(point: Point, part: _Part, say: Say) -> str:
    commit = f" ({point.commit})" if point.commit else ""
    doubt = "" if point.verified else ", not verified"
    return f"{point.run}{commit}: {say(point.value, part.stretch.unit)}{doubt}"


def _expected(part: _Part) -> Iterator[Markup]:
    """Where the next run is expected, over the runs that say so."""
    if (found := part.stretch.expected) is None:
        return
    low, high = part.y.at(found.low), part.y.at(found.high)
    first = max(len(part.stretch.points) - found.n, part.skipped)
    yield svg.rectangle(part.x(first - 0.5), part.x(len(part.stretch.points) - 0.5), high, low - high, "band")


def _levels(part: _Part) -> Iterator[Markup]:
    """Each level as a line, where a change says what it was."""
    end = float(len(part.stretch.points))
    for number, change in reversed(list(enumerate(part.stretch.changes))):
        start = part.stretch.changes[number - 1].place if number else 0
        new = part.y.at(change.new_level)
        yield svg.line(part.x(max(change.place, part.skipped)), new, part.x(end - 1), new, "span ink")
        if number == 0 and change.place > part.skipped:
            old = part.y.at(change.old_level)
            yield svg.line(part.x(max(start, part.skipped)), old, part.x(change.place - 1), old, "span ink")
        end = float(change.place)


def _change(change: Change, part: _Part, say: Say, *, row: int) -> Iterator[Markup]:
    x, meaning = part.x(change.place - 0.5), _CLASSES.get(change.direction, "same")
    provisional = " dashed" if change.state == "provisional" else ""
    top = 12.0 + 14 * row  # neighbours are written above each other
    yield svg.line(x, top + 4, x, _BOTTOM, f"thin {meaning}{provisional}")
    shape = _SIGNS.get(change.direction, "bar")
    yield svg.mark(shape, x, 36, f"mark {meaning}", said=_change_words(change, part.stretch, say))
    size = "" if change.size is None else f" {change.size:+.1%}"
    anchor = "start" if x < 15 else "end" if x > 85 else "middle"
    yield svg.words(x, top, f"{change.direction}{size}", f"said {meaning}", anchor=anchor)


def _ends(parts: list[_Part]) -> Iterator[Markup]:
    first, last = parts[0].points[0], parts[-1].points[-1]
    yield svg.words(0, _HEIGHT - 4, first.run[:15], "muted", anchor="start")
    if last != first:
        yield svg.words(100, _HEIGHT - 4, last.run[:15], "muted", anchor="end")
