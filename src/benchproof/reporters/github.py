"""The report as workflow commands: GitHub shows them as annotations of the run of a workflow.

Gates come first, since ten annotations of a kind are shown of a step. A gate that ends the command badly is an error,
and so is what failed; review, invalid, missing and unverified are warnings, and so is a target that is no ordinary
system; unsupported is a notice, and so is the count of it all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, assert_never

from benchproof.analysis.gate import GateVerdict
from benchproof.analysis.matrix import Report
from benchproof.errors import one_line
from benchproof.reporters import layout, verdicts

Level = Literal["error", "warning", "notice"]


def render(report: Report) -> str:
    """One command a line; gates that are met or off have none."""
    summary = layout.coverage(report) + (f"; gates: {verdicts.counts(report.gates)}" if report.gates else "")
    labels = (_command("warning", "no ordinary system", each) for each in layout.labels(report))
    commands = (
        *_gates(report),
        *_cases(report),
        *labels,
        _command("notice", f"benchproof run {report.run_id}", summary),
    )
    return "".join(f"{command}\n" for command in commands)


def _gates(report: Report) -> Iterator[str]:
    for verdict in report.gates:
        level = _level_of_gate(verdict)
        if level:
            name, target, *_ = verdicts.texts(verdict, report)
            yield _command(level, f"gate {name} on {target}", verdicts.line(verdict, report))


def _level_of_gate(verdict: GateVerdict) -> Level | None:
    match verdict.verdict:
        case "met" | "off":
            return None
        case "not met" | "undecided":
            return "error"
        case "review":
            return "warning"
    assert_never(verdict.verdict)


def _cases(report: Report) -> Iterator[str]:
    """One for all metrics of a benchmark on a target: they end alike."""
    levels: dict[str, Level] = {"failed": "error", "unsupported": "notice"}
    found = {
        (layout.question(report, row), layout.shown_target(report, target)): cell
        for row in report.rows
        for target, cell in row.cells.items()
        if cell.status != "passed"
    }
    for (name, target), cell in found.items():
        level = levels.get(cell.status, "warning")
        yield _command(level, f"{name} on {target}: {cell.status}", "; ".join(cell.notes) or cell.status)


def _command(level: Level, title: str, message: str) -> str:
    return f"::{level} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    """No line break is left in it: a text from a bundle cannot begin a command of its own."""
    return one_line(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
