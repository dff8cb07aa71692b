"""From a run on disk to what the index keeps of it: one value for each metric of each case, or why there is none.

A folder that is not what its manifest says is refused here: the index knows only runs that could be shown to anyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchproof.analysis import invocations, stats
from benchproof.errors import StoreError, one_line
from benchproof.model import Better, Clock, Failed, Frozen, Measurement, Passed, Result, Unit, Unverified
from benchproof.store import bundle
from benchproof.store.bundle import Run

Case = tuple[str, str, str]  # target, benchmark, parameters as JSON

_WORST_FIRST = ("failed", "invalid", "unsupported", "unverified", "passed")
_MOST_OF_A_REASON = 300  # characters; all of it is in the run


class Value(Frozen, frozen=True, kw_only=True):
    """What one run says of one metric of one case: the median over `n` invocations."""

    target: str
    benchmark: str
    parameters: str  # as JSON, keys in order
    metric: str
    unit: Unit
    better: Better
    clock: Clock
    value: float
    n: int
    spread: float | None  # robust SD between invocations, in the metric's unit; None of fewer than 6
    verified: bool  # False: imported, no oracle of ours saw the work


def read(path: Path) -> Run:
    """A run that is what its manifest says. Raises StoreError."""
    run = bundle.load_sealed(path)
    manifest = run.manifest
    names = {manifest.run_id, manifest.state, manifest.benchproof, *run.target_envelopes}
    _refuse_unprintable(names | {name for result in run.results for name in (result.target, result.benchmark)})
    return run


def _refuse_unprintable(names: Iterable[str]) -> None:
    """No database takes every character, and no reader wants them in a name."""
    for name in names:
        if not name.isprintable():
            raise StoreError(f"expected a name in printable characters, found {name[:60]!a}")


class Ended(Frozen, frozen=True):
    """One question that one target was asked in a run: how it ended, with what."""

    target: str
    benchmark: str
    parameters: str  # as JSON, keys in order
    status: str
    results: Sequence[Result]


class Answer(Frozen, frozen=True, kw_only=True):
    """What became of one benchmark on one target in a run: of so many questions, so many passed."""

    target: str
    benchmark: str
    passed: int
    asked: int
    status: str  # the worst
    reason: str  # of that


def cases(run: Run) -> Iterator[Ended]:
    """Every question; a wrong answer in the warm-up block counts, too."""
    wrong = [each for each in run.warmups if isinstance(each.outcome, Failed)]
    for (benchmark, parameters), by_target in invocations.last_tries((*run.results, *wrong)).items():
        for target, results in by_target.items():
            yield Ended(target, benchmark, parameters, invocations.status(results), results)


def statuses(run: Run) -> dict[Case, str]:
    """How each case ended, those without a value too."""
    return {(each.target, each.benchmark, each.parameters): each.status for each in cases(run)}


def values(found: Iterable[Ended]) -> Iterator[Value]:
    """Every value; none of a case in which any answer was wrong."""
    for case in found:
        if case.status in {"passed", "unverified"}:
            verified = case.status == "passed"
            yield from _of_case(case.target, case.benchmark, case.parameters, case.results, verified=verified)


def answers(found: Iterable[Ended]) -> Iterator[Answer]:
    """One for each benchmark on each target."""
    groups: dict[tuple[str, str], list[Ended]] = {}
    for case in found:
        groups.setdefault((case.benchmark, case.target), []).append(case)
    for (benchmark, target), some in groups.items():
        worst = min(some, key=lambda case: _WORST_FIRST.index(case.status))
        yield Answer(
            target=target,
            benchmark=benchmark,
            passed=sum(case.status == "passed" for case in some),
            asked=len(some),
            status=worst.status,
            reason="" if worst.status == "passed" else _short("; ".join(invocations.notes(worst.results))),
        )


def _short(words: str) -> str:
    return one_line(words).replace("\0", "?")[:_MOST_OF_A_REASON]


def _of_case(
    target: str, benchmark: str, parameters: str, results: Sequence[Result], *, verified: bool
) -> Iterator[Value]:
    by_metric: dict[tuple[str, Unit, Better, Clock], list[float]] = {}
    for result in results:
        for each in _measurements(result):
            by_metric.setdefault((each.metric, each.unit, each.better, each.clock), []).append(
                invocations.value(each) if verified else stats.median(each.samples)  # a foreign order may be any
            )
    _refuse_unprintable(metric for metric, *_ in by_metric)
    for (metric, unit, better, clock), values in by_metric.items():
        yield Value(
            target=target,
            benchmark=benchmark,
            parameters=parameters,
            metric=metric,
            unit=unit,
            better=better,
            clock=clock,
            value=stats.median(values),
            n=len(values),
            spread=stats.MAD_TO_SD * stats.mad(values) if len(values) >= stats.LEAST_N else None,
            verified=verified,
        )


def _measurements(result: Result) -> tuple[Measurement, ...]:
    return result.outcome.measurements if isinstance(result.outcome, (Passed, Unverified)) else ()


def time_of(run: Run) -> str:
    """When it was measured, in UTC, so that texts sort as times do: of an imported run, when its results say.

    Raises StoreError.
    """
    stamps = {run.manifest.created_at, *(result.started_at for result in run.results)}
    try:
        earliest = min(_utc(stamp) for stamp in stamps)
    except ValueError as error:
        raise StoreError(f"'{run.path}': expected times such as 2026-11-20T22:00:00Z: {error}") from error
    return f"{earliest:%Y-%m-%dT%H:%M:%S.%fZ}"


def _utc(stamp: str) -> datetime:
    time = datetime.fromisoformat(stamp)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
