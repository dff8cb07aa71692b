"""What two sides amount to, as a table a pair: both medians, the ratio with its interval, the verdict, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from benchproof.analysis.compare import Comparison, Verdict
from benchproof.analysis.matrix import Cell, Row
from benchproof.analysis.versus import Compared, Versus
from benchproof.reporters import layout
from benchproof.reporters.screen import Screen, escape

HEAD = ("metric", "unit", "base", "new", "new / base", "verdict", "reason")
_FIGURES = ("base", "new", "new / base")
_NARROW = 100  # columns, below which the table has no room
_STYLES: dict[Verdict, str | None] = {
    "faster": "green",
    "slower": "red",
    "same": None,
    "undecided": "dim",
    "incomparable": "yellow",
}


def render(pairs: Sequence[Versus], *, width: int = 120, color: bool = False, encoding: str = "utf-8") -> str:
    """One table a pair of targets."""
    console = Screen(width=width, color=color, encoding=encoding)
    for pair in pairs:
        if width < _NARROW:
            console.print("\n".join(_records(pair)), soft_wrap=True, markup=False)
        else:
            console.print(_table(pair))
        _below(console, pair)
    return console.text


def as_json(pairs: Sequence[Versus]) -> str:
    """All pairs, as one document."""
    return msgspec.json.format(msgspec.json.encode(list(pairs)), indent=1).decode() + "\n"


def _records(pair: Versus) -> Iterator[str]:
    """For a narrow terminal: a few short lines a metric in place of one long one."""
    yield f"{escape(pair.new)} against {escape(pair.base)}"
    for row in pair.rows:
        name, unit, base, new, ratio, verdict, reason = (escape(text) for text in texts(pair, row))
        yield f"{verdict}: {name}"
        yield f"  {base} -> {new} {unit}"
        yield from (f"  {text}" for text in (ratio, reason) if text)


def _table(pair: Versus) -> Table:
    title = f"{escape(pair.new)} against {escape(pair.base)}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in HEAD:
        table.add_column(
            name, justify="right" if name in _FIGURES else "left", no_wrap=name not in {"metric", "reason"}
        )
    for row in pair.rows:
        table.add_row(*(escape(text) for text in texts(pair, row)), style=_STYLES[row.comparison.verdict])
    return table


def texts(pair: Versus, row: Compared) -> tuple[str, ...]:
    """One line of the table, its fields as in `HEAD`."""
    divisor, unit = layout.scale(_as_row(row))
    figures = [_figure(cell, divisor, row) for cell in (row.base, row.new)]
    ratio = layout.ratio_text(row.comparison).removeprefix(layout.SIGNS[row.comparison.verdict]).strip()
    return _name(pair, row), unit, *figures, ratio, row.comparison.verdict, _reason(pair, row.comparison)


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
    counts = ", ".join(f"{count} {verdict}" for verdict, count in pair.verdicts.items())
    margin = f"margin {pair.design.margin:.1%}, false-discovery rate {pair.design.fdr:.0%}"
    console.print(
        f"{counts or 'nothing to compare'}; {margin}, varying {', '.join(pair.vary)}. There is no total score."
    )
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
    console.print()
