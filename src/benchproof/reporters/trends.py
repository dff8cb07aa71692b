"""Trends as plain text: a line for each series, and below it what changed, between which runs, and what with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from benchproof.analysis.apart import told_apart
from benchproof.analysis.trend import Change, Point, Stretch, Trend
from benchproof.errors import one_line
from benchproof.reporters import layout

_HEAD = ("target", "metric", "runs", "verdict", "expected next")
_LONGEST_NAME = 100  # that has its place in the table
_LONGEST_FACT = 100


def render(trends: Sequence[Trend]) -> str:
    """The table, and a sentence of totals."""
    rows: list[tuple[tuple[str, ...], list[str]]] = [(_HEAD, [])]
    rows += [(_row(each, trends), list(_below(each))) for each in trends]
    widths = [
        max((len(row[column]) for row, _ in rows if len(row[column]) <= _LONGEST_NAME), default=0)
        for column in range(len(_HEAD))
    ]
    lines = []
    for row, below in rows:
        if len(row[1]) > _LONGEST_NAME:  # the parameters of an import may fill a screen
            lines.append(row[1])
            row = (row[0], "", *row[2:])  # noqa: PLW2901 - the same line, without the name
        lines.append("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"    {line}" for line in below]
    return "\n".join([*lines, "", _totals(trends), ""])


def _row(trend: Trend, trends: Sequence[Trend]) -> tuple[str, ...]:
    newest = trend.newest
    name = f"{trend.metric} {parameters(trend, trends)}".rstrip()
    return trend.target, one_line(name), str(newest.n), verdict(trend), expected(newest)


def alike(trend: Trend, trends: Sequence[Trend]) -> list[Trend]:
    """Those of the same metric of the same target, itself included: more than one only where parameters differ."""
    return [each for each in trends if (each.target, each.metric) == (trend.target, trend.metric)]


def parameters(trend: Trend, trends: Sequence[Trend]) -> str:
    """Those that tell it from the others of its metric and target: `size=1 depth=2`; empty where there is no other."""
    told = told_apart(each.parameters for each in alike(trend, trends))[trend.parameters]
    return " ".join(f"{name}={value}" for name, value in msgspec.json.decode(told or "{}").items())


def verdict(trend: Trend) -> str:
    """In words, with the reason where there is one."""
    if trend.worsened:
        return "WORSE"
    reason = trend.newest.reason
    return f"{trend.verdict}: {reason}" if reason else trend.verdict


def expected(newest: Stretch) -> str:
    """Where the next run is expected; empty where nobody can say."""
    if (found := newest.expected) is None:
        return ""
    low, middle, high = (layout.amount(value, newest.unit) for value in (found.low, found.middle, found.high))
    return f"{middle} ({low} to {high})"


def _below(trend: Trend) -> Iterator[str]:
    """The history of the series, the newest last."""
    for number, stretch in enumerate(trend.stretches):
        if number:
            before = trend.stretches[number - 1]
            yield f"new epoch since {stretch.first_run} ({before.n} runs before it are not held against these)"
            yield from (f"    {_short(fact)}" for fact in stretch.differs)
        yield from (f"{layout.amount(point.value, stretch.unit)}  {_run(point)}" for point in stretch.points)
        if stretch.unverified:
            yield f"{stretch.unverified} of {stretch.n} runs were imported and not verified"
        for change in stretch.changes:
            yield from change_lines(change, stretch)


def change_lines(change: Change, stretch: Stretch) -> Iterator[str]:
    """What changed, between which runs, and what of the system with it."""
    old, new = (layout.amount(level, stretch.unit) for level in (change.old_level, change.new_level))
    size = "" if change.size is None else f" {change.size:+.1%}"
    yield f"{change.direction}{size}: {old} -> {new}, {change.state}, {change.points} runs since"
    yield f"    between {_run(change.before)} and {_run(change.after)}"
    yield from (f"    {note}" for note in change.notes)
    yield from (f"    system {_short(fact)}" for fact in change.system)
    if change.state == "provisional":
        yield "    provisional: measure the two side by side before anyone is told"


def _run(point: Point) -> str:
    return f"{point.run} ({one_line(point.commit)})" if point.commit else point.run


def _short(fact: str) -> str:
    line = one_line(fact)
    return line if len(line) <= _LONGEST_FACT else f"{line[:_LONGEST_FACT]}..."


def _totals(trends: Sequence[Trend]) -> str:
    verdicts = Counter("worse" if each.worsened else each.verdict for each in trends)
    return f"{len(trends)} series: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
