"""The matrix as CSV: one line a cell, base units, nothing rounded, no text that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import msgspec

from benchproof.analysis.compare import Comparison
from benchproof.analysis.gate import GateVerdict
from benchproof.analysis.matrix import Report, Row
from benchproof.analysis.published import Figure, Published
from benchproof.reporters import layout
from benchproof.reporters.export import fields
from benchproof.reporters.summary import FIGURES, figure

_HEAD = (
    *("run_id", "benchmark", "metric", "unit", "better", "target", "status", "n", "median", "spread"),
    *FIGURES[1:],
    *("reference", "ratio", "ratio_low", "ratio_high", "confidence", "difference", "verdict", "reason"),
    *("unlike", "mechanism", "mechanism_differs", "labels", "notes"),
    *("gates", "parameters"),
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
            said = "; ".join(_told(each) for each in report.gates if _speaks_of(each, row, target))
            timed = (cell.mechanism, cell.difference, "; ".join(layout.shown_labels(report, row.benchmark, target)))
            told = ("; ".join(cell.notes), said, _json(row.parameters))
            writer.writerow(fields((*known, cell.median, cell.spread, *figures, *compared, *timed, *told)))
    for each in report.gates:
        if not any(_speaks_of(each, row, each.target) for row in report.rows if each.target in row.cells):
            writer.writerow(fields(_lost(report, each)))
    for published in report.published:
        writer.writerows(fields(_published(report, published, each)) for each in published.figures)
    return text.getvalue()


def _speaks_of(verdict: GateVerdict, row: Row, target: str) -> bool:
    gate = verdict.gate
    asked = (gate.benchmark, verdict.target, verdict.parameters) == (row.benchmark, target, row.parameters)
    return asked and (gate.metric in {None, row.metric} or row.unit is None)


def _json(parameters: dict[str, object]) -> str:
    return msgspec.json.encode(parameters, order="sorted").decode()


def _told(verdict: GateVerdict) -> str:
    return f"{verdict.gate.key}: {verdict.verdict}"


def _lost(report: Report, verdict: GateVerdict) -> tuple[object, ...]:
    """A gate on what the run does not have still has its line."""
    gate = verdict.gate
    known = (report.run_id, gate.benchmark, gate.metric or "", "", "", verdict.target, "missing", verdict.n)
    told = (verdict.reason, _told(verdict), _json(verdict.parameters))
    return *known, *[""] * (len(_HEAD) - len(known) - len(told)), *told


def _published(report: Report, published: Published, figure: Figure) -> tuple[object, ...]:
    """Marked by its status: what was measured has another."""
    known = {"run_id": report.run_id, "metric": figure.metric, "unit": figure.unit, "target": published.name}
    said = "; ".join(text for text in (published.source, published.machine, published.date) if text)
    told = known | {"status": "published", "median": figure.value, "notes": said}
    return tuple(told.get(name, "") for name in _HEAD)


def _compared(reference: str, comparison: Comparison | None) -> tuple[object, ...]:
    if comparison is None:
        return ("",) * 9
    ratio, difference = comparison.ratio, comparison.difference
    figures = (ratio.estimate, ratio.low, ratio.high, ratio.confidence) if ratio else ("",) * 4
    words = (comparison.verdict, comparison.reason, comparison.unlike)
    return reference, *figures, difference.estimate if difference else "", *words
