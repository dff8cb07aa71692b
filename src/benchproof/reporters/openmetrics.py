"""The report as OpenMetrics text, for a collector: medians of what passed, in the base units of that world.

Labels are few: benchmark, target, metric, parameters where rows of one metric differ in them, and the mechanism of a
system that times another one than the benchmark's. The run's id is in
one info metric alone, since each new value of a label is a new series for ever. Nothing else is exported, never a 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from benchproof.analysis.matrix import Report
from benchproof.model import Unit
from benchproof.reporters import export
from benchproof.reporters.export import Number, plain

_FAMILIES: dict[Unit, tuple[str, float]] = {  # our unit -> theirs, how many of ours it is
    "ns": ("seconds", 1e9),
    "bytes": ("bytes", 1),
    "bytes/s": ("bytes_per_second", 1),
    "op/s": ("operations_per_second", 1),
    "instructions": ("instructions", 1),
    "cycles": ("cycles", 1),
    "count": ("items", 1),
    "ratio": ("ratio", 1),
}


def render(report: Report) -> str:
    """Families of gauges by unit, the number of invocations behind each, and the run's own info."""
    found = list(export.numbers(report))
    lines = [*_run(report)]
    for unit, (name, divisor) in _FAMILIES.items():
        of_unit = [number for number in found if number.row.unit == unit and number.cell.median is not None]
        samples = [(_labels(number), (number.cell.median or 0.0) / divisor) for number in of_unit]
        lines += _family(f"benchproof_median_{name}", name, "Median over verified invocations.", samples)
    counts = [(_labels(number), float(len(number.cell.values))) for number in found]
    lines += _family("benchproof_invocations", "", "Verified invocations behind a median.", counts)
    return "\n".join([*lines, "# EOF"]) + "\n"


def _family(name: str, unit: str, said: str, samples: list[tuple[str, float]]) -> Iterator[str]:
    if not samples:
        return
    yield f"# TYPE {name} gauge"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {said}"
    yield from (f"{name}{{{labels}}} {value!r}" for labels, value in samples)


def _run(report: Report) -> Iterator[str]:
    yield "# TYPE benchproof_run info"
    yield "# HELP benchproof_run The run that these figures are from."
    yield f"benchproof_run_info{{{_text({'run_id': report.run_id, 'version': report.version})}}} 1"
    try:
        created = datetime.fromisoformat(report.created_at).timestamp()
    except ValueError:
        return  # not a time: there is nothing to say
    yield from _family("benchproof_run_time_seconds", "seconds", "When the run began.", [("", created)])


def _labels(number: Number) -> str:
    row = number.row
    known = {"benchmark": row.benchmark, "target": number.target, "metric": row.metric}
    differing = number.name.removeprefix(plain(row.metric)).strip()
    other = {"mechanism": number.cell.mechanism} if number.cell.difference else {}
    return _text(known | ({"parameters": differing} if differing else {}) | other)


def _text(labels: dict[str, str]) -> str:
    """`plain` leaves no line break in a value: backslashes and quotes are left to escape."""
    escaped = {name: plain(value).replace("\\", "\\\\").replace('"', '\\"') for name, value in labels.items()}
    return ",".join(f'{name}="{value}"' for name, value in escaped.items())
