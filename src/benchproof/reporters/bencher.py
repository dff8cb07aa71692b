"""The report as Bencher Metric Format: benchmark -> measure -> value, with the least and the greatest invocation.

The format has no place for what failed, so it is left out; no value is ever made up for it. `latency` (ns),
`throughput` (op/s) and `file-size` (bytes) are measures that Bencher knows with their units; any other says its unit
in its name.
"""

from __future__ import annotations

import hashlib

from benchproof.analysis.matrix import Report
from benchproof.reporters import export
from benchproof.reporters.export import Number, plain

_KNOWN = {("latency", "ns"), ("throughput", "op/s"), ("file-size", "bytes")}
_LONGEST_BENCHMARK, _LONGEST_MEASURE = 1024, 64


def render(report: Report) -> str:
    """Median, minimum and maximum over invocations, in base units."""
    document: dict[str, dict[str, dict[str, float]]] = {}
    for number in export.numbers(report):
        quantity = number.row.metric.removeprefix(number.row.benchmark).lstrip(".") or number.row.metric
        benchmark = f"{_benchmark(number)} ({plain(number.target)})"
        unit = number.row.unit or ""
        measure = quantity if (quantity, unit) in _KNOWN else f"{quantity} ({unit})"
        document.setdefault(_cut(benchmark, _LONGEST_BENCHMARK), {})[_cut(plain(measure), _LONGEST_MEASURE)] = {
            "value": number.cell.median if number.cell.median is not None else number.cell.values[0],
            "lower_value": min(number.cell.values),
            "upper_value": max(number.cell.values),
        }
    return export.as_json(document)


def _benchmark(number: Number) -> str:
    """The benchmark's own name and what tells it from others of that name."""
    return plain(number.row.benchmark) + number.name.removeprefix(plain(number.row.metric))


def _cut(name: str, longest: int) -> str:
    """Names that differ stay different."""
    if len(name) <= longest:
        return name
    return f"{name[: longest - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
