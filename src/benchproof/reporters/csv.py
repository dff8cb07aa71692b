"""The matrix as CSV: one line a cell, base units, nothing rounded."""

from __future__ import annotations

import csv
import io

from benchproof.analysis.matrix import Report

_HEAD = (
    *("run_id", "benchmark", "metric", "unit", "better", "target", "status", "n", "median", "spread"),
    *("reference", "ratio", "ratio_low", "ratio_high", "confidence", "notes"),
)


def render(report: Report) -> str:
    """A head line, then the cells, row by row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEAD)
    columns = {column.target: column for column in report.columns}
    for row in report.rows:
        for target, cell in row.cells.items():
            ratio = cell.comparison.ratio if cell.comparison else None
            compared = (
                (columns[target].reference, ratio.estimate, ratio.low, ratio.high, ratio.confidence)
                if ratio
                else ("",) * 5
            )
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
            writer.writerow((*known, cell.median, cell.spread, *compared, "; ".join(cell.notes)))
    return text.getvalue()
