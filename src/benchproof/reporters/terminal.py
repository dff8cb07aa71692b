"""The report for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from benchproof.analysis.matrix import Report
from benchproof.reporters import causes, crowds, doubts, elsewhere, goals, grids, layout, profiles, speeds, verdicts
from benchproof.reporters.screen import Screen, escape

__all__ = ["escape", "gates", "render"]

_LEAST_OF_GATES = 80  # columns, below which a gate is a sentence
_WIDE = 160  # columns, from which on a status of many words has room in a table
_GATE_STYLES = {"met": "green", "not met": "red", "undecided": "magenta", "review": "yellow", "off": "dim"}


def render(
    report: Report, *, width: int = 120, color: bool = False, encoding: str = "utf-8", draw: bool = False
) -> str:
    """The tables, and beneath them everything that they do not say. `draw`: with pictures."""
    console = Screen(width=width, color=color, encoding=encoding)
    for label in layout.labels(report):
        console.print(f"note: {escape(label)}", style="yellow")
    console.print(f"run {escape(report.run_id)}: {layout.coverage(report)}", style="italic")
    _smokes(console, report)
    for table in grids.of(console, report, draw=draw):
        console.print(table, style="dim" if isinstance(table, str) else None)
    console.print("There is no total score.", style="dim")
    if report.published:
        console.print(_published(report))
        for source in elsewhere.sources(report):
            console.print(escape(source), style="dim")
    _causes(console, report)
    _profiles(console, report)
    if report.scaling:
        console.print("scaling", style="italic")
        console.print(_scaling(report, width))
        console.print(speeds.LEGEND, style="dim")
        for line in (line for row in report.scaling for line in speeds.details(row, short=width < _WIDE)):
            console.print(escape(line), style="dim")
    _crowds(console, report)
    if report.gates:
        console.print(f"gates: {verdicts.counts(report.gates)}", style="italic")
        _print_gates(console, report)
    _goals(console, report)
    _below(console, report)
    return console.text


def gates(report: Report, *, width: int = 120, color: bool = False, encoding: str = "utf-8") -> str:
    """The gates alone: a table, and beneath it why any of them is not simply met."""
    console = Screen(width=width, color=color, encoding=encoding)
    has_room = console.width >= _LEAST_OF_GATES
    if has_room:
        console.print(_gates(report, with_reasons=False))
    for each in report.gates:
        if not has_room or each.reason or each.verdict in {"not met", "undecided"}:
            console.print(escape(verdicts.line(each, report)), style=_GATE_STYLES[each.verdict], soft_wrap=True)
    for warning in report.warnings:
        console.print(f"note: {escape(warning)}", style="yellow", soft_wrap=True)
    _goals(console, report)
    console.print(f"run {escape(report.run_id)}: {verdicts.counts(report.gates)}")
    return console.text


def _profiles(console: Console, report: Report) -> None:
    for found in profiles.costs(report, repeating=False):
        table = Table(title=escape(found.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in found.heads:
            table.add_column(escape(name), justify="left" if name == found.heads[0] else "right", overflow="fold")
        for line in found.lines:
            table.add_row(*map(escape, line))
        console.print(table if found.lines else escape(found.title), style=None if found.lines else "italic")
        for remark in found.remarks:
            console.print(escape(remark), style="dim")
    if report.profiles:
        console.print(f"{profiles.LEGEND} {profiles.EVERY}", style="dim")


def _causes(console: Console, report: Report) -> None:
    if not causes.is_there(report):
        return
    console.print(causes.TITLE, style="italic")
    for name, told in causes.lines(report):
        console.print(escape(name))
        for line in told:
            console.print(f"  {escape(line)}", style="dim", soft_wrap=True)
    console.print(causes.LEGEND, style="dim")


def _published(report: Report) -> Table:
    table = Table(title=elsewhere.TITLE, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in elsewhere.HEAD:
        table.add_column(name, justify="right" if name == "figure" else "left", overflow="fold")
    for texts in elsewhere.texts(report):
        table.add_row(*map(escape, texts), style="dim")
    return table


def _scaling(report: Report, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    head = speeds.head(report)
    for name in head:
        left = name in {head[0], head[1], head[-1]}
        table.add_column(name, justify="left" if left else "right", overflow="fold", no_wrap=name in head[:2])
    for row in report.scaling:
        table.add_row(*(escape(text) for text in speeds.texts(row, report, short=width < _WIDE)))
    return table


def _crowds(console: Console, report: Report) -> None:
    """Agents at once, where a target was asked with several numbers of them."""
    if not report.crowds:
        return
    table = Table(title="agents at once", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in crowds.HEAD:
        table.add_column(name, justify="left" if name == crowds.HEAD[0] else "right", overflow="fold")
    for line in (line for curve in report.crowds for line in crowds.texts(curve)):
        table.add_row(*map(escape, line))
    console.print(table)
    for words in (words for curve in report.crowds for words in crowds.details(curve)):
        console.print(escape(words))
    console.print(crowds.LEGEND, style="dim")


def _print_gates(console: Console, report: Report) -> None:
    if console.width >= _LEAST_OF_GATES:
        console.print(_gates(report))
        return
    for each in report.gates:
        console.print(escape(verdicts.line(each, report)), style=_GATE_STYLES[each.verdict])


def _gates(report: Report, *, with_reasons: bool = True) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in verdicts.HEAD if with_reasons else verdicts.HEAD[:-1]:
        right = name in {"figure", "limit", "margin"}
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    above = ""
    for each in report.gates:
        *texts, reason = (escape(text) for text in verdicts.texts(each, report))
        said = ["as above" if reason and reason == above else reason] if with_reasons else []
        table.add_row(*texts, *said, style=_GATE_STYLES[each.verdict])
        above = reason
    return table


def _goals(console: Console, report: Report) -> None:
    if not goals.of(report):
        return
    table = Table(title=goals.TITLE, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in goals.HEAD:
        table.add_column(name, justify="right" if name in {"target", "current"} else "left", overflow="fold")
    for texts in goals.texts(report):
        table.add_row(*map(escape, texts))
    console.print(table)
    console.print(goals.LEGEND, style="dim")


def _smokes(console: Console, report: Report) -> None:
    found = tuple(doubts.smokes(report))
    if found:
        console.print(f"tier 0, passed: {escape(', '.join(counts for counts, _ in found))}")
    for counts, troubles in found:
        for trouble in troubles:
            console.print(escape(f"{counts.rpartition(' ')[0]}: {trouble}; its figures are not kept"), style="red")


def _below(console: Console, report: Report) -> None:
    for target, reason in doubts.contexts(report):
        console.print(f"context: {escape(target)} is {escape(reason)}")
    for caveat in doubts.caveats(report):
        console.print(f"caveat: {escape(caveat)}")
    for note, number in layout.notes(report).items():
        console.print(f"{number}: {escape(note)}", style="yellow")
    for warning in report.warnings:
        console.print(f"note: {escape(warning)}", style="yellow")
    console.print(f"\nConfiguration (all of it: --format markdown); {escape(layout.settings(report))}", style="dim")
    for column in report.columns:
        console.print(f"  {escape(layout.configuration(report, column))}", style="dim")
