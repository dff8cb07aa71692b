"""Makes a report of results: benchmarks down, targets across, with coverage, troubles and what is to be doubted.

There is no total. A cell has a number only if every counted invocation that the laboratory accepts was verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from benchproof.analysis import invocations, stats
from benchproof.analysis.compare import Comparison, exactly, paired
from benchproof.analysis.gate import GateVerdict
from benchproof.analysis.invocations import Question
from benchproof.model import Better, Frozen, Measurement, Passed, Result, Unit

METHOD = (
    "An invocation gives one value, the median of its samples; a cell is the median of its invocations. "
    "A ratio is the Hodges-Lehmann estimate over pairs of one block, with the exact Wilcoxon signed-rank interval."
)
_MAD_TO_SD = 1.4826
_SHORTEST = "its batches differ, the figure is that of the shortest"


class Column(Frozen, frozen=True):
    """A target. `context`: the facts that forbid a ratio to `reference`; empty if ratios are allowed."""

    target: str
    reference: str
    envelope: str
    context: tuple[str, ...]
    exact: bool = False  # its instructions are counted; its rows are none of those where time is measured


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
    gates: tuple[GateVerdict, ...] = ()
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
    last = invocations.last_tries(results)
    questions: dict[Question, tuple[str, Mapping[str, object], int]] = {}
    for _, benchmark, parameters, tier in cases:
        questions.setdefault(invocations.question(benchmark, parameters), (benchmark, parameters, tier))
    return tuple(row for key, question in questions.items() for row in _rows(question, last.get(key, {}), columns))


def _rows(
    question: tuple[str, Mapping[str, object], int],
    by_target: Mapping[str, Sequence[Result]],
    columns: Sequence[Column],
) -> list[Row]:
    benchmark, parameters, tier = question
    metrics: dict[str, Measurement] = {}
    for column in columns:
        for result in by_target.get(column.target, ()):
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
    status = invocations.status(results)
    values = list(_values(results, metric).values()) if status == "passed" else []
    middle = stats.median(values) if values else None
    spread = stats.mad(values) * _MAD_TO_SD / abs(middle) if middle and len(values) >= stats.LEAST_N else None
    notes = invocations.notes(results)
    if status == "passed" and any(result.evidence.get("statistic") == "minimum" for result in results):
        notes += (_SHORTEST,)
    return Cell(status=status, n=len(values), median=middle, spread=spread, comparison=None, notes=notes)


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
    comparison = exactly(base[0], new[0], better) if column.exact else paired(base, new, better)
    return msgspec.structs.replace(cell, comparison=comparison)


def _values(results: Iterable[Result], metric: str) -> dict[int, float]:
    """One value an invocation: the median of its samples."""
    return {
        result.block: stats.median(measurement.samples)
        for result in results
        if isinstance(result.outcome, Passed)
        for measurement in result.outcome.measurements
        if measurement.metric == metric
    }
