"""What two sides amount to, as a table a pair: both medians, the ratio with its interval, the verdict, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec
from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table

from benchproof.analysis.compare import Comparison, Verdict
from benchproof.analysis.matrix import Cell, Row
from benchproof.analysis.versus import Compared, Versus
from benchproof.errors import one_line
from benchproof.reporters import drawings, layout, pictures
from benchproof.reporters.screen import Screen, escape

HEAD = ("metric", "unit", "base", "new", "new / base", "verdict", "reason")
_FIGURES = ("base", "new", "new / base")
_MOST_OF_A_NAME, _LEAST_OF_A_REASON = 40, 12  # characters in a line of a column that wraps
_NARROW = 100  # columns, below which the table has no room
_ORDER: tuple[Verdict, ...] = ("slower", "faster", "same", "undecided", "incomparable")
_STYLES: dict[Verdict, str | None] = {
    "faster": "green",
    "slower": "red",
    "same": None,
    "undecided": "dim",
    "incomparable": "yellow",
}


def render(
    pairs: Sequence[Versus],
    *,
    width: int = 120,
    color: bool = False,
    encoding: str = "utf-8",
    draw: bool = False,
    by_effect: bool = False,
) -> str:
    """One table a pair of targets, what it amounts to on top. `by_effect`: the largest ratio first."""
    console = Screen(width=width, color=color, encoding=encoding)
    for each in pairs:
        pair = msgspec.structs.replace(each, rows=_by_effect(each.rows)) if by_effect else each
        console.print(f"{escape(pair.new)} against {escape(pair.base)}", style="italic", soft_wrap=True)
        _summary(console, pair)
        table = _table(pair)
        if width < _NARROW or Measurement.get(console, console.options, table).minimum > width:
            console.print("\n".join(_records(pair)), soft_wrap=True, markup=False)
        else:
            console.print(table)
        _draw(console, pair if draw else None)
        _below(console, pair)
    return console.text


def _by_effect(rows: Sequence[Compared]) -> tuple[Compared, ...]:
    """Those without a ratio last, in their own order."""

    def effect(row: Compared) -> float:
        ratio = row.comparison.ratio
        return abs(math.log(ratio.estimate)) if ratio and ratio.estimate > 0 else -1.0

    return tuple(sorted(rows, key=effect, reverse=True))


def _summary(console: Console, pair: Versus) -> None:
    """What it amounts to, the worst first."""
    found = [(name, pair.verdicts[name]) for name in _ORDER if pair.verdicts.get(name)]
    words = [f"[{_STYLES[name] or 'default'}]{layout.SIGNS[name]} {count} {name}[/]" for name, count in found]
    words += [f"[yellow]{len(pair.lost)} lost[/]"] if pair.lost else []
    margin = f"margin {pair.design.margin:.1%}, false-discovery rate {pair.design.fdr:.0%}"
    console.print(f"{', '.join(words) or 'nothing to compare'}; {margin}, varying {', '.join(pair.vary)}")


def _draw(console: Console, pair: Versus | None) -> None:
    found = list(drawings.beneath(console, _pictured(pair))) if pair else []
    for table in found:
        console.print(table)
    if pair and found:
        console.print(pictures.legend(row.comparison for row in pair.rows), style="dim")


def _pictured(pair: Versus) -> drawings.Pictured | None:
    """Each ratio, behind it the values of the new side, and those of the base in a column of their own.

    Counts have neither an interval nor a run of values.
    """
    lines = {}
    for row in (each for each in pair.rows if each.unit != "instructions"):
        new = msgspec.structs.replace(row.new, comparison=row.comparison) if row.new else None
        base = msgspec.structs.replace(row.base, comparison=None) if row.base else None
        lines[_name(pair, row)] = {side: cell for side, cell in (("new", new), ("base", base)) if cell}
    return drawings.with_anything(drawings.Pictured({"new": "new / base", "base": "base"}, lines))


def as_json(pairs: Sequence[Versus]) -> str:
    """All pairs, as one document."""
    return msgspec.json.format(msgspec.json.encode(list(pairs)), indent=1).decode() + "\n"


def _records(pair: Versus) -> Iterator[str]:
    """For a narrow terminal: a few short lines a metric in place of one long one."""
    for row in pair.rows:
        name, unit, base, new, ratio, verdict, reason = map(one_line, texts(pair, row))
        yield f"{verdict}: {name}"
        yield f"  {base} -> {new} {unit}"
        yield from (f"  {text}" for text in (ratio, reason) if text)


def _table(pair: Versus) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    longest = max((len(_name(pair, row)) for row in pair.rows), default=0)
    least = {"metric": min(longest, _MOST_OF_A_NAME), "reason": _LEAST_OF_A_REASON}
    for name in HEAD:
        wraps = name in least
        side: JustifyMethod = "right" if name in _FIGURES else "left"
        table.add_column(name, justify=side, no_wrap=not wraps, overflow="fold", min_width=least.get(name))
    for row in pair.rows:
        table.add_row(*(escape(text) for text in texts(pair, row)), style=_STYLES[row.comparison.verdict])
    return table


def texts(pair: Versus, row: Compared) -> tuple[str, ...]:
    """One line of the table, its fields as in `HEAD`."""
    divisor, unit = layout.scale(_as_row(row))
    figures = [_figure(cell, divisor, row) for cell in (row.base, row.new)]
    ratio = layout.ratio_text(row.comparison).removeprefix(layout.SIGNS[row.comparison.verdict]).strip()
    verdict = row.comparison.verdict
    return _name(pair, row), unit, *figures, ratio, f"{layout.SIGNS[verdict]} {verdict}", _reason(pair, row.comparison)


def _reason(pair: Versus, comparison: Comparison) -> str:
    """Why, and what the ratio is really a ratio of. Facts that differ are the same in every row, and stand beneath."""
    by_context = bool(pair.context) and comparison.reason.endswith("; ".join(pair.context))
    told = (
        "the envelopes differ, see below" if by_context else comparison.reason,
        layout.cut(comparison.unlike, layout.MOST_OF_A_NOTE),
    )
    return "; ".join(text for text in told if text)


def _name(pair: Versus, row: Compared) -> str:
    """The metric, and the parameters where they tell rows apart."""
    alike = [other for other in pair.rows if other.metric == row.metric]
    differing = {
        key: value
        for key, value in row.parameters.items()
        if any(other.parameters.get(key) != value for other in alike)
    }
    return " ".join([row.metric, *(f"{key}={value}" for key, value in differing.items())]) + layout.purpose(
        row.parameters
    )


def _as_row(row: Compared) -> Row:
    cells = {name: cell for name, cell in (("base", row.base), ("new", row.new)) if cell is not None}
    return Row(row.benchmark, row.parameters, 0, row.metric, row.unit, row.better, cells)


def _figure(cell: Cell | None, divisor: float, row: Compared) -> str:
    return "missing" if cell is None else layout.figure_text(cell, divisor, row.unit)


def _below(console: Console, pair: Versus) -> None:
    if pair.context:
        count = "1 fact differs" if len(pair.context) == 1 else f"{len(pair.context)} facts differ"
        console.print(f"not compared, {count} that {'was' if len(pair.context) == 1 else 'were'} not declared to vary:")
    for fact in pair.context:
        console.print(f"  {escape(fact)}", style="yellow")
    if pair.remedy:
        console.print(escape(pair.remedy))
    for word, metrics in (("lost", pair.lost), ("gained", pair.gained)):
        if metrics:
            console.print(f"{word}: {escape(', '.join(metrics))}", style="yellow")
    for warning in pair.warnings:
        console.print(f"note: {escape(warning)}", style="yellow")
    console.print("There is no total score.\n", style="dim")
