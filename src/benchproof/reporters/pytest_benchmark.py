"""The report as pytest-benchmark's JSON, for `pytest-benchmark compare` and what else reads it: time alone.

A round is an invocation. The statistics are those that pytest-benchmark computes of its rounds, by its definitions:
its quartiles interpolate, ours never do. What has no time is listed under `benchproof`, which the tool does not read.
"""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from benchproof.analysis.matrix import Report
from benchproof.reporters import export
from benchproof.reporters.export import Number, plain


def render(report: Report) -> str:
    """One entry for each metric and target that has a time, grouped by metric."""
    timed = [(number, values) for number in export.numbers(report) if (values := export.seconds(number)) is not None]
    return export.as_json(
        {
            "machine_info": _machine(report),
            "commit_info": {
                "id": plain(report.labels.get("commit", "unversioned")),
                "branch": plain(report.labels.get("branch", "(unknown)")),
                "project": "benchproof",
                "time": None,
                "author_time": None,
                "dirty": None,
            },
            "benchmarks": [_entry(number, values) for number, values in timed],
            "datetime": plain(report.created_at),
            "version": plain(f"benchproof {report.version}"),
            "benchproof": {
                "run_id": plain(report.run_id),
                "without_number": export.left_out(report),
                "without_time": export.no_time(report),
            },
        }
    )


def _machine(report: Report) -> dict[str, object]:
    """Of the first target's host; no name of it, a bundle may be published."""
    host = next((sections["host"] for sections in report.envelopes.values() if "host" in sections), {})
    cpus = host.get("cpus", "")
    return {
        "node": "",
        "system": "Linux",
        "release": plain(host.get("kernel", "")),
        "machine": plain(host.get("architecture", "")),
        "processor": plain(host.get("cpu", "")),
        "cpu": {"brand_raw": plain(host.get("cpu", "")), "count": int(cpus) if cpus.isdecimal() else None},
    }


def _entry(number: Number, values: Sequence[float]) -> dict[str, object]:
    name = f"{number.name}[{plain(number.target)}]"
    return {
        "group": number.name,
        "name": name,
        "fullname": name,
        "params": {"target": plain(number.target)}
        | {plain(key): plain(str(value)) for key, value in number.row.parameters.items()},
        "param": plain(number.target),
        "extra_info": {"value": export.per(number), "metric": plain(number.row.metric), **_mechanism(number)},
        "options": {"disable_gc": False, "timer": "benchproof", "min_rounds": len(values), "warmup": False},
        "stats": stats_of(values),
    }


def _mechanism(number: Number) -> dict[str, str]:
    return {"mechanism": plain(number.cell.mechanism)} if number.cell.mechanism else {}


def stats_of(values: Sequence[float]) -> dict[str, object]:
    """The fields of its class `Stats` (5.3), by the same definitions: a single round has a deviation of 0."""
    ordered, rounds = sorted(values), len(values)
    mean, spread = statistics.fmean(values), statistics.stdev(values) if rounds > 1 else 0.0
    q1, q3 = _quartiles(ordered)
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    beyond_spread = sum(not mean - spread <= value <= mean + spread for value in values)
    beyond_quartiles = sum(not low <= value <= high for value in values)
    total = sum(values)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": spread,
        "rounds": rounds,
        "median": statistics.median(values),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond_quartiles,
        "stddev_outliers": beyond_spread,
        "outliers": f"{beyond_spread};{beyond_quartiles}",
        "ld15iqr": ordered[bisect_left(ordered, low)],
        "hd15iqr": ordered[bisect_right(ordered, high) - 1],
        "ops": rounds / total if total else 0,
        "total": total,
        "data": list(values),
        "iterations": 1,
    }


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    """Of an even number the medians of both halves, of an odd number interpolated between neighbours."""
    quarter, rest = divmod(len(ordered), 4)
    if len(ordered) == 1:
        return ordered[0], ordered[0]
    if rest == 1:
        q1 = 0.25 * ordered[quarter - 1] + 0.75 * ordered[quarter]
        return q1, 0.75 * ordered[3 * quarter] + 0.25 * ordered[3 * quarter + 1]
    if rest == 3:
        q1 = 0.75 * ordered[quarter] + 0.25 * ordered[quarter + 1]
        return q1, 0.25 * ordered[3 * quarter + 1] + 0.75 * ordered[3 * quarter + 2]
    half = len(ordered) // 2
    return statistics.median(ordered[:half]), statistics.median(ordered[half:])
