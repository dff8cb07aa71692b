"""The scaling table as CSV: one line for each system, workload and width, base units, nothing rounded."""

from __future__ import annotations

import csv
import io

from benchproof.analysis.matrix import Report
from benchproof.analysis.scaling import Step
from benchproof.reporters.export import fields

_HEAD = (
    *("run_id", "system", "workload", "metric", "unit", "width", "label", "status", "n", "median"),
    *("speedup", "speedup_low", "speedup_high", "confidence", "efficiency", "claim", "reason"),
    *("row_status", "cpu_set", "sigma", "kappa", "peak"),
)


def render(report: Report) -> str:
    """A head line, then the widths, row by row; the head line alone where nothing was asked at several widths."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    for row in report.scaling:
        law = (row.law.sigma, row.law.kappa, row.law.peak) if row.law else (None, None, None)
        for step in row.steps:
            whose = (report.run_id, row.system, row.workload, row.metric, row.unit)
            line = (*whose, *_measured(step), *_claimed(step), row.status, row.cpu_set, *law)
            writer.writerow(fields(line))
    return text.getvalue()


def _measured(step: Step) -> tuple[object, ...]:
    interval = step.interval
    between = (interval.low, interval.high, interval.confidence) if interval else (None, None, None)
    return step.width, step.label, step.status, step.n, step.median, step.speedup, *between


def _claimed(step: Step) -> tuple[object, ...]:
    return step.efficiency, "yes" if step.claim else "no", step.reason
