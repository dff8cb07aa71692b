"""The matrix as CSV: one line a cell, base units, nothing rounded."""

from __future__ import annotations

import csv
import io

from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Report
from benchproof.reporters.summary import FIGURES, figure

_HEAD = (
    *("run_id", "benchmark", "metric", "unit", "better", "target", "status", "n", "median", "spread"),
    *FIGURES[1:],
    *("reference", "ratio", "ratio_low", "ratio_high", "confidence", "difference", "verdict", "reason", "notes"),
)


def render(report: Report) -> str:
    """A head line, then the cells, row by row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    columns = {column.target: column for column in report.columns}
    for row in report.rows:
        for target, cell in row.cells.items():
            known = (
                report.run_id,
                row.benchmark,
                row.metric,
                row.unit,
                row.better,
                target,
                cell.status,
                cell.n,
            )
            compared = _compared(columns[target].reference, cell.comparison)
            figures = [figure(cell.summary, name) for name in FIGURES[1:]]
            writer.writerow((*known, cell.median, cell.spread, *figures, *compared, "; ".join(cell.notes)))
    return text.getvalue()


def _compared(reference: str, comparison: Comparison | None) -> tuple[object, ...]:
    if comparison is None:
        return ("",) * 8
    ratio, difference = comparison.ratio, comparison.difference
    figures = (ratio.estimate, ratio.low, ratio.high, ratio.confidence) if ratio else ("",) * 4
    return reference, *figures, difference.estimate if difference else "", comparison.verdict, comparison.reason
