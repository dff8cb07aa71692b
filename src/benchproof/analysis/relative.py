"""Where the ratios of gates come from: the report of a run, or a comparison with another run.

Both show the same ratio with the same interval; nothing is computed here that a reader does not see there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from benchproof.analysis import invocations
from benchproof.analysis.compare import Comparison, incomparable
from benchproof.analysis.gate import Gate, Pair, Ratios
from benchproof.analysis.invocations import Question
from benchproof.analysis.matrix import Cell, Column, Report
from benchproof.analysis.versus import ASSUMED_DRIFT, Key, Versus

Sections = Mapping[str, Mapping[str, str]]  # of an envelope


def one_artifact(base: Sections, new: Sections) -> bool:
    """Whether two runs measured one thing, by every fact and by a hash of what was run.

    A version is no content, and the hash of a wrapper's program says nothing of what it starts.
    """
    system = base.get("system", {})
    is_hashed = system.get("kind") != "command" and any("sha256" in fact for fact in system)
    return is_hashed and dict(base) == dict(new)


def within(report: Report) -> Ratios:
    """The ratio of a target to its reference, interleaved with it; None for the reference itself."""
    columns = {column.target: column for column in report.columns}
    cells = {
        (target, invocations.question(row.benchmark, row.parameters), row.metric): row.cells
        for row in report.rows
        for target in row.cells
    }

    def pair(gate: Gate, target: str, asked: Question, metric: str) -> Pair | None:
        del gate
        column = columns[target]
        if column.reference == target:
            return None
        return _pair(column, columns[column.reference], cells.get((target, asked, metric), {}))

    return pair


def _pair(column: Column, reference: Column, cells: Mapping[str, Cell]) -> Pair:
    comparison = cells[column.target].comparison if column.target in cells else None
    return Pair(
        base=f"'{reference.target}'",
        comparison=comparison or incomparable(_why_none(column, reference, cells)),
        same=bool(column.envelope) and column.envelope == reference.envelope,  # at the same time, under two names
    )


def _why_none(column: Column, reference: Column, cells: Mapping[str, Cell]) -> str:
    if column.context:
        return f"it differs in what was not declared to: {'; '.join(column.context)}"
    cell = cells.get(reference.target)
    if cell is None:
        return f"'{reference.target}' has no such metric, or in another unit"
    return f"'{reference.target}' has no figure ({cell.status})" + "".join(f": {note}" for note in cell.notes[:1])


def apart(
    found: Mapping[str, Versus], *, run_id: str, same: Collection[str], drift: Mapping[str, Mapping[Key, float]]
) -> Ratios:
    """The ratio of each target to the one of the same name in the run `run_id`, which was made at another time.

    `same`: the targets that are one artifact in both; `drift`: the measured floors of runs made apart, by target.
    """
    compared = {
        (target, (invocations.question(row.benchmark, row.parameters), row.metric)): row.comparison
        for target, versus in found.items()
        for row in versus.rows
    }

    def pair(gate: Gate, target: str, asked: Question, metric: str) -> Pair | None:
        del gate
        key = (asked, metric)
        missing = incomparable("it has no target of that name" if target not in found else "it has no such metric")
        return Pair(
            base=f"run {run_id}",
            comparison=compared.get((target, key), missing),
            same=target in same,
            apart=True,
            assumed=0.0 if key in drift.get(target, {}) or _is_count(compared.get((target, key))) else ASSUMED_DRIFT,
        )

    return pair


def _is_count(comparison: Comparison | None) -> bool:
    """Of instructions, which know no time."""
    interval = None if comparison is None else comparison.ratio or comparison.difference
    return interval is not None and interval.confidence == 1
