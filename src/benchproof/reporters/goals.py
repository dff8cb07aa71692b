"""The words of the table of targets: what was promised of a system, what it does today, and whether to rely on it.

Only gates with a priority are in it. The status never replaces the verdict, which the table of gates says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchproof.analysis.gate import GateVerdict
from benchproof.analysis.goals import NEAR, Priority, Status
from benchproof.analysis.matrix import Report
from benchproof.reporters import layout

TITLE = "targets"
HEAD = ("metric", "system", "target", "current", "status", "priority")
LEGEND = (
    f"Near target: within {NEAR:.0%} of the limit, on either side. Variable: the 95 % interval of the invocations' "
    "median (of fewer than 6, their range) lies on both sides of it. Not measured: no verified figure. "
    "Whether a target is met, the gate says."
)
STATUSES: dict[Status, str] = {
    "PASS": "PASS",
    "Near target": "Near target (warning)",
    "Variable": "Variable (warning)",
    "Missed": "MISSED",
    "Not measured": "Not measured (pending)",
}
_ORDER: tuple[Priority, ...] = ("Critical", "High", "Medium", "Low")


def of(report: Report) -> Sequence[GateVerdict]:
    """The verdicts in the table, those of the highest priority first."""
    found = [each for each in report.gates if each.gate.priority is not None and each.verdict != "off"]
    return sorted(found, key=lambda each: _ORDER.index(each.gate.priority or "Low"))


def texts(report: Report) -> Iterator[tuple[str, ...]]:
    """One line each, its fields as in `HEAD`."""
    shown = of(report)
    for each in shown:
        gate = each.gate
        assert gate.limit is not None
        asked = [other for other in shown if (other.gate.key, other.target) == (gate.key, each.target)]
        differing = [
            f"{key}={value}"
            for key, value in each.parameters.items()
            if any(other.parameters.get(key) != value for other in asked)
        ]
        yield (
            " ".join([gate.title or gate.key, *differing]),
            layout.shown_target(report, each.target),
            f"{gate.statistic} {gate.limit.text}",
            ""
            if each.figure is None
            else f"{layout.figure(each.figure / gate.limit.scale)} {gate.limit.word}".rstrip(),
            STATUSES[each.status or "Not measured"],
            gate.priority or "",
        )
