"""pyperf's JSON, format 1.0: every run is a process, so every run is an invocation, its values are the samples.

Runs without values are pyperf's calibration: they are in no figure. Warm-ups stay warm-ups. Values are divided by the
loops already. Dates carry no time zone, so the moment of the run is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Frozen, Invalid, Unit, Unverified

_VERSION = "1.0"
_UNITS: dict[str, tuple[Unit, float, str]] = {  # pyperf's unit -> ours, factor, the quantity
    "second": ("ns", shared.NS_PER_S, "time"),
    "byte": ("bytes", 1.0, "memory"),
    "integer": ("count", 1.0, "count"),
}
_HOST = {
    "cpu_model_name": "cpu",
    "cpu_count": "cpus",
    "cpu_affinity": "cpus_allowed",
    "cpu_config": "cpu_config",
    "aslr": "address_randomisation",
    "platform": "platform",
}
_SYSTEM = ("python_implementation", "python_version", "python_compiler", "python_cflags", "python_hash_seed", "timer")

_Metadata = dict[str, str | int | float]


class _Run(Frozen, frozen=True):
    values: tuple[shared.Positive, ...] = ()
    warmups: tuple[tuple[strict.Some, strict.Amount], ...] = ()
    metadata: _Metadata = msgspec.field(default_factory=dict)


class _Benchmark(Frozen, frozen=True):
    runs: list[_Run]
    metadata: _Metadata = msgspec.field(default_factory=dict)


class _Document(Frozen, frozen=True):
    version: str
    benchmarks: list[_Benchmark]
    metadata: _Metadata = msgspec.field(default_factory=dict)


def sniff(glimpse: Glimpse) -> bool:
    """Whether there are benchmarks with their runs."""
    document = glimpse.document
    benchmarks = document.get("benchmarks") if isinstance(document, dict) else None
    first = benchmarks[0] if isinstance(benchmarks, list) and benchmarks else None
    return isinstance(first, dict) and isinstance(first.get("runs"), list)


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run; the metadata of the suite hold for each of its benchmarks, those of a benchmark for each of its runs."""
    document = strict.typed(content, name, _Document)
    if document.version != _VERSION:
        found = strict.plain(document.version)[:40]
        raise Unreadable(name, "$.version", f"expected {_VERSION}, found '{found}'; `pyperf convert` writes it anew")
    results = [
        found
        for index, each in enumerate(document.benchmarks)
        for found in _invocations(each, document.metadata | each.metadata, name, f"$.benchmarks[{index}]")
    ]
    common = document.metadata | (document.benchmarks[0].metadata if len(document.benchmarks) == 1 else {})
    return shared.only(
        "pyperf",
        results,
        version=str(common.get("perf_version", "")),
        facts={
            "host": {ours: str(common[key]) for key, ours in _HOST.items() if key in common},
            "system": {key: str(common[key]) for key in _SYSTEM if key in common},
        },
        notes=_notes(document),
    )


def _invocations(benchmark: _Benchmark, common: _Metadata, name: str, where: str) -> Iterator[Found]:
    title = strict.plain(str(common.get("name", "benchmark")))
    measuring = [each for each in benchmark.runs if each.values]
    if not measuring:
        yield shared.found(f"pyperf.{title}", {}, Invalid(reason="only calibration is there, no run with values"))
    for block, each in enumerate(measuring):
        metadata = common | each.metadata
        yield shared.found(
            f"pyperf.{title}",
            {},
            _measured(each, metadata, title, name, f"{where}.runs"),
            evidence={key: shared.short(str(metadata[key])) for key in ("date", "command") if key in metadata},
            block=block,
        )


def _measured(run: _Run, metadata: Mapping[str, str | int | float], title: str, name: str, where: str) -> Unverified:
    unit = str(metadata.get("unit", "second"))
    if unit not in _UNITS:
        raise Unreadable(name, where, f"expected a unit of {', '.join(_UNITS)}, found '{strict.plain(unit)[:40]}'")
    ours, factor, quantity = _UNITS[unit]
    loops = [strict.convert(metadata.get(key, 1), name, strict.Some, where) for key in ("loops", "inner_loops")]
    figure = shared.figure(
        f"pyperf.{title}.{quantity}",
        ours,
        [value * factor for value in run.values],
        iterations=loops[0] * loops[1] if quantity == "time" else 1,
        warmups=[value * factor for _, value in run.warmups],
    )
    return Unverified("pyperf", (figure,))


def _notes(document: _Document) -> Iterator[str]:
    calibrations = sum(not run.values for each in document.benchmarks for run in each.runs)
    if calibrations:
        yield f"{calibrations} calibration runs of pyperf are in no figure"


FORMAT = Format(sniff=sniff, read=read)
