"""Makes a report of results: benchmarks down, targets across, with coverage, troubles and what is to be doubted.

There is no total. A cell has a number only if every counted invocation that the laboratory accepts was verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from benchproof.analysis import invocations, quantiles, stats, steady
from benchproof.analysis.compare import STANDARD, Comparison, Design, Side, exactly, judge
from benchproof.analysis.gate import GateVerdict
from benchproof.analysis.invocations import Asked, Question
from benchproof.analysis.scaling import ScalingRow
from benchproof.analysis.stats import Interval, Summary
from benchproof.analysis.steady import Together
from benchproof.model import Better, Facet, Frozen, Measurement, Passed, Result, Unit

METHOD = (
    "An invocation gives one value, the median of its samples, those of a warm-up that ended left out; a cell is the "
    "median of its invocations. "
    "A ratio is the Hodges-Lehmann estimate over pairs of one block, with the exact Wilcoxon signed-rank interval. "
    "The verdict is faster, slower or same where the interval lies on one side of the margin or within it; claims hold "
    "among all metrics of a pair of targets after Benjamini and Hochberg."
)
_SHORTEST = "its batches differ, the figure is that of the shortest"


FloorKey = tuple[Question, str, str]  # question, metric, target


class Column(Frozen, frozen=True):
    """A target. `context`: the facts that forbid a ratio to `reference`; empty if ratios are allowed."""

    target: str
    reference: str
    envelope: str
    context: tuple[str, ...]
    exact: bool = False  # its instructions are counted; its rows are none of those where time is measured


class Cell(Frozen, frozen=True):
    """One target's answer to one question. `median` in the row's base unit, only if status is passed or unverified."""

    status: str  # passed | failed | unsupported | invalid | unverified | missing
    n: int  # invocations behind the median
    median: float | None
    spread: float | None  # robust SD between invocations, as a share of the median
    comparison: Comparison | None
    notes: tuple[str, ...]
    values: tuple[float, ...] = ()  # one an invocation, in the order of the blocks
    summary: Summary | None = None  # of `values`
    intervals: dict[str, Interval] = msgspec.field(default_factory=dict)  # of median and quantiles
    duration_ns: int = 0  # of all its invocations, start and stop included, on the host's clock
    steadiness: Together | None = None  # what the samples did within the invocations; None for counts


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
    vary: tuple[Facet, ...]
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
    design: Design = STANDARD
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    method: str = METHOD
    scaling: tuple[ScalingRow, ...] = ()  # of workloads that were asked at several widths


def label(blocks: int) -> str:
    """What may be claimed from so many blocks."""
    if blocks == 1:
        return "smoke, no claim"
    return f"description only: {blocks} blocks, an interval needs {stats.LEAST_N}" if blocks < stats.LEAST_N else ""


def rows(
    cases: Iterable[tuple[str, str, Mapping[str, object], int]],
    results: Sequence[Result],
    columns: Sequence[Column],
    design: Design = STANDARD,
    floors: Mapping[FloorKey, float] = MappingProxyType({}),
) -> tuple[Row, ...]:
    """The rows for every case of the plan (target, benchmark, parameters, tier), those without results too.

    `floors`: the measured A/A floors, as shares.
    """
    last = invocations.last_tries(results)
    questions: dict[Question, tuple[str, Mapping[str, object], int]] = {}
    for _, benchmark, parameters, tier in cases:
        questions.setdefault(invocations.question(benchmark, parameters), (benchmark, parameters, tier))
    found = [row for key, question in questions.items() for row in _rows(question, last.get(key, {}), columns)]
    for column in columns:
        found = _compared(found, column, last, design, floors)
    return tuple(found)


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
        on_purpose = invocations.injected(parameters)
        cells = {column.target: _cell(by_target.get(column.target, ()), metric, on_purpose) for column in columns}
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


def _cell(results: Sequence[Result], metric: str, injected: str) -> Cell:
    status = invocations.status(results)
    by_block = invocations.values(results, metric) if status == "passed" else {}
    found = tuple(by_block[block] for block in sorted(by_block))
    middle = stats.median(found) if found else None
    spread = stats.mad(found) * stats.MAD_TO_SD / abs(middle) if middle and len(found) >= stats.LEAST_N else None
    steadiness = invocations.steadiness_of(results, metric) if status == "passed" else None
    notes = invocations.notes(results) + (steady.notes(steadiness) if steadiness else ())
    if status == "passed" and any(result.evidence.get("statistic") == "minimum" for result in results):
        notes += (_SHORTEST,)
    if injected:
        notes += (f"slower on purpose, by an injected {injected} an operation",)
    return Cell(
        status=status,
        n=len(found),
        median=middle,
        spread=spread,
        comparison=None,
        notes=notes,
        values=found,
        summary=stats.summary(found) if found else None,
        intervals=quantiles.intervals(found),
        duration_ns=sum(result.duration_ns for result in results),
        steadiness=steadiness,
    )


def _compared(
    rows: Sequence[Row],
    column: Column,
    last: Mapping[Question, Mapping[str, Sequence[Result]]],
    design: Design,
    floors: Mapping[FloorKey, float],
) -> list[Row]:
    """The rows, with the column held against its reference wherever both have an answer."""
    sides: dict[int, Side] = {}
    found: dict[int, Comparison] = {}
    for number, row in enumerate(rows):
        both_passed = all(row.cells[target].status == "passed" for target in (column.reference, column.target))
        if column.target == column.reference or column.context or not both_passed or row.better is None:
            continue
        asked = invocations.question(row.benchmark, row.parameters)
        base, new = (
            invocations.values(last[asked][target], row.metric) for target in (column.reference, column.target)
        )
        floor = floors.get((asked, row.metric, column.target))
        if column.exact:
            found[number] = exactly(base[0], new[0], row.better)
        else:
            sides[number] = Side(base=base, new=new, better=row.better, floor=floor)
    found |= judge(sides, design)
    return [_with(row, column.target, found.get(number)) for number, row in enumerate(rows)]


def _with(row: Row, target: str, comparison: Comparison | None) -> Row:
    cell = msgspec.structs.replace(row.cells[target], comparison=comparison)
    return msgspec.structs.replace(row, cells=row.cells | {target: cell})


def blocks_due(rows: Iterable[Row], columns: Iterable[Column], design: Design, blocks: int) -> dict[Asked, int]:
    """How many blocks each target owes to each question: all, or those until the look that settled its comparisons.

    A reference goes on for as long as any target that is held against it.
    """
    least = design.looks[0].blocks if design.looks else blocks
    references = {column.target: column.reference for column in columns}
    exact = {column.target for column in columns if column.exact}
    due: dict[Asked, int] = {}
    for row in rows:
        asked = invocations.question(row.benchmark, row.parameters)
        for target, cell in row.cells.items():
            found = cell.comparison
            settled = found is None or found.verdict != "undecided" or not design.looks
            most = blocks if not settled else found.looks[-1].blocks if found is not None and found.looks else least
            for each in (target, references[target]):
                due[asked, each] = max(due.get((asked, each), 0), 1 if each in exact else most)
    return due
