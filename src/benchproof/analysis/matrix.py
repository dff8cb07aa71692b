"""Makes a report of results: benchmarks down, targets across, with coverage, troubles and what is to be doubted.

There is no total. A cell has a number only if every counted invocation that the laboratory accepts was verified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

import msgspec

from benchproof.analysis import stats
from benchproof.analysis.compare import Comparison, paired
from benchproof.model import (
    Better,
    Failed,
    Frozen,
    Invalid,
    Measurement,
    Passed,
    Result,
    Unit,
    Unsupported,
    Unverified,
)

METHOD = (
    "An invocation gives one value, the median of its samples; a cell is the median of its invocations. "
    "A ratio is the Hodges-Lehmann estimate over pairs of one block, with the exact Wilcoxon signed-rank interval."
)
_MAD_TO_SD = 1.4826
_INVALID_SHARE = 0.1  # of the invocations; with more of them bad, the rest is not believed either


class Column(Frozen, frozen=True):
    """A target. `context`: the facts that forbid a ratio to `reference`; empty if ratios are allowed."""

    target: str
    reference: str
    envelope: str
    context: tuple[str, ...]


class Cell(Frozen, frozen=True):
    """One target's answer to one question. `median` in the row's base unit, present only if status is passed."""

    status: str  # passed | failed | unsupported | invalid | unverified | missing
    n: int  # invocations behind the median
    median: float | None
    spread: float | None  # robust SD between invocations, as a share of the median
    comparison: Comparison | None
    notes: tuple[str, ...]


class Row(Frozen, frozen=True):
    """One metric of one benchmark with its parameters."""

    benchmark: str
    parameters: dict[str, object]
    tier: int
    metric: str
    unit: Unit | None  # None: no target had an answer
    better: Better | None
    cells: dict[str, Cell]


class Report(Frozen, frozen=True):
    """All figures of a run; reporters only lay them out."""

    run_id: str
    created_at: str
    version: str
    state: str
    blocks: int
    label: str  # "smoke, no claim" and the like; empty if the run supports intervals
    vary: tuple[str, ...]
    seed: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    passed: int  # cells with a number
    total: int  # cells in all
    statuses: dict[str, int]  # status -> cells
    warnings: tuple[str, ...]
    envelopes: dict[str, dict[str, dict[str, str]]]  # hash -> section -> fact -> value
    section_hashes: dict[str, dict[str, str]]  # hash of an envelope -> section -> hash
    method: str = METHOD


def label(blocks: int) -> str:
    """What may be claimed from so many blocks."""
    if blocks == 1:
        return "smoke, no claim"
    return f"description only: {blocks} blocks, an interval needs {stats.LEAST_N}" if blocks < stats.LEAST_N else ""


def rows(
    cases: Iterable[tuple[str, str, Mapping[str, object], int]],
    results: Sequence[Result],
    columns: Sequence[Column],
) -> tuple[Row, ...]:
    """The rows for every case of the plan (target, benchmark, parameters, tier), those without results too."""
    last = _last_tries(results)
    questions: dict[tuple[str, str], tuple[str, Mapping[str, object], int]] = {}
    for _, benchmark, parameters, tier in cases:
        questions.setdefault((benchmark, _plain(parameters)), (benchmark, parameters, tier))
    return tuple(row for key, question in questions.items() for row in _rows(question, last.get(key, {}), columns))


def _rows(
    question: tuple[str, Mapping[str, object], int],
    by_target: Mapping[str, Sequence[Result]],
    columns: Sequence[Column],
) -> list[Row]:
    benchmark, parameters, tier = question
    metrics: dict[str, Measurement] = {}
    for results in by_target.values():
        for result in results:
            if isinstance(result.outcome, Passed):
                metrics |= {measurement.metric: measurement for measurement in result.outcome.measurements}
    found = []
    for metric, example in metrics.items() or [(benchmark, None)]:
        cells = {column.target: _cell(by_target.get(column.target, ()), metric) for column in columns}
        if example is not None:
            cells = {column.target: _compared(column, cells, by_target, metric, example.better) for column in columns}
        unit, better = (example.unit, example.better) if example else (None, None)
        found.append(
            Row(
                benchmark=benchmark,
                parameters=dict(parameters),
                tier=tier,
                metric=metric,
                unit=unit,
                better=better,
                cells=cells,
            )
        )
    return found


def _cell(results: Sequence[Result], metric: str) -> Cell:
    """Any wrong answer takes the number away: what fails sometimes is not known to have worked the other times."""
    if not results:
        return Cell(status="missing", n=0, median=None, spread=None, comparison=None, notes=("not run",))
    reasons = Counter(text for result in results for text in _reasons(result))
    by_status = Counter(_status(result) for result in results)
    worst = next(status for status in ("failed", "unverified", "passed", "unsupported", "invalid") if by_status[status])
    notes = [
        f"{reason} ({count} of {len(results)})" if len(results) > 1 else reason
        for reason, count in reasons.most_common(3)
    ]
    if worst == "passed" and by_status["invalid"] > _INVALID_SHARE * len(results):
        worst = "invalid"
    values = list(_values(results, metric).values()) if worst == "passed" else []
    middle = stats.median(values) if values else None
    spread = stats.mad(values) * _MAD_TO_SD / abs(middle) if middle and len(values) >= stats.LEAST_N else None
    return Cell(status=worst, n=len(values), median=middle, spread=spread, comparison=None, notes=tuple(notes))


def _compared(
    column: Column,
    cells: Mapping[str, Cell],
    by_target: Mapping[str, Sequence[Result]],
    metric: str,
    better: Better,
) -> Cell:
    cell = cells[column.target]
    both_passed = cell.status == "passed" and cells[column.reference].status == "passed"
    if column.target == column.reference or column.context or not both_passed:
        return cell
    base, new = (_values(by_target[target], metric) for target in (column.reference, column.target))
    return msgspec.structs.replace(cell, comparison=paired(base, new, better))


def _values(results: Iterable[Result], metric: str) -> dict[int, float]:
    """One value an invocation: the median of its samples."""
    return {
        result.block: stats.median(measurement.samples)
        for result in results
        if isinstance(result.outcome, Passed)
        for measurement in result.outcome.measurements
        if measurement.metric == metric
    }


def _last_tries(results: Iterable[Result]) -> dict[tuple[str, str], dict[str, list[Result]]]:
    """The last try of each invocation, by question and target; the tries before it were invalid."""
    last: dict[tuple[str, str, str, int], Result] = {}
    for result in results:
        key = (result.benchmark, _plain(result.parameters), result.target, result.block)
        if key not in last or result.attempt > last[key].attempt:
            last[key] = result
    found: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for (benchmark, parameters, target, _), result in last.items():
        found.setdefault((benchmark, parameters), {}).setdefault(target, []).append(result)
    return found


def _status(result: Result) -> str:
    return str(msgspec.to_builtins(result.outcome)["status"])


def _reasons(result: Result) -> tuple[str, ...]:
    match result.outcome:
        case Failed(violations=violations):
            return violations
        case Unsupported(reason=reason, missing=missing):
            return (f"{reason}; to get it: {missing}" if missing else reason,)
        case Invalid(reason=reason):
            return (reason,)
        case Unverified(source=source):
            return (f"imported from {source}, not verified",)
        case Passed():
            return ()
    assert_never(result.outcome)


def _plain(parameters: Mapping[str, object]) -> str:
    return msgspec.json.encode(parameters, order="sorted").decode()
