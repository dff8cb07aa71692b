"""The in-guest categories as capsem's document 0.3.0, so that who reads those can read ours: one target, verified only.

Its units are its own: milliseconds, and MiB for what it calls MB. It has no words for a cold cache or for a disk that
lies in memory; so each entry says in `measured` which metric it is and by which mechanism. What has no number is in no
category, it is in `left_out` with the reason; `labels` say which system is no ordinary one. A duration that was not
kept follows from the amount and the rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from benchproof.analysis.matrix import Cell, Report, Row
from benchproof.errors import UsageError
from benchproof.reporters import export
from benchproof.reporters.export import plain

_MIB = 2**20
_NS_PER_MS = 1e6
_IO = {  # benchmark -> category, entry
    "disk.sequential_write": ("disk", "seq_write"),
    "disk.sequential_read": ("disk", "seq_read"),
    "disk.random_write": ("disk", "rand_write"),
    "disk.random_read": ("disk", "rand_read"),
    "rootfs.sequential_read": ("rootfs", "seq_read"),
    "rootfs.random_read": ("rootfs", "rand_read"),
}
_QUANTILES = {"p50": "latency", "p90": "latency_p90", "p95": "latency_p95", "p99": "latency_p99"}
_CATEGORIES = ("disk", "rootfs", "startup", "http", "throughput", "snapshot")
_PAGE_BYTES = 4096
Entry = dict[str, Any]


class _Case:
    """One benchmark with its parameters on the target: all of its metrics that have a number."""

    def __init__(self, row: Row) -> None:
        self.benchmark = row.benchmark
        self.parameters = row.parameters
        self.metrics: dict[str, tuple[str, Cell]] = {}

    def found(self, quantity: str) -> tuple[str, float, Cell] | None:
        """Metric, median and cell; the conditions in a metric's name (`warm_`, `memory_`) come before its quantity."""
        for name, (metric, cell) in self.metrics.items():
            if name.removeprefix("memory_").removeprefix("warm_").removeprefix("buffered_") == quantity:
                return metric, float(cell.median or 0), cell
        return None

    def number(self, name: str) -> int:
        """A parameter that is an amount."""
        value = self.parameters.get(name, 0)
        return int(value) if isinstance(value, int | float) else 0


def render(report: Report) -> str:
    """One document. Raises UsageError for a report of several targets: it has no place for a second."""
    cases = _cases(report)
    document: Entry = {
        "version": "0.3.0",
        "timestamp": datetime.fromisoformat(report.created_at).timestamp(),
        "hostname": "",
        "generator": plain(f"benchproof {report.version}, run {report.run_id}"),
        "labels": [
            *(plain(f"{column.target}: {label}") for column in report.columns for label in column.labels),
            *(plain(str(each)) for each in report.inspired),
        ],
    }
    found: dict[str, Entry] = {}
    for case in cases:
        for category, entry in _entries(case):
            _merge(found.setdefault(category, {}), entry, case.benchmark)
    document |= {name: found[name] for name in _CATEGORIES if name in found}
    return export.as_json(document | {"left_out": export.left_out(report)})


def _cases(report: Report) -> list[_Case]:
    """Those with numbers, in the order of the report. Raises UsageError where more than one target has some."""
    cases: dict[str, _Case] = {}
    targets: Counter[str] = Counter()
    for row in report.rows:
        for target, cell in row.cells.items():
            if cell.status == "passed" and cell.values and row.benchmark.partition(".")[0] in _CATEGORIES:
                targets[target] += 1
                case = cases.setdefault(f"{row.benchmark} {sorted(row.parameters.items(), key=str)}", _Case(row))
                case.metrics[row.metric.removeprefix(f"{row.benchmark}.")] = (row.metric, cell)
    if len(targets) > 1:
        raise UsageError(f"capsem-guest: expected figures of one target, found {', '.join(targets)}: run --targets ONE")
    return list(cases.values())


def _merge(category: Entry, entry: Entry, benchmark: str) -> None:
    for key, value in entry.items():
        if isinstance(value, dict) and isinstance(category.get(key), dict) and key == "commands":
            _merge(category[key], value, benchmark)
        elif isinstance(value, dict) and key.endswith("_files"):
            category.setdefault(key, {}).update(value)
        elif key == "directory":  # of the first; each entry says in `measured` what it lay on
            category.setdefault(key, value)
        elif key == "runs_per_command":
            category[key] = max(category.get(key, 0), value)
        elif key in category and category[key] != value:
            raise UsageError(f"capsem-guest: expected one case of '{benchmark}', found more: run -b with one of them")
        else:
            category[key] = value


def _entries(case: _Case) -> Iterator[tuple[str, Entry]]:
    readers: Mapping[str, Callable[[_Case], Iterator[tuple[str, Entry]]]] = {
        "startup.command": _startup,
        "http.requests": _http,
        "http.download": _download,
    }
    if case.benchmark in _IO:
        yield from _io(case)
    elif case.benchmark.startswith("snapshot."):
        yield from _snapshot(case)
    elif case.benchmark in readers:
        yield from readers[case.benchmark](case)


def _io(case: _Case) -> Iterator[tuple[str, Entry]]:
    category, key = _IO[case.benchmark]
    throughput, rate = case.found("throughput"), case.found("rate")
    if throughput is None:
        return
    metric, bytes_a_second, cell = throughput
    entry: Entry = {"measured": plain(f"{metric}: {cell.mechanism}"), "throughput_mbps": bytes_a_second / _MIB}
    if ".random" in case.benchmark:
        block = case.number("block") or _PAGE_BYTES
        count, key = _operations(case, block), f"{key}_{block // 1024}k"
        iops = {"iops": rate[1]} if rate else {}
        entry |= {"count": count, "block_size": block, "duration_ms": 1e3 * count * block / bytes_a_second, **iops}
    else:
        size, block = case.number("size"), case.number("block") or _MIB
        entry |= {"size_bytes": size, "block_size": block, "duration_ms": 1e3 * size / bytes_a_second}
    head = {"directory": plain(str(case.parameters.get("folder", "")))} if category == "disk" else {}
    yield category, {**head, key: entry}


def _operations(case: _Case, block: int) -> int:
    """No place is taken twice: there are no more than the file has blocks."""
    return min(case.number("operations"), case.number("size") // block or case.number("operations"))


def _startup(case: _Case) -> Iterator[tuple[str, Entry]]:
    words = case.parameters.get("command", [])
    command = [plain(str(word)) for word in words] if isinstance(words, list | tuple) else []
    for quantity, name in (("warm_latency", command[0]), ("cold_latency", f"{command[0]} (cold)")):
        if quantity not in case.metrics:
            continue
        values = [value / _NS_PER_MS for value in case.metrics[quantity][1].values]
        timed = {"min_ms": min(values), "mean_ms": sum(values) / len(values), "max_ms": max(values)}
        each = {"command": command, "timings_ms": values, **timed}
        yield "startup", {"runs_per_command": len(values), "commands": {name: each}}


def _http(case: _Case) -> Iterator[tuple[str, Entry]]:
    rate = case.found("throughput")
    latencies = {name: found[1] / _NS_PER_MS for name, key in _QUANTILES.items() if (found := case.found(key))}
    if rate is None or not latencies:
        return
    asked = case.number("requests")
    entry = {"url": _url(case), "total_requests": asked, "concurrency": case.number("connections")}
    yield "http", {**entry, "successful": asked, "failed": 0, "requests_per_sec": rate[1], "latency_ms": latencies}


def _download(case: _Case) -> Iterator[tuple[str, Entry]]:
    if (rate := case.found("throughput")) is None:
        return
    size = case.number("size")
    entry = {"url": _url(case), "http_code": 200, "size_bytes": size, "duration_s": size / rate[1]}
    yield "throughput", {**entry, "throughput_mbps": rate[1] / _MIB}


def _snapshot(case: _Case) -> Iterator[tuple[str, Entry]]:
    operation = case.benchmark.removeprefix("snapshot.")
    if found := case.found("latency"):
        timed = {f"{operation}_ms": found[1] / _NS_PER_MS, f"{operation}_ok": True}
        yield "snapshot", {f"{case.number('files')}_files": timed}


def _url(case: _Case) -> str:
    return plain(str(case.parameters.get("url") or "an origin of benchproof's own"))
