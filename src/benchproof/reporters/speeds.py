"""The words of the scaling table: a line for each system and workload, its figures within that system alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast, get_args

from benchproof.analysis.matrix import Report
from benchproof.analysis.scaling import ScalingRow, Step
from benchproof.analysis.stats import Interval
from benchproof.analysis.usl import Law
from benchproof.model import Unit
from benchproof.reporters import layout

LEGEND = (
    "Speed-ups are ratios of medians of wall time within a system, with the interval of pairs of one block where there "
    "are enough; times or cycles of different systems are never divided by each other."
)


def head(report: Report) -> tuple[str, ...]:
    """The columns: a median for every width that any row could do, and a speed-up for all but the first."""
    widths = _widths(report)
    medians = (f"smp{width} median" for width in widths)
    speedups = (f"1-to-{width} speedup" for width in widths if width > 1)
    return "System", "Workload", "Runs", *medians, *speedups, "Status"


def _widths(report: Report) -> list[int]:
    return sorted({1} | {step.width for row in report.scaling for step in row.steps if step.status != "unsupported"})


def texts(row: ScalingRow, report: Report, *, short: bool = False) -> tuple[str, ...]:
    """One line, its fields as in `head`. `short`: why a status is what it is stands in the details."""
    steps, widths = {step.width: step for step in row.steps}, _widths(report)
    medians = (_median(row, steps.get(width)) for width in widths)
    speedups = (_speedup(steps.get(width)) for width in widths if width > 1)
    if short:
        medians = ("-" if text == "unsupported" else text for text in medians)
    return (
        row.system,
        row.workload,
        row.runs,
        *medians,
        *speedups,
        row.status.partition(":")[0] if short else row.status,
    )


def _median(row: ScalingRow, step: Step | None) -> str:
    if step is None:
        return ""
    if step.median is None:
        return step.status
    if row.unit not in get_args(Unit):
        return f"{step.median:,.6g} {row.unit}" if step.median < 1 else f"{step.median:,.0f} {row.unit}"
    divisor, unit = layout.scale_of(cast("Unit", row.unit), step.median)
    return f"{layout.figure(step.median / divisor)} {unit}"


def _speedup(step: Step | None) -> str:
    if step is None or step.speedup is None:
        return ""
    return f"{step.speedup:.3f}x{_between(step.interval, '.3f')}"


def _between(interval: Interval | None, form: str) -> str:
    return f" [{interval.low:{form}}, {interval.high:{form}}]" if interval else ""


def details(row: ScalingRow, *, short: bool = False) -> Iterator[str]:
    """What the table has no room for: the CPUs, the efficiency of each width, the law, the notes."""
    name = f"{row.system}, {row.workload}"
    if short and ":" in row.status:
        yield f"{name}: {row.status}"
    shares = (f"{step.label} {step.efficiency:.3f}" for step in row.steps if step.width > 1 and step.efficiency)
    efficiency = ", ".join(shares)
    yield f"{name}: {row.cpu_set}" + (f"; efficiency: {efficiency}" if efficiency else "")
    if row.law is not None:
        yield f"{name}: Universal Scalability Law: {_law(row.law)}"
    elif row.no_law:
        yield f"{name}: {row.no_law}"
    yield from (f"{name}: {note}" for note in row.notes)


def _law(law: Law) -> str:
    coefficients = ", ".join(
        f"{word} {value:.3g}{_between(interval, '.3g')}"
        for word, value, interval in (
            ("sigma", law.sigma, law.sigma_interval),
            ("kappa", law.kappa, law.kappa_interval),
        )
    )
    return "; ".join(part for part in (coefficients, _peak(law), law.absent) if part)


def _peak(law: Law) -> str:
    if law.peak is None:
        return f"no peak, it grows towards {1 / law.sigma:,.3g}x" if law.sigma else "no peak, it grows with the width"
    beyond = "" if law.peak <= max(law.widths) else ", beyond the widths that were measured"
    return f"peak at {law.peak:,.3g} vCPUs{beyond}"
