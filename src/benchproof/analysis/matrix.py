"""Makes a report of results: benchmarks down, targets across, with coverage, troubles and what is to be doubted.

There is no total. A cell has a number only if every counted invocation that the laboratory accepts was verified.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from benchproof.analysis import invocations, stats
from benchproof.analysis.cells import Cell, Kind, make_cell, measurements, unlike
from benchproof.analysis.compare import STANDARD, Comparison, Design, Side, exactly, judge
from benchproof.analysis.degradation import Curve
from benchproof.analysis.gate import GateVerdict
from benchproof.analysis.hints import Breakdown, Hint
from benchproof.analysis.inspired import Inspired
from benchproof.analysis.invocations import Asked, Attempt, Question
from benchproof.analysis.profiles import Profiles
from benchproof.analysis.published import Published
from benchproof.analysis.scaling import ScalingRow
from benchproof.model import Better, Facet, Frozen, Result, Unit

__all__ = ["METHOD", "Cell", "Column", "FloorKey", "Report", "Row", "Smoke", "blocks_due", "label", "rows", "unlike"]

METHOD = (
    "An invocation gives one value, the median of its samples, those of a warm-up that ended left out; a cell is the "
    "median of its invocations. "
    "A ratio is the Hodges-Lehmann estimate over pairs of one block, with the exact Wilcoxon signed-rank interval. "
    "The verdict is faster, slower or same where the interval lies on one side of the margin or within it; claims hold "
    "among all metrics of a pair of targets after Benjamini and Hochberg."
)
FloorKey = tuple[Question, str, str]  # question, metric, target


class Column(Frozen, frozen=True):
    """A target. `context`: the facts that forbid a ratio to `reference`; empty if ratios are allowed."""

    target: str
    reference: str
    envelope: str
    context: tuple[str, ...]
    exact: bool = False  # its instructions are counted; its rows are none of those where time is measured
    labels: tuple[str, ...] = ()  # what a reader has to know before any of its numbers: "debug build"


class Row(Frozen, frozen=True):
    """One metric of one benchmark with its parameters; a target that states it in another unit has a row of its own."""

    benchmark: str
    parameters: dict[str, object]
    tier: int
    metric: str
    unit: Unit | None  # None: no target had an answer
    better: Better | None
    cells: dict[str, Cell]


class Smoke(Frozen, frozen=True):
    """How one tier-0 check of a target ended; no figure of the target is kept where one did not go well."""

    target: str
    benchmark: str
    status: str  # passed | failed | unsupported | invalid
    words: str  # why, or what was seen


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
    crowds: tuple[Curve, ...] = ()  # of services that were asked with several numbers of agents
    profiles: tuple[Profiles, ...] = ()  # of targets that are of one matrix
    smokes: tuple[Smoke, ...] = ()
    published: tuple[Published, ...] = ()  # by others: context, in no ratio
    inspired: tuple[Inspired, ...] = ()  # benchmarks that follow somebody's rules in part
    authorities: dict[str, str] = msgspec.field(default_factory=dict)  # benchmark -> what it may do, if anything
    stages: tuple[Breakdown, ...] = ()  # of calls whose parts were measured
    hints: tuple[Hint, ...] = ()  # likely causes, each with what was seen of it


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
    mechanisms: Mapping[str, str] = MappingProxyType({}),
    lines: Mapping[Attempt, int] = MappingProxyType({}),
) -> tuple[Row, ...]:
    """The rows for every case of the plan (target, benchmark, parameters, tier), those without results too.

    `floors`: the measured A/A floors, as shares. `mechanisms`: what each benchmark times where the target says nothing.
    `lines`: where each result stands in results.jsonl.
    """
    last = invocations.last_tries(results)
    questions: dict[Question, tuple[str, Mapping[str, object], int]] = {}
    asked: dict[Question, set[str]] = {}
    for target, benchmark, parameters, tier in cases:
        key = invocations.question(benchmark, parameters)
        questions.setdefault(key, (benchmark, parameters, tier))
        asked.setdefault(key, set()).add(target)
    found = [
        row
        for key, question in questions.items()
        for those in [[column for column in columns if column.target in asked[key]]]  # no other was asked
        for row in _rows(question, last.get(key, {}), those, mechanisms.get(question[0], ""), lines)
    ]
    for column in columns:
        found = _compared(found, column, last, design, floors)
    return tuple(found)


def _rows(
    question: tuple[str, Mapping[str, object], int],
    by_target: Mapping[str, Sequence[Result]],
    columns: Sequence[Column],
    mechanism: str,
    lines: Mapping[Attempt, int],
) -> list[Row]:
    benchmark, parameters, tier = question
    metrics: dict[str, dict[str, Kind]] = {}
    for column in columns:
        for each in measurements(by_target.get(column.target, ())):
            metrics.setdefault(each.metric, {})[column.target] = (each.unit, each.better)
    on_purpose = invocations.injected(parameters)
    found = []
    for metric, kinds in metrics.items() or [(benchmark, {})]:
        for kind, targets in _by_kind(kinds, columns).items():
            cells = {name: make_cell(by_target.get(name, ()), metric, on_purpose, mechanism, lines) for name in targets}
            found.append(
                Row(
                    benchmark=benchmark,
                    parameters=dict(parameters),
                    tier=tier,
                    metric=metric,
                    unit=kind[0] if kind else None,
                    better=kind[1] if kind else None,
                    cells=_told_apart(cells, kinds, columns),
                )
            )
    return found


def _told_apart(cells: Mapping[str, Cell], kinds: Mapping[str, Kind], columns: Iterable[Column]) -> dict[str, Cell]:
    """The cells; one whose reference states the metric in another unit says why there is no ratio."""
    found = dict(cells)
    for column in columns:
        own, other = kinds.get(column.target), kinds.get(column.reference)
        if column.target in found and own and other and own != other:
            cell = found[column.target]
            note = f"in {own[0]}, and '{column.reference}' in {other[0]}: figures of two units have no ratio"
            found[column.target] = msgspec.structs.replace(cell, notes=(*cell.notes, note))
    return found


def _by_kind(kinds: Mapping[str, Kind], columns: Iterable[Column]) -> dict[Kind | None, list[str]]:
    """The targets whose figures may stand in one row. One without a figure is where its reference is."""
    usual = next(iter(kinds.values()), None)
    found: dict[Kind | None, list[str]] = {}
    for column in columns:
        kind = kinds.get(column.target) or kinds.get(column.reference) or usual
        found.setdefault(kind, []).append(column.target)
    return found


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
        if column.target == column.reference or column.context or row.better is None or not _both_passed(row, column):
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
    return [_with(row, column, found[number]) if number in found else row for number, row in enumerate(rows)]


def _both_passed(row: Row, column: Column) -> bool:
    return all(
        target in row.cells and row.cells[target].status == "passed" for target in (column.reference, column.target)
    )


def _with(row: Row, column: Column, comparison: Comparison) -> Row:
    found = row.cells[column.target]
    words = unlike(column.reference, row.cells[column.reference], column.target, found)
    told = msgspec.structs.replace(found, comparison=msgspec.structs.replace(comparison, unlike=words))
    return msgspec.structs.replace(row, cells=row.cells | {column.target: told})


def blocks_due(rows: Iterable[Row], columns: Iterable[Column], design: Design, blocks: int) -> dict[Asked, int]:
    """How many blocks each target owes to each question: all, or those until the look that settled its comparisons.

    A reference goes on for as long as any target that is held against it.
    """
    least = design.looks[0].blocks if design.looks else blocks
    references = {column.target: column.reference for column in columns}
    exact = {column.target for column in columns if column.exact}
    due: dict[Asked, int] = {}
    rows, asked_of = tuple(rows), defaultdict[Question, set[str]](set)
    for row in rows:
        asked_of[invocations.question(row.benchmark, row.parameters)] |= row.cells.keys()
    for row in rows:
        asked = invocations.question(row.benchmark, row.parameters)
        for target, cell in row.cells.items():
            found = cell.comparison
            settled = found is None or found.verdict != "undecided" or not design.looks
            most = blocks if not settled else found.looks[-1].blocks if found is not None and found.looks else least
            for each in {target, references[target]} & asked_of[asked]:
                due[asked, each] = max(due.get((asked, each), 0), 1 if each in exact else most)
    return due
