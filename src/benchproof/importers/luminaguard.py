"""LuminaGuard's performance files: summaries without samples, most of them of programs that only pretend to work.

Its writers are known (`performance_benchmark.rs`, `concurrent_agents.rs`, `performance_baseline.rs` and
`agent_benchmarks.py`): a VM spawn is `sleep(50 + 30 + 30)`, network latency is `sleep(10)`, an agent is a handful of
sleeps, resources are random numbers and literals, and two fields hold elapsed milliseconds under the names of memory
and CPU share. What carries such a signature is `invalid`, with its figures in the evidence, for no work was done. What
may have been measured is kept as the statistic that it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Better, Failed, Frozen, Invalid, Measurement, Unit, Unsupported, Unverified

_NS_PER_MS = 1e6
_MIB = 2**20  # what the Python writer divides by; the others do not measure memory at all
_SHARE_PER_PERCENT = 0.01
_STATISTICS = ("median", "p95", "p99", "min", "max", "std_dev")
_SLEEPS_MS = {"spawn_time": 110.0, "network_latency": 10.0}
_SLEEP_SHARE = 0.05  # by how much a median may lie above a sleep and still be the sleep
_LITERALS = {"spawn_time_ms": 110.0, "memory_mb": 150.0, "cpu_percent": 30.0, "network_latency_ms": 40.0}
_LEAST_MIB = 0.1  # no process is smaller
_LEAST_MS = 0.001  # no tool and no loop around one is faster; a method of a string is
_AGENT_PHASES = ("spawn_time_ms", "execute_time_ms", "cleanup_time_ms")
_SOME_PERCENT = 0.01  # below: elapsed milliseconds of a loop over a buffer


class _Summary(Frozen, frozen=True, forbid_unknown_fields=True):
    median: strict.Amount
    p95: strict.Amount
    p99: strict.Amount
    min: strict.Amount
    max: strict.Amount
    std_dev: strict.Amount
    meets_target: bool | None = None
    tool_name: str = ""


class _Agent(Frozen, frozen=True):
    agent_id: str
    spawn_time_ms: strict.Amount
    execute_time_ms: strict.Amount
    cleanup_time_ms: strict.Amount
    total_time_ms: strict.Amount


class _Concurrent(Frozen, frozen=True):
    timestamp: str
    agent_count: strict.Some
    agent_results: list[_Agent]
    resources: dict[str, strict.Amount] = msgspec.field(default_factory=dict)


def sniff(glimpse: Glimpse) -> bool:
    """Whether the keys are those of one of the writers."""
    document = glimpse.document
    if not isinstance(document, dict) or not isinstance(document.get("timestamp"), str):
        return False
    return (
        _LITERALS.keys() <= document.keys()
        or {"tool_execution_times", "iteration_time"} <= document.keys()
        or {"agent_results", "agent_count"} <= document.keys()
        or {"median_mb", "p95_mb", "peak_mb"} <= document.keys()
        or {"avg_percent", "peak_percent"} <= document.keys()
        or _is_scaling(document)
    )


def _is_scaling(document: Mapping[str, Any]) -> bool:
    tests = document.get("test_results")
    return isinstance(tests, list) and bool(tests) and isinstance(tests[0], dict) and "agent_results" in tests[0]


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run."""
    document = strict.document(content, name)
    if not isinstance(document, dict) or not isinstance(document.get("timestamp"), str):
        raise Unreadable(name, "$.timestamp", "expected a document with the time of its writing")
    results = tuple(_results(document, name))
    return (
        Imported(
            tool="luminaguard",
            version="",
            created_at=strict.instant(document["timestamp"], name, "$.timestamp"),
            results=results,
            facts={},
            labels={},
            notes=tuple(_notes(document, results)),
        ),
    )


def _results(document: dict[str, Any], name: str) -> Iterator[Found]:
    if "agent_results" in document:
        yield from _concurrent(strict.convert(document, name, _Concurrent))
    elif _is_scaling(document):
        for number, test in enumerate(document["test_results"]):
            yield from _concurrent(strict.convert(test, name, _Concurrent, f"$.test_results[{number}]"))
    elif "tool_execution_times" in document:
        yield from _agent_loop(document, name)
    else:
        yield from _quantities(document, name)


def _notes(document: dict[str, Any], results: tuple[Found, ...]) -> Iterator[str]:
    yield from dict.fromkeys(each.evidence["doubt"] for each in results if "doubt" in each.evidence)
    if "agent_results" not in document and not _is_scaling(document):
        yield "its p95 and p99 are sorted[int(n * q)]: of 100 values, p99 is the maximum"
    pretended = sum(isinstance(each.outcome, Invalid) for each in results)
    if pretended:
        yield f"{pretended} of {len(results)} entries hold no measurement: see their reasons"


# ---- rust_baseline, agent_memory, agent_cpu and manual_measurements ----


def _quantities(document: dict[str, Any], name: str) -> Iterator[Found]:
    evidence = (
        {"n": str(strict.convert(document["iterations"], name, strict.Some, "$.iterations"))}
        if ("iterations" in document)
        else {}
    )
    literal = all(document.get(key) == value for key, value in _LITERALS.items())
    for key, value in document.items():
        quantity, _, unit = key.rpartition("_")
        if unit not in {"ms", "mb", "percent"}:
            continue
        where = f"$.{strict.plain(key)}"
        if isinstance(value, dict):
            summary = msgspec.structs.asdict(strict.convert(value, name, _Summary, where))
            statistics = {word: float(summary[word]) for word in _STATISTICS}
        else:
            statistics = {"value": strict.convert(value, name, strict.Amount, where)}
        word = "literals of the program, not measurements" if literal else _pretence(quantity, unit, statistics)
        yield _summary(_name_of(quantity, unit, document), unit, statistics, word, evidence)


def _name_of(quantity: str, unit: str, document: Mapping[str, Any]) -> str:
    """`median_mb` beside `peak_mb` is memory; `avg_percent` is CPU: the files of one quantity leave its name out."""
    if quantity in {"median", "p95", "peak", "avg"}:
        quantity = f"{'memory' if unit == 'mb' else 'cpu'}_{quantity}"
    return f"{quantity}_percent" if unit == "percent" and "cpu" not in quantity and document else quantity


def _pretence(quantity: str, unit: str, statistics: Mapping[str, float]) -> str:
    """Why this is no measurement; empty if it may be one."""
    middle, most = statistics.get("median", next(iter(statistics.values()))), max(statistics.values())
    problem, sleep_ms = _contradiction(statistics), _SLEEPS_MS.get(quantity, 0.0)
    rules = {
        f"the statistics contradict one another: {problem}": bool(problem),
        f"{most:g} % of a CPU: more than there is of one, and of how many it is the file does not say": (
            unit == "percent" and most > 100
        ),
        "0 % of a program that runs: it was looked at while it slept": unit == "percent" and most == 0,
        f"not a share of a CPU: {middle:g} are the milliseconds that a loop over a buffer took": (
            unit == "percent" and most < _SOME_PERCENT
        ),
        f"not memory: {middle:g} are the milliseconds that two allocations took; no process is so small": (
            unit == "mb" and middle < _LEAST_MIB
        ),
        f"nothing was started or sent: the program sleeps for {sleep_ms:g} ms and times that": (
            unit == "ms" and bool(sleep_ms) and _is_sleep(statistics, sleep_ms)
        ),
        f"no tool ran: {middle * _NS_PER_MS:.0f} ns are a few methods of a string": unit == "ms" and middle < _LEAST_MS,
    }
    return next((text for text, holds in rules.items() if holds), "")


def _is_sleep(statistics: Mapping[str, float], slept_ms: float) -> bool:
    """A sleep never ends early, and seldom late."""
    least = statistics.get("min", min(statistics.values()))
    middle = statistics.get("median", least)
    return slept_ms <= least and middle <= slept_ms * (1 + _SLEEP_SHARE)


def _contradiction(statistics: Mapping[str, float]) -> str:
    ordered = [word for word in ("min", "median", "p95", "p99", "max") if word in statistics]
    for low, high in itertools.pairwise(ordered):
        if statistics[low] > statistics[high]:
            return f"{low} {statistics[low]:g} is over {high} {statistics[high]:g}"
    return ""


def _summary(
    quantity: str, unit: str, statistics: Mapping[str, float], pretence: str, evidence: dict[str, str]
) -> Found:
    benchmark = f"luminaguard.{strict.plain(quantity)}"
    if pretence:
        evidence = evidence | {f"published_{word}": f"{value!r} {unit}" for word, value in statistics.items()}
        outcome: Unverified | Invalid = Invalid(reason=pretence)
    elif "value" in statistics:
        outcome = Unverified("luminaguard", (_measured(benchmark, unit, statistics["value"]),))
    else:
        _, base, _, factor = _QUANTITIES[unit]
        scaled = {word: value * factor for word, value in statistics.items()}
        metric = f"{benchmark}.{_QUANTITIES[unit][0]}"
        outcome = Unverified("luminaguard", shared.published(metric, base, scaled, clock="host"))
    return _found(benchmark, outcome, evidence)


_QUANTITIES: dict[str, tuple[str, Unit, Better, float]] = {
    "ms": ("latency", "ns", "lower", _NS_PER_MS),
    "mb": ("size", "bytes", "lower", _MIB),
    "percent": ("cpu", "ratio", "lower", _SHARE_PER_PERCENT),
}


def _measured(benchmark: str, unit: str, value: float) -> Measurement:
    quantity, base, better, factor = _QUANTITIES[unit]
    return Measurement(
        metric=f"{benchmark}.{quantity}",
        unit=base,
        better=better,
        clock="host",
        iterations=1,
        samples=(value * factor,),
    )


def _found(
    benchmark: str,
    outcome: Unverified | Failed | Unsupported | Invalid,
    evidence: dict[str, str],
    parameters: dict[str, Any] | None = None,
    block: int = 0,
) -> Found:
    return Found(
        target="luminaguard",
        benchmark=benchmark,
        parameters=parameters or {},
        outcome=outcome,
        evidence=evidence,
        block=block,
    )


# ---- agent_baseline ----


def _agent_loop(document: dict[str, Any], name: str) -> Iterator[Found]:
    evidence = {"n": str(strict.convert(document.get("iterations"), name, strict.Some, "$.iterations"))}
    tools = strict.convert(document["tool_execution_times"], name, dict[str, Any], "$.tool_execution_times")
    entries = {"agent_loop": ("$.iteration_time", document.get("iteration_time"))}
    entries |= {f"tool.{tool}": (f"$.tool_execution_times.{strict.plain(tool)}", each) for tool, each in tools.items()}
    for quantity, (where, each) in entries.items():
        table = strict.convert(each, name, dict[str, Any], where)
        renamed = {key.removesuffix("_ms"): value for key, value in table.items()}
        summary = msgspec.structs.asdict(strict.convert(renamed, name, _Summary, where))
        statistics = {word: float(summary[word]) for word in _STATISTICS}
        doubt = {"doubt": "the writer calls Python's own functions, not the agent's tools"}
        yield _summary(quantity, "ms", statistics, _pretence(quantity, "ms", statistics), evidence | doubt)
    for key in ("memory_mb", "cpu_percent"):
        if key in document:
            quantity, _, unit = key.rpartition("_")
            value = {"value": strict.convert(document[key], name, strict.Amount, f"$.{key}")}
            yield _summary(quantity, unit, value, _pretence(quantity, unit, value), {"n": "1"})


# ---- concurrent agents ----


def _concurrent(test: _Concurrent) -> Iterator[Found]:
    parameters = {"agents": test.agent_count}
    for block, agent in enumerate(test.agent_results):
        for phase in _AGENT_PHASES:
            value = {"value": float(getattr(agent, phase))}
            benchmark = f"luminaguard.agent_{phase.removesuffix('_time_ms')}"
            outcome: Unverified | Invalid = Unverified("luminaguard", (_measured(benchmark, "ms", value["value"]),))
            if _sleeps(agent):
                outcome = Invalid(reason="no agent and no VM: the program sleeps for random times and times that")
            seen = {"agent": strict.plain(agent.agent_id)[:100], "published_value": f"{value['value']!r} ms"}
            yield _found(benchmark, outcome, seen, parameters, block)
    for block in range(len(test.agent_results), min(test.agent_count, len(test.agent_results) + 1)):
        reason = f"{test.agent_count} agents were started, {len(test.agent_results)} are in the file"
        yield _found("luminaguard.agent_spawn", Invalid(reason=reason), {}, parameters, block)
    for key, each in test.resources.items():
        reason = "not measured: the program fills in random numbers and literals"
        yield _found(
            f"luminaguard.resources.{strict.plain(key)}", Invalid(reason=reason), {"published": repr(each)}, parameters
        )


def _sleeps(agent: _Agent) -> bool:
    """The signature of the writer: 50 to 109 ms, ten times two naps that a timer rounds up, 10 ms."""
    return 50 <= agent.spawn_time_ms <= 115 and 10 <= agent.cleanup_time_ms <= 13 and 1.5 <= agent.execute_time_ms <= 40


FORMAT = Format(sniff=sniff, read=read)
