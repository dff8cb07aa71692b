"""One target's answer to one question, from its invocations: a figure with its spread, or why there is none."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from benchproof.analysis import invocations, quantiles, stats, steady
from benchproof.analysis.compare import Comparison
from benchproof.analysis.invocations import Attempt
from benchproof.analysis.stats import Interval, Summary
from benchproof.analysis.steady import Together
from benchproof.model import Better, Frozen, Measurement, Passed, Result, Unit, Unverified

_SHORTEST = "its batches differ, the figure is that of the shortest"
LACKING = "figure_lacking"  # evidence: which figure a user would look for beside this one, and why there is none
_MOST_LOGS = 3  # of a cell that is in trouble

Kind = tuple[Unit, Better]  # only figures of one kind are in one row


class Extent(Frozen, frozen=True):
    """All samples of all invocations, none left out, as a user met them one by one. No inference rests on it."""

    n: int
    min: float
    mean: float
    max: float


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
    extent: Extent | None = None  # of the samples behind them, which a gate on the least or the most is held against
    intervals: dict[str, Interval] = msgspec.field(default_factory=dict)  # of median and quantiles
    duration_ns: int = 0  # of all its invocations, start and stop included, on the host's clock
    steadiness: Together | None = None  # what the samples did within the invocations; None for counts
    mechanism: str = ""  # what was really timed: in the system's words, else the benchmark's; empty without a figure
    difference: str = ""  # by what that differs from the benchmark's own mechanism, where it is another one
    logs: tuple[str, ...] = ()  # paths within the run, of invocations that did not pass
    blocks: tuple[int, ...] = ()  # of each of `values`
    lines: tuple[int, ...] = ()  # in results.jsonl, from 1: of each of `values`; without any, of all tries that count


def measurements(results: Iterable[Result]) -> list[Measurement]:
    """All figures, those included that nobody verified."""
    return [each for result in map(_as_passed, results) for each in _of(result)]


def _of(result: Result) -> tuple[Measurement, ...]:
    return result.outcome.measurements if isinstance(result.outcome, Passed) else ()


def _as_passed(result: Result) -> Result:
    """For the arithmetic alone: the cell says that nobody verified it."""
    outcome = result.outcome
    if not isinstance(outcome, Unverified):
        return result
    return msgspec.structs.replace(result, outcome=Passed(measurements=outcome.measurements))


def make_cell(
    results: Sequence[Result],
    metric: str,
    injected: str,
    mechanism: str,
    lines: Mapping[Attempt, int] = MappingProxyType({}),
) -> Cell:
    """The answer. `injected`: by what it was made slower; `mechanism`: what was timed if the system does not say.

    `lines`: where each result stands in results.jsonl.
    """
    status, notes = invocations.status(results), invocations.notes(results)
    numbers = [_as_passed(each) for each in results] if status == "unverified" else results
    kinds = {(each.unit, each.better) for each in measurements(results) if each.metric == metric}
    if len(kinds) > 1:
        status, notes = "invalid", (*notes, f"its unit changed between invocations: {_units(kinds)}")
    has_figure = status in {"passed", "unverified"}
    by_block = invocations.values(numbers, metric) if has_figure else {}
    found = tuple(by_block[block] for block in sorted(by_block))
    middle = stats.median(found) if found else None
    spread = stats.mad(found) * stats.MAD_TO_SD / abs(middle) if middle and len(found) >= stats.LEAST_N else None
    steadiness = invocations.steadiness_of(numbers, metric) if has_figure else None
    notes += steady.notes(steadiness) if steadiness else ()
    if status == "passed" and any(result.evidence.get("statistic") == "minimum" for result in results):
        notes += (_SHORTEST,)
    notes += (
        tuple(dict.fromkeys(lacking for each in numbers if (lacking := each.evidence.get(LACKING)))) if found else ()
    )
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
        extent=_extent(numbers, metric) if found else None,
        intervals=quantiles.intervals(found),
        duration_ns=sum(result.duration_ns for result in results),
        steadiness=steadiness,
        mechanism=_said(results, "mechanism", mechanism) if found else "",
        difference=_said(results, "difference", "") if found else "",
        logs=_logs(results),
        blocks=tuple(sorted(by_block)),
        lines=_lines([each for each in results if each.block in by_block or not by_block], lines),
    )


def _lines(results: Iterable[Result], lines: Mapping[Attempt, int]) -> tuple[int, ...]:
    """By block; a warm-up has none, it is in another file."""
    keys = map(invocations.attempt, sorted(results, key=lambda each: each.block))
    return tuple(lines[key] for key in keys if key in lines)


def _extent(results: Iterable[Result], metric: str) -> Extent:
    samples = [sample for each in invocations.measurements(results, metric).values() for sample in each.samples]
    return Extent(n=len(samples), min=min(samples), mean=statistics.fmean(samples), max=max(samples))


def _units(kinds: Iterable[Kind]) -> str:
    return ", ".join(sorted(unit for unit, _ in kinds))


def _said(results: Iterable[Result], key: str, otherwise: str) -> str:
    """The system's own words; where it had others in another invocation, all of them."""
    return "; or: ".join(dict.fromkeys(each.evidence.get(key, "") or otherwise for each in results))


def _logs(results: Iterable[Result]) -> tuple[str, ...]:
    paths = (path for each in results if not isinstance(each.outcome, Passed) for path in each.logs)
    return tuple(dict.fromkeys(paths))[:_MOST_LOGS]


def unlike(base: str, old: Cell, new: str, cell: Cell) -> str:
    """What each of the two, `base` and `new` by name, really times; empty where that is the same."""
    if (old.mechanism, old.difference) == (cell.mechanism, cell.difference):
        return ""
    told = [f"{name}: {each.mechanism or 'it does not say what it times'}" for name, each in ((new, cell), (base, old))]
    # what both differ by from the benchmark, they do not differ by from each other
    differs = [each.difference for each in (cell, old) if each.difference and cell.difference != old.difference]
    return "; ".join([*told, *([f"differs: {'; '.join(differs)}"] if differs else [])])
