"""Google Benchmark's JSON, since 1.5: the repetitions of a benchmark ran in one process and are samples of it.

Aggregates are left out where their repetitions are there, and are named as statistics where they stand alone. An error
or a skip is written with a time of 0 there; it is `failed` or `unsupported` here. User counters have neither unit nor
direction: they stay text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Failed, Frozen, Invalid, Measurement, Unsupported, Unverified

_SCALES = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
_TIMES = ("real_time", "cpu_time")
_STATISTICS = ("mean", "median", "stddev", "cv", "min", "max")
_OWN = frozenset(
    {
        "name",
        "family_index",
        "per_family_instance_index",
        "run_name",
        "run_type",
        "repetitions",
        "repetition_index",
        "threads",
        "iterations",
        "real_time",
        "cpu_time",
        "time_unit",
        "error_occurred",
        "error_message",
        "skipped",
        "skip_message",
        "label",
        "bytes_per_second",
        "items_per_second",
        "aggregate_name",
        "aggregate_unit",
        "allocs_per_iter",
        "max_bytes_used",
        "total_allocated_bytes",
        "net_heap_growth",
        "big_o",
        "rms",
        "cpu_coefficient",
        "real_coefficient",
    }
)


class _Entry(Frozen, frozen=True):
    name: str
    run_type: str  # iteration | aggregate
    run_name: str = ""
    iterations: strict.Count = 0
    real_time: strict.Amount | None = None
    cpu_time: strict.Amount | None = None
    time_unit: str = "ns"
    aggregate_name: str = ""
    error_occurred: bool = False
    error_message: str = ""
    skipped: bool = False
    skip_message: str = ""
    label: str = ""
    bytes_per_second: strict.Amount | None = None
    items_per_second: strict.Amount | None = None


class _Cache(Frozen, frozen=True):
    type: str
    level: int
    size: int


class _Context(Frozen, frozen=True):
    date: str = ""
    num_cpus: int | None = None
    cpu_scaling_enabled: bool = False
    aslr_enabled: bool | None = None
    caches: tuple[_Cache, ...] = ()
    library_version: str = ""
    library_build_type: str = ""


class _Document(Frozen, frozen=True):
    context: _Context
    benchmarks: list[dict[str, Any]]


def sniff(glimpse: Glimpse) -> bool:
    """Whether there are benchmarks beside a `context`."""
    document = glimpse.document
    context = document.get("context") if isinstance(document, dict) else None
    return (
        isinstance(context, dict) and "benchmarks" in document and {"num_cpus", "library_build_type"} <= context.keys()
    )


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run."""
    document = strict.typed(content, name, _Document)
    groups: dict[str, list[_Entry]] = {}
    counters: dict[str, dict[str, str]] = {}
    for index, raw in enumerate(document.benchmarks):
        entry = _entry(raw, name, f"$.benchmarks[{index}]")
        groups.setdefault(entry.run_name, []).append(entry)
        counters.setdefault(entry.run_name, {}).update(_counters(raw) if entry.run_type == "iteration" else {})
    results = [found for title, group in groups.items() for found in _found(title, group, counters[title])]
    context = document.context
    return shared.only(
        "google-benchmark",
        results,
        version=context.library_version,
        created_at=shared.moment(context.date),
        facts=_facts(context),
        notes=_notes(context, counters),
    )


def _entry(raw: dict[str, Any], name: str, where: str) -> _Entry:
    entry = strict.convert(raw, name, _Entry, where)
    if entry.time_unit not in _SCALES:
        found = strict.plain(entry.time_unit)[:40]
        raise Unreadable(name, f"{where}.time_unit", f"expected one of {', '.join(_SCALES)}, found '{found}'")
    if entry.run_type not in {"iteration", "aggregate"}:
        found = strict.plain(entry.run_type)[:40]
        raise Unreadable(name, f"{where}.run_type", f"expected iteration or aggregate, found '{found}'")
    return msgspec.structs.replace(entry, run_name=strict.plain(entry.run_name or entry.name))


def _counters(raw: Mapping[str, Any]) -> dict[str, str]:
    odd = {key: value for key, value in raw.items() if key not in _OWN and isinstance(value, int | float)}
    return {f"counter {strict.plain(key)}": f"{value:g}" for key, value in odd.items()}


def _found(title: str, group: list[_Entry], counters: dict[str, str]) -> Iterator[Found]:
    repetitions = [each for each in group if each.run_type == "iteration"]
    aggregates = [each for each in group if each.aggregate_name in _STATISTICS]
    benchmark = f"google_benchmark.{title}"
    evidence = {"label": shared.short(group[0].label)} | counters
    if repetitions:
        yield shared.found(benchmark, {}, _outcome(benchmark, repetitions), evidence=evidence)
    elif aggregates:
        outcome = Unverified("google-benchmark", tuple(_published(benchmark, aggregates)))
        yield shared.found(benchmark, {}, outcome, evidence={"n": str(aggregates[0].iterations)})


def _outcome(benchmark: str, repetitions: list[_Entry]) -> Unverified | Failed | Unsupported | Invalid:
    errors = [shared.short(each.error_message) or "an error" for each in repetitions if each.error_occurred]
    if errors:
        return Failed(violations=tuple(dict.fromkeys(errors)))
    if skips := [each for each in repetitions if each.skipped]:
        return Unsupported(reason=shared.short(skips[0].skip_message) or "skipped")
    iterations = {each.iterations for each in repetitions}
    if 0 in iterations or len(iterations) > 1:
        return Invalid(reason=f"repetitions of {', '.join(map(str, sorted(iterations)[:5]))} iterations: they differ")
    if not all(each.real_time for each in repetitions):
        return Invalid(reason="a time of 0: the clock did not move")
    return Unverified("google-benchmark", tuple(_measured(benchmark, repetitions, iterations.pop())))


def _measured(benchmark: str, repetitions: list[_Entry], iterations: int) -> Iterator[Measurement]:
    """`cpu_time` may honestly be 0: of a benchmark that waits."""
    scales = [_SCALES[each.time_unit] for each in repetitions]
    for key in _TIMES:
        column = [getattr(each, key) for each in repetitions]
        if all(value is not None for value in column):
            samples = [value * scale for value, scale in zip(column, scales, strict=True)]
            yield shared.figure(f"{benchmark}.{key}", "ns", samples, iterations=iterations)
    rates = [each.bytes_per_second for each in repetitions if each.bytes_per_second is not None]
    if len(rates) == len(repetitions):
        yield shared.figure(f"{benchmark}.throughput", "bytes/s", rates, iterations=iterations)
    rates = [each.items_per_second for each in repetitions if each.items_per_second is not None]
    if len(rates) == len(repetitions):
        yield shared.figure(f"{benchmark}.rate", "op/s", rates, iterations=iterations)


def _published(benchmark: str, aggregates: list[_Entry]) -> Iterator[Measurement]:
    for each in {each.aggregate_name: each for each in aggregates}.values():
        ratio = each.aggregate_name == "cv"
        for key in _TIMES:
            if (value := getattr(each, key)) is not None:
                scaled = value if ratio else value * _SCALES[each.time_unit]
                statistic = {each.aggregate_name: scaled}
                yield from shared.published(f"{benchmark}.{key}", "ratio" if ratio else "ns", statistic)


def _facts(context: _Context) -> dict[str, dict[str, str]]:
    """No host name, as a bundle may be published; no frequency, as it is of the moment."""
    host = {} if context.num_cpus is None else {"cpus": str(context.num_cpus)}
    host |= {f"cache L{each.level} {each.type}": f"{each.size} bytes" for each in context.caches}
    if context.aslr_enabled is not None:
        host["address_randomisation"] = "yes" if context.aslr_enabled else "no"
    host["cpu_scaling"] = "yes" if context.cpu_scaling_enabled else "no"
    return {"host": host, "probe": {"library_build": context.library_build_type}}


def _notes(context: _Context, counters: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    if context.library_build_type == "debug":
        yield "the benchmark library was built for debugging: its own cost is in the times"
    if context.cpu_scaling_enabled:
        yield "the frequency of the processor was not fixed"
    if any(counters.values()):
        yield "user counters have neither unit nor direction; they are kept as text"


FORMAT = Format(sniff=sniff, read=read)
