"""The report for a terminal."""

from __future__ import annotations

import io

from rich import box, markup
from rich.console import Console
from rich.table import Table

from benchproof.analysis.matrix import Cell, Report, Row
from benchproof.model import Unit
from benchproof.reporters import layout, speeds

_COLOURS = {"faster": "green", "slower": "red", "same": "", "undecided": "dim", "incomparable": "dim"}
_GATE_STYLES = {"met": "green", "not met": "red", "undecided": "magenta", "review": "yellow", "off": "dim"}


def render(report: Report, *, width: int = 120, color: bool = False) -> str:
    """The matrix, and beneath it everything that it does not say."""
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=color, no_color=not color, highlight=False, emoji=False)
    for label in layout.labels(report):
        console.print(f"note: {escape(label)}", style="yellow")
    for number, part in enumerate(layout.parts(report)):
        heading = f"run {report.run_id}: {layout.coverage(report)}" if number == 0 else "instructions"
        console.print(_matrix(report, part, heading))
        console.print(part.legend, style="dim")
    console.print("There is no total score.", style="dim")
    if report.scaling:
        console.print("scaling", style="italic")
        console.print(_scaling(report))
        console.print(speeds.LEGEND, style="dim")
        for line in (line for row in report.scaling for line in speeds.details(row)):
            console.print(escape(line), style="dim")
    if report.gates:
        console.print(f"gates: {layout.gate_counts(report.gates)}", style="italic")
        console.print(_gates(report))
    _below(console, report)
    return text.getvalue()


def gates(report: Report, *, width: int = 120, color: bool = False) -> str:
    """The gates alone: a table, and beneath it why any of them is not simply met."""
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=color, no_color=not color, highlight=False, emoji=False)
    console.print(_gates(report, with_reasons=False))
    for each in report.gates:
        if each.reason or each.verdict in {"not met", "undecided"}:
            console.print(escape(layout.gate_line(each, report)), style=_GATE_STYLES[each.verdict], soft_wrap=True)
    for warning in report.warnings:
        console.print(f"note: {escape(warning)}", style="yellow", soft_wrap=True)
    console.print(f"run {escape(report.run_id)}: {layout.gate_counts(report.gates)}")
    return text.getvalue()


def escape(text: str) -> str:
    """Text from a bundle is neither markup nor a command to the terminal."""
    return markup.escape("".join(character if character.isprintable() else "?" for character in text))


def _matrix(report: Report, part: layout.Part, heading: str) -> Table:
    numbers = layout.notes(report)
    table = Table(
        title=heading,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("benchmark", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for column in part.columns:
        table.add_column(escape(layout.title(column)), justify="right", style="dim" if column.context else None)
    table.add_column("status", no_wrap=True)
    table.add_column("notes")
    for row in part.rows:
        divisor, unit = layout.scale(row)
        cells = [_cell(row.cells.get(column.target), divisor, row.unit) for column in part.columns]
        table.add_row(escape(layout.question(report, row)), unit, *cells, _status(row), _marks(row, numbers))
    return table


def _scaling(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    head = speeds.head(report)
    for name in head:
        table.add_column(name, justify="left" if name in {head[0], head[1], head[-1]} else "right")
    for row in report.scaling:
        table.add_row(*(escape(text) for text in speeds.texts(row, report)))
    return table


def _gates(report: Report, *, with_reasons: bool = True) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in layout.GATE_HEAD if with_reasons else layout.GATE_HEAD[:-1]:
        table.add_column(name, justify="right" if name in {"figure", "limit", "margin"} else "left")
    above = ""
    for each in report.gates:
        *texts, reason = (escape(text) for text in layout.gate_texts(each, report))
        said = ["as above" if reason and reason == above else reason] if with_reasons else []
        table.add_row(*texts, *said, style=_GATE_STYLES[each.verdict])
        above = reason
    return table


def _cell(cell: Cell | None, divisor: float, unit: Unit | None) -> str:
    if cell is None:  # it states this metric in another unit, in a row of its own
        return ""
    number = layout.figure_text(cell, divisor, unit)
    if cell.median is None:
        return f"[yellow]{number}[/]"
    ratio = layout.ratio_text(cell.comparison)
    if cell.comparison is None or not ratio:
        return number
    return f"{number}\n[{_COLOURS[cell.comparison.verdict] or 'default'}]{escape(ratio)}[/]"


def _status(row: Row) -> str:
    passed = sum(cell.status == "passed" for cell in row.cells.values())
    return f"{passed}/{len(row.cells)}"


def _marks(row: Row, numbers: dict[str, int]) -> str:
    found = {numbers[note] for target, cell in row.cells.items() for note in layout.cell_notes(target, cell)}
    return " ".join(map(str, sorted(found)))


def _below(console: Console, report: Report) -> None:
    for target, reason in layout.contexts(report):
        console.print(f"context: {escape(target)} is {escape(reason)}")
    for note, number in layout.notes(report).items():
        console.print(f"{number}: {escape(note)}", style="yellow")
    for warning in report.warnings:
        console.print(f"note: {escape(warning)}", style="yellow")
    console.print(f"\nConfiguration (all of it: --format markdown); {escape(layout.settings(report))}", style="dim")
    for column in report.columns:
        console.print(f"  {escape(layout.configuration(report, column))}", style="dim")
