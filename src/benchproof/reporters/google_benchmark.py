"""The report as Google Benchmark's JSON, for its `tools/compare.py`: one entry for each invocation, in nanoseconds.

CPU time is not measured, and the tool reads no entry without it: `cpu_time` repeats `real_time`, and the label says so.
What did not pass is one entry over all its invocations, with `error_occurred` and no time: an aggregate whose name ends
in its status, since compare.py would read a time of any other entry, and of one that another run has by the same name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchproof.analysis.matrix import Report
from benchproof.reporters import export
from benchproof.reporters.export import Gap, Number, plain

_NS_PER_S = 1e9
_RATES = {"bytes/s": "bytes_per_second", "op/s": "items_per_second"}


def render(report: Report) -> str:
    """Context, then the entries, metric by metric."""
    timed = [(number, values) for number in export.numbers(report) if (values := export.seconds(number)) is not None]
    entries = [entry for family, (number, values) in enumerate(timed) for entry in _entries(family, number, values)]
    failed = [_error(len(timed) + family, gap) for family, gap in enumerate(export.gaps(report))]
    return export.as_json({"context": _context(report), "benchmarks": [*entries, *failed]})


def _context(report: Report) -> dict[str, object]:
    host = next((sections["host"] for sections in report.envelopes.values() if "host" in sections), {})
    cpus = host.get("cpus", "")
    known = {"num_cpus": int(cpus)} if cpus.isdecimal() else {}
    return {
        "date": plain(report.created_at),
        "host_name": "",
        "executable": "benchproof",
        **known,
        "caches": [],
        "load_avg": [],
        "library_version": plain(f"benchproof {report.version}"),
        "library_build_type": "release",
        "json_schema_version": 1,
        "run_id": plain(report.run_id),
        "without_time": export.no_time(report),
    }


def _entries(family: int, number: Number, values: Sequence[float]) -> Iterator[dict[str, object]]:
    name = f"{number.name}/{plain(number.target)}"
    counter = _RATES.get(number.row.unit or "")
    for index, (value, measured) in enumerate(zip(values, number.cell.values, strict=True)):
        yield {
            "name": name,
            "family_index": family,
            "per_family_instance_index": 0,
            "run_name": name,
            "run_type": "iteration",
            "repetitions": len(values),
            "repetition_index": index,
            "threads": 1,
            "iterations": 1,
            "real_time": value * _NS_PER_S,
            "cpu_time": value * _NS_PER_S,
            "time_unit": "ns",
            "label": f"{_mechanism(number)}wall {export.per(number)}; cpu_time repeats it",
            **({counter: measured} if counter else {}),
        }


def _mechanism(number: Number) -> str:
    return f"{plain(number.cell.mechanism)}: " if number.cell.mechanism else ""


def _error(family: int, gap: Gap) -> dict[str, object]:
    name = f"{gap.name}/{plain(gap.target)}"
    return {
        "name": f"{name}/{gap.status}",
        "family_index": family,
        "per_family_instance_index": 0,
        "run_name": name,
        "run_type": "aggregate",
        "aggregate_name": gap.status,
        "repetitions": 0,
        "threads": 1,
        "error_occurred": True,
        "error_message": plain(f"{gap.status}: {gap.reason}"),
    }
