"""capsem's benchmark documents: life cycle 0.1.0 and 0.2.0, fork 0.1.0, and the nested in-guest document 0.3.0.

The units are those of its source: `_ms` milliseconds, `_mbps` and `_mb` MiB/s and MiB (it divides by 1024 * 1024).
`values` and `timings_ms` are one fresh invocation each. A failure that it wrote as a number (`delete_ms` 0.0, a rate of
0 where the clock did not move, a request that failed beside those that did not) is `failed`; a section that it skipped
is `unsupported`, with the way to get it. What its methods make doubtful is said with the number, not corrected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Better, Clock, Failed, Frozen, Invalid, Measurement, Unit, Unsupported, Unverified

_MIB = 2**20
_NS_PER_MS = 1e6
_VERSIONS = {"operations": ("0.1.0", "0.2.0"), "fork": ("0.1.0",), "guest": ("0.3.0",)}
_GUEST = ("disk", "rootfs", "storage", "startup", "http", "throughput", "snapshot")
_STATED = ("version", "timestamp", "hostname", "host_recorded_at", "arch", "runs", "launch_span_contract")
_NAME = re.compile(r"data_(.{1,60}?)(?:_(?:arm64|aarch64|x86_64|amd64))?\.json")
_DESCRIPTIONS = frozenset({"kernel", "mounts", "paths", "backing", "mount", "scan_dirs"})  # of storage, no measurements
_IO_PARAMETERS = ("size_bytes", "block_size", "count")
_ROUNDING = 0.051  # ms and MiB; one decimal
_FLAGS = {
    "rand_read_4k": "reads the holes of a file that ftruncate made: no data was ever there",
    "seq_write": "writes zeros; what detects them writes nothing",
    "cold": "cold only if the cache could be dropped: a refusal is not recorded",
}


class _Values(Frozen, frozen=True):
    values: list[strict.Amount]
    min: strict.Amount
    mean: strict.Amount
    max: strict.Amount


class _Startup(Frozen, frozen=True):
    command: list[str]
    timings_ms: tuple[strict.Amount, ...] = ()
    error: str = ""


class _Http(Frozen, frozen=True):
    url: str
    total_requests: strict.Count
    concurrency: strict.Count
    successful: strict.Count
    failed: strict.Count
    requests_per_sec: strict.Amount
    latency_ms: dict[str, strict.Amount]


class _Throughput(Frozen, frozen=True):
    url: str
    http_code: strict.Count
    size_bytes: strict.Count
    throughput_mbps: strict.Amount


class _Read(Frozen, frozen=True):
    """What has been read of a document: results, and what is to be said of all of them."""

    results: tuple[Found, ...]
    notes: tuple[str, ...] = ()


def sniff(glimpse: Glimpse) -> bool:
    """Whether the version and the sections are those of one of its documents."""
    document = glimpse.document
    if not isinstance(document, dict) or not isinstance(document.get("timestamp"), int | float):
        return False
    return any(document.get("version") in _VERSIONS[kind] for kind in _kinds(document))


def _kinds(document: Mapping[str, Any]) -> list[str]:
    found = [key for key in ("operations", "fork") if isinstance(document.get(key), dict)]
    return found or (["guest"] if any(key in document for key in _GUEST) else [])


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run."""
    document = strict.document(content, name)
    kinds = _kinds(document) if isinstance(document, dict) else []
    if not kinds:
        raise Unreadable(name, "$", "expected the section 'operations', 'fork' or one of the guest's")
    kind = kinds[0]
    if (version := document.get("version")) not in _VERSIONS[kind]:
        known = " or ".join(_VERSIONS[kind])
        raise Unreadable(name, "$.version", f"expected {known} of a document with {kind}, found '{version}'")
    found = _guest(document, name) if kind == "guest" else _repeated(document, kind, name)
    return (
        Imported(
            tool=f"capsem {'lifecycle' if kind == 'operations' else kind}",
            version=version,
            created_at=strict.instant(_number(document.get("timestamp"), name, "$.timestamp"), name, "$.timestamp"),
            results=found.results,
            facts=_facts(document, name),
            labels=_labels(name),
            notes=found.notes,
        ),
    )


def _number(value: Any, name: str, where: str) -> float:
    return strict.convert(value, name, strict.Amount, where)


def _labels(name: str) -> dict[str, str]:
    """The release of capsem is only in the name of the file."""
    match = _NAME.fullmatch(PurePath(name).name)
    return {"version": strict.plain(match[1])} if match else {}


def _facts(document: Mapping[str, Any], name: str) -> dict[str, dict[str, str]]:
    """The host name is left out: it is another in every guest, and a bundle may be published."""
    facts = {}
    if "arch" in document:
        facts["machine"] = {"architecture": strict.plain(strict.convert(document["arch"], name, str, "$.arch"))}
    command_line: Any = document
    for key in ("storage", "kernel", "cmdline", "raw"):
        command_line = command_line.get(key) if isinstance(command_line, dict) else None
    if isinstance(command_line, str):
        facts["system"] = {"command_line": strict.plain(command_line)[:900]}
    return facts


# ---- life cycle and fork: every operation n times ----


def _repeated(document: Mapping[str, Any], kind: str, name: str) -> _Read:
    runs = strict.convert(document.get("runs"), name, strict.Some, "$.runs")
    prefix = "lifecycle" if kind == "operations" else kind
    results: list[Found] = []
    notes: list[str] = []
    for key, value in document[kind].items():
        where = f"$.{kind}.{strict.plain(key)}"
        table = strict.convert(value, name, _Values, where)
        if len(table.values) > runs:
            raise Unreadable(name, where, f"{len(table.values)} values of {runs} runs")
        lost = _lost(document[kind]) if key == "total_ms" else set()
        results += _operation(prefix, key, table, runs, name, where, lost)
        notes += _unfitting(table, where)
    notes += _wrong_totals(document[kind])
    return _Read(tuple(results), tuple(notes))


def _lost(operations: Mapping[str, Any]) -> set[int]:
    """The runs in which a part of the total failed; the tables have been read already, the total comes last."""
    tables = [each["values"] for key, each in operations.items() if key != "total_ms" and isinstance(each, dict)]
    return {index for values in tables if isinstance(values, list) for index, value in enumerate(values) if value == 0}


def _operation(
    prefix: str, key: str, table: _Values, runs: int, name: str, where: str, lost: Container[int]
) -> Iterator[Found]:
    operation, _, unit = strict.plain(key).rpartition("_")
    if not operation or unit not in {"ms", "mb"}:
        raise Unreadable(name, where, "expected a name that ends in _ms or _mb")
    benchmark = f"capsem.{prefix}.{operation}"
    for block, value in enumerate(table.values):
        if value == 0 or block in lost:
            reason = f"recorded as {value:g} {unit}: nothing was there to be measured"
            reason = reason if value == 0 else "the sum of parts of which one failed"
            outcome: Unverified | Failed | Invalid = Failed(violations=(reason,))
        elif unit == "ms":
            outcome = _unverified(f"{benchmark}.latency", "ns", "lower", "host", value * _NS_PER_MS)
        else:
            outcome = _unverified(f"{benchmark}.size", "bytes", "lower", "host", value * _MIB)
        yield _found(benchmark, outcome, block=block)
    if len(table.values) < runs:
        missing = Invalid(reason=f"{runs} runs, {len(table.values)} values: the others are missing")
        yield _found(benchmark, missing, block=len(table.values))


def _unfitting(table: _Values, where: str) -> Iterator[str]:
    """What is published beside the values, where it does not follow from them. Nothing is computed from it."""
    values = table.values
    if not values:
        return
    follows = {"min": min(values), "mean": sum(values) / len(values), "max": max(values)}
    for word, value in follows.items():
        if abs(getattr(table, word) - value) > _ROUNDING:
            yield f"{where}: its {word} {getattr(table, word):g} does not follow from its values ({value:g})"


def _wrong_totals(operations: Mapping[str, Any]) -> Iterator[str]:
    """`total_ms` is the sum of the others, value by value."""
    if "total_ms" not in operations:
        return
    parts = [each["values"] for key, each in operations.items() if key != "total_ms"]
    for index, total in enumerate(operations["total_ms"]["values"]):
        if all(index < len(part) for part in parts):
            expected = sum(part[index] for part in parts)
            if abs(total - expected) > _ROUNDING * (len(parts) + 1):
                yield f"$.operations.total_ms: value {index} is {total:g}, its parts make {expected:g}"


# ---- the in-guest document ----


def _guest(document: Mapping[str, Any], name: str) -> _Read:
    readers = {
        "startup": _startup,
        "http": _http,
        "throughput": _throughput,
        "snapshot": _snapshot,
    }
    results: list[Found] = []
    notes: list[str] = []
    for key, value in document.items():
        where = f"$.{strict.plain(key)}"
        if key not in _GUEST:
            notes += [] if key in _STATED else [f"{where} is not read: no format of it is known"]
            continue
        section = strict.convert(value, name, dict[str, Any], where)
        benchmark = f"capsem.{key}"
        if outcome := _not_done(section):
            results.append(_found(benchmark, outcome))
        elif key in readers:
            results += readers[key](section, name, where)
        else:
            results += _io(section, benchmark, name, where, {})
    notes += [f"{each.benchmark}: {doubt}" for each in results if (doubt := each.evidence.get("unfitting"))]
    doubts = Counter(each.evidence["doubt"] for each in results if "doubt" in each.evidence)
    notes += [f"{count} of {len(results)} results: {doubt}" for doubt, count in doubts.items()]
    return _Read(tuple(results), tuple(notes))


def _not_done(section: Mapping[str, Any]) -> Unsupported | Failed | None:
    """What a section says that was not measured at all."""
    if section.get("skipped"):
        return Unsupported(reason="skipped", missing=strict.plain(str(section.get("reason", "")))[:500])
    if "error" in section:
        return Failed(violations=(strict.plain(str(section["error"]))[:500],))
    return None


def _io(
    section: Mapping[str, Any], benchmark: str, name: str, where: str, parameters: Mapping[str, Any]
) -> Iterator[Found]:
    """Every measurement of reading and writing beneath, however deep: an object with a duration."""
    for key, value in section.items():
        below, here = f"{where}.{strict.plain(key)}", f"{benchmark}.{strict.plain(key)}"
        if key in _DESCRIPTIONS:
            continue
        if isinstance(value, list) or (key == "writable" and isinstance(value, dict)):
            yield from _each_of(_tables(value, below), here, name, parameters)
        elif isinstance(value, dict):
            outcome = _not_done(value)
            if outcome or "duration_ms" in value:
                yield _io_leaf(value, here, name, below, parameters, outcome)
            else:
                yield from _io(value, here, name, below, parameters)


def _tables(value: list[Any] | dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, str], Any]]:
    """Place, parameter and content of each of several files or folders; numbers and names in a list are none."""
    if isinstance(value, dict):
        for path, each in value.items():
            yield f"{where}.{strict.plain(path)}", {"path": strict.plain(path)[:200]}, each
    else:
        for number, each in enumerate(value):
            if isinstance(each, dict):
                yield f"{where}[{number}]", {"file": strict.plain(str(each.get("path", number)))[:200]}, each


def _each_of(
    tables: Iterable[tuple[str, dict[str, str], Any]], benchmark: str, name: str, parameters: Mapping[str, Any]
) -> Iterator[Found]:
    """The same of several files or folders: what differs is a parameter."""
    for where, differs, value in tables:
        table = strict.convert(value, name, dict[str, Any], where)
        if outcome := _not_done(table):
            yield _found(benchmark, outcome, {**parameters, **differs})
        yield from _io(table, benchmark, name, where, {**parameters, **differs})


def _io_leaf(
    leaf: Mapping[str, Any],
    benchmark: str,
    name: str,
    where: str,
    parameters: Mapping[str, Any],
    outcome: Unverified | Failed | Unsupported | Invalid | None,
) -> Found:
    stated: dict[str, Any] = {
        key: strict.convert(leaf[key], name, strict.Count, f"{where}.{key}") for key in _IO_PARAMETERS if key in leaf
    }
    if leaf.get("sync_each") is True:
        stated["sync_each"] = True
    evidence = {"duration_ms": str(leaf["duration_ms"])[:40]} if "duration_ms" in leaf else {}
    if doubts := [text for word, text in _FLAGS.items() if _is_of(benchmark, word)]:
        evidence["doubt"] = "; ".join(doubts)
    if outcome is None:
        figures = _figures(leaf, benchmark, name, where)
        lost = [each.metric for each in figures if each.better == "higher" and each.samples == (0.0,)]
        outcome = Unverified("capsem", tuple(figures))
        if lost or not figures:
            outcome = Failed(violations=(f"a rate of 0 is what it writes when its clock did not move: {lost}",))
        elif doubt := _unfitting_rate(leaf, name, where):
            evidence["unfitting"] = doubt
    return _found(benchmark, outcome, dict(parameters) | stated, evidence)


def _is_of(benchmark: str, word: str) -> bool:
    """Which measurements a doubt is about: those of the root file system read files that are really there."""
    last = benchmark.rpartition(".")[2]
    if word == "cold":
        return "cold" in last or last in {"seq_read", "rand_read_4k", "read_4k"}
    if word == "seq_write":
        return last in {"seq_write", "write"}
    return last == word and ".rootfs" not in benchmark


def _figures(leaf: Mapping[str, Any], benchmark: str, name: str, where: str) -> list[Measurement]:
    rates: dict[str, tuple[str, Unit, float]] = {
        "throughput_mbps": ("throughput", "bytes/s", _MIB),
        "iops": ("rate", "op/s", 1.0),
        "ops_per_sec": ("rate", "op/s", 1.0),
        "stats_per_sec": ("rate", "op/s", 1.0),
    }
    operations = strict.convert(leaf.get("count", 1), name, strict.Some, f"{where}.count")
    found = []
    for key, (quantity, unit, factor) in rates.items():
        if key in leaf:
            value = _number(leaf[key], name, f"{where}.{key}") * factor
            found.append(_measurement(f"{benchmark}.{quantity}", unit, "higher", "target", value, operations))
    latencies = strict.convert(leaf.get("latency_ms", {}), name, dict[str, strict.Amount], f"{where}.latency_ms")
    scaled = {strict.plain(word): value * _NS_PER_MS for word, value in latencies.items()}
    return [*found, *shared.published(f"{benchmark}.latency", "ns", scaled)]


def _unfitting_rate(leaf: Mapping[str, Any], name: str, where: str) -> str:
    """Bytes by duration, where that is not the rate; empty if it is, or cannot be known."""
    size = leaf.get("bytes_read", leaf.get("size_bytes"))
    if not isinstance(size, int) and isinstance(leaf.get("count"), int) and isinstance(leaf.get("block_size"), int):
        size = leaf["count"] * leaf["block_size"]
    if not isinstance(size, int) or "throughput_mbps" not in leaf:
        return ""
    duration_ms = _number(leaf["duration_ms"], name, f"{where}.duration_ms")
    rate = _number(leaf["throughput_mbps"], name, f"{where}.throughput_mbps")
    low, high = (size / _MIB / max(duration_ms + error, 1e-9) * 1e3 for error in (_ROUNDING, -_ROUNDING))
    if low - _ROUNDING <= rate <= high + _ROUNDING or duration_ms <= _ROUNDING:
        return ""
    return f"{size} bytes in {duration_ms:g} ms are not {rate:g} MiB/s"


def _startup(section: Mapping[str, Any], name: str, where: str) -> Iterator[Found]:
    runs = strict.convert(section.get("runs_per_command"), name, strict.Some, f"{where}.runs_per_command")
    commands = strict.convert(section.get("commands"), name, dict[str, _Startup], f"{where}.commands")
    for key, each in commands.items():
        asked = {"command": strict.plain(" ".join(each.command))[:200], "name": strict.plain(key)[:100]}
        seen = {"doubt": "its exit status and output are not looked at: a program that crashes at once is fast"}
        if len(each.timings_ms) > runs:
            raise Unreadable(
                name, f"{where}.commands.{asked['name']}", f"{len(each.timings_ms)} timings of {runs} runs"
            )
        outcomes = [_timing(value) for value in each.timings_ms]
        lost = strict.plain(each.error)[:500] or f"{runs - len(outcomes)} of {runs} starts failed and have no timing"
        outcomes += [Failed(violations=(lost,))] * min(runs - len(outcomes), 1)
        for block, outcome in enumerate(outcomes):
            yield _found("capsem.startup", outcome, asked, seen, block)


def _timing(value_ms: float) -> Unverified | Failed:
    if value_ms == 0:
        return Failed(violations=("recorded as 0 ms: nothing was started",))
    return _unverified("capsem.startup.latency", "ns", "lower", "target", value_ms * _NS_PER_MS)


def _http(section: Mapping[str, Any], name: str, where: str) -> Iterator[Found]:
    http = strict.convert(section, name, _Http, where)
    parameters = {"url": strict.plain(http.url)[:200], "concurrency": http.concurrency, "requests": http.total_requests}
    outcome: Unverified | Failed | Invalid
    if http.successful + http.failed != http.total_requests:
        outcome = Invalid(reason=f"{http.successful} and {http.failed} requests are not {http.total_requests}")
    elif http.failed or not http.total_requests or not http.requests_per_sec:
        outcome = Failed(
            violations=(f"{http.failed} of {http.total_requests} requests failed; their times are in all figures",)
        )
    else:
        scaled = {strict.plain(word): value * _NS_PER_MS for word, value in http.latency_ms.items()}
        rate = _measurement("capsem.http.rate", "op/s", "higher", "target", http.requests_per_sec, http.total_requests)
        latency = shared.published("capsem.http.latency", "ns", scaled)
        outcome = Unverified("capsem", (rate, *latency))
    yield _found("capsem.http", outcome, parameters, {"n": str(http.total_requests)})


def _throughput(section: Mapping[str, Any], name: str, where: str) -> Iterator[Found]:
    got = strict.convert(section, name, _Throughput, where)
    outcome: Unverified | Failed
    if got.http_code != 200 or not got.size_bytes or not got.throughput_mbps:
        outcome = Failed(violations=(f"status {got.http_code}, {got.size_bytes} bytes, {got.throughput_mbps:g} MiB/s",))
    else:
        outcome = _unverified("capsem.throughput.download", "bytes/s", "higher", "target", got.throughput_mbps * _MIB)
    parameters = {"url": strict.plain(got.url)[:200]}
    yield _found("capsem.throughput", outcome, parameters, {"size_bytes": str(got.size_bytes)})


def _snapshot(section: Mapping[str, Any], name: str, where: str) -> Iterator[Found]:
    for key, value in section.items():
        table = strict.convert(value, name, dict[str, Any], f"{where}.{strict.plain(key)}")
        files, _, word = key.rpartition("_")
        if word != "files" or not re.fullmatch("[0-9]{1,9}", files, re.ASCII):
            raise Unreadable(name, f"{where}.{strict.plain(key)}", "expected a name such as '10_files'")
        for operation in (each.removesuffix("_ms") for each in table if each.endswith("_ms")):
            at = f"{where}.{strict.plain(key)}.{strict.plain(operation)}"
            value_ms = _number(table[f"{operation}_ms"], name, f"{at}_ms")
            worked = strict.convert(table.get(f"{operation}_ok", True), name, bool, f"{at}_ok")
            benchmark = f"capsem.snapshot.{strict.plain(operation)}"
            yield _found(benchmark, _snapped(benchmark, value_ms, worked=worked), {"files": int(files)})


def _snapped(benchmark: str, value_ms: float, *, worked: bool) -> Unverified | Failed:
    if not worked or value_ms == 0:
        return Failed(violations=(f"it did not work; {value_ms:g} ms was written down all the same",))
    return _unverified(f"{benchmark}.latency", "ns", "lower", "target", value_ms * _NS_PER_MS)


# ---- building ----


def _measurement(
    metric: str, unit: Unit, better: Better, clock: Clock, value: float, iterations: int = 1
) -> Measurement:
    return Measurement(metric=metric, unit=unit, better=better, clock=clock, iterations=iterations, samples=(value,))


def _unverified(metric: str, unit: Unit, better: Better, clock: Clock, value: float) -> Unverified:
    return Unverified("capsem", (_measurement(metric, unit, better, clock, value),))


def _found(
    benchmark: str,
    outcome: Unverified | Failed | Unsupported | Invalid,
    parameters: Mapping[str, Any] | None = None,
    evidence: dict[str, str] | None = None,
    block: int = 0,
) -> Found:
    return Found(
        target="capsem",
        benchmark=benchmark,
        parameters=dict(parameters or {}),
        outcome=outcome,
        evidence=evidence or {},
        block=block,
    )


FORMAT = Format(sniff=sniff, read=read)
