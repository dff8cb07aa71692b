"""pytest-benchmark's JSON: all rounds ran in one process, so a test is one invocation, its rounds are the samples.

`--benchmark-save` leaves the rounds out: then there are statistics and no samples. The file says nothing of a test
that failed: one whose assertion fails after the timing is there like any other, one that raises in it is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, shared, strict
from benchproof.model import Frozen, Invalid, Unverified

_STATISTICS = ("min", "q1", "median", "mean", "q3", "max", "stddev")
_NOTES = (
    "the file does not say which tests failed: one whose assertion failed after the timing has figures like any other",
    "the rounds of a test ran in one process: together they are one invocation",
)


class _Stats(Frozen, frozen=True):
    min: strict.Amount
    max: strict.Amount
    mean: strict.Amount
    median: strict.Amount
    rounds: strict.Some
    iterations: strict.Some
    stddev: strict.Amount | None = None
    q1: strict.Amount | None = None
    q3: strict.Amount | None = None
    data: tuple[strict.Amount, ...] | None = None


class _Options(Frozen, frozen=True):
    disable_gc: bool | None = None
    timer: str = ""


class _Benchmark(Frozen, frozen=True):
    fullname: str
    stats: _Stats
    group: str | None = None
    options: _Options = _Options()
    extra_info: dict[str, Any] = msgspec.field(default_factory=dict)


class _Cpu(Frozen, frozen=True):
    brand_raw: str = ""
    count: int | None = None


class _Machine(Frozen, frozen=True):
    machine: str = ""
    system: str = ""
    release: str = ""
    cpu: _Cpu = _Cpu()
    python_implementation: str = ""
    python_version: str = ""
    python_compiler: str = ""


class _Commit(Frozen, frozen=True):
    id: str | None = None
    branch: str | None = None
    project: str | None = None
    dirty: bool | None = None


class _Document(Frozen, frozen=True):
    benchmarks: list[_Benchmark]
    machine_info: _Machine
    version: str
    datetime: str = ""
    commit_info: _Commit = _Commit()


def sniff(glimpse: Glimpse) -> bool:
    """Whether there are benchmarks beside `machine_info`."""
    return isinstance(glimpse.document, dict) and {"machine_info", "benchmarks"} <= glimpse.document.keys()


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run."""
    document = strict.typed(content, name, _Document)
    names = shared.apart([{"name": each.fullname} for each in document.benchmarks])
    results = [_found(each, case) for each, case in zip(document.benchmarks, names, strict=True)]
    return shared.only(
        "pytest-benchmark",
        results,
        version=document.version,
        created_at=strict.instant(document.datetime, name, "$.datetime") if document.datetime else "",
        facts=_facts(document.machine_info),
        labels=_labels(document.commit_info),
        notes=[*_NOTES, *_notes(document)],
    )


def _found(benchmark: _Benchmark, case: dict[str, Any]) -> Found:
    stats = benchmark.stats
    title = f"pytest_benchmark.{strict.plain(benchmark.fullname)}"
    evidence = {"group": shared.short(benchmark.group or ""), "timer": shared.short(benchmark.options.timer)}
    evidence |= {"rounds": str(stats.rounds)}
    if benchmark.extra_info:
        evidence["extra_info"] = shared.short(json.dumps(benchmark.extra_info))
    parameters = {key: value for key, value in case.items() if key != "name"}
    if benchmark.options.disable_gc:
        parameters["disable_gc"] = True
    return shared.found(title, parameters, _outcome(stats, f"{title}.time"), evidence=evidence)


def _outcome(stats: _Stats, metric: str) -> Unverified | Invalid:
    if stats.data is None:
        stated = {word: getattr(stats, word) for word in _STATISTICS if getattr(stats, word) is not None}
        scaled = {word: seconds * shared.NS_PER_S for word, seconds in stated.items()}
        return Unverified("pytest-benchmark", shared.published(metric, "ns", scaled))
    if len(stats.data) != stats.rounds:
        return Invalid(reason=f"{stats.rounds} rounds are stated, {len(stats.data)} are there")
    if not all(stats.data):
        return Invalid(reason="a round of 0 s: the clock did not move")
    samples = [seconds * shared.NS_PER_S for seconds in stats.data]
    return Unverified("pytest-benchmark", (shared.figure(metric, "ns", samples, iterations=stats.iterations),))


def _facts(machine: _Machine) -> dict[str, dict[str, str]]:
    """The host name (`node`) is left out: a bundle may be published."""
    return {
        "host": {
            "kernel": f"{machine.system} {machine.release}".strip(),
            "architecture": machine.machine,
            "cpu": machine.cpu.brand_raw,
            "cpus": "" if machine.cpu.count is None else str(machine.cpu.count),
        },
        "system": {
            "python_implementation": machine.python_implementation,
            "python_version": machine.python_version,
            "python_compiler": machine.python_compiler,
        },
    }


def _labels(commit: _Commit) -> dict[str, str]:
    stated = {"commit": commit.id or "", "branch": commit.branch or "", "project": commit.project or ""}
    return stated | ({"dirty": "yes"} if commit.dirty else {})


def _notes(document: _Document) -> Iterator[str]:
    if document.commit_info.dirty:
        yield "the working tree had changes that are in no commit"
    if any(each.stats.data is None for each in document.benchmarks):
        yield "saved without --benchmark-save-data: published statistics, no samples"


FORMAT = Format(sniff=sniff, read=read)
