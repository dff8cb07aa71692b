"""May this ship? Holds what a run measured against the limits of its plan.

A gate has no default statistic, does no rounding and interpolates nothing. What has no verified figure, for whatever
reason, is not met: a gate that could not be judged is no gate that was passed.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from benchproof.analysis import invocations, stats
from benchproof.analysis.invocations import Asked
from benchproof.analysis.limit import Limit
from benchproof.model import Frozen, Measurement, Passed, Result

Statistic = Literal["min", "median", "mean", "p90", "p95", "p99", "max"]
Mode = Literal["gate", "review", "off"]
Verdict = Literal["met", "not met", "review", "off"]


class Gate(Frozen, frozen=True, kw_only=True):
    """One table of a plan's `[gates]`. Without a limit, every invocation of the benchmark must have passed."""

    key: str  # the name of the table: that of a benchmark with one metric, or the full one of a metric
    benchmark: str
    metric: str | None  # None: the only one that the benchmark has
    mode: Mode = "gate"
    target: str | None = None  # None: every target of the plan
    statistic: Statistic | None = None
    limit: Limit | None = None


class GateVerdict(Frozen, frozen=True, kw_only=True):
    """A gate on one target. `figure` and `margin` are in base units, absent where nothing could be computed."""

    gate: Gate
    target: str
    parameters: dict[str, object]
    n: int  # invocations that passed
    figure: float | None
    margin: float | None
    verdict: Verdict  # review: not met, and the plan says that this shall not fail the run
    reason: str


def judge(
    gates: Iterable[Gate],
    cases: Sequence[tuple[str, str, Mapping[str, object], int]],
    results: Sequence[Result],
    *,
    blocks: Mapping[Asked, int],
) -> tuple[GateVerdict, ...]:
    """Every gate on every case of the plan (target, benchmark, parameters, tier) that it speaks of.

    `blocks` is how many invocations each case should have: a run that was ended early meets no gate.
    """
    last = invocations.last_tries(results)
    return tuple(
        _verdict(gate, target, parameters, last.get(asked, {}), blocks[asked, target])
        for gate in gates
        for target, benchmark, parameters, _ in cases
        if benchmark == gate.benchmark and gate.target in {None, target}
        for asked in [invocations.question(benchmark, parameters)]
    )


def value(statistic: Statistic, measurements: Sequence[Measurement]) -> float:
    """The statistic of one metric, a measurement for each invocation, in the metric's unit. Raises ValueError.

    `median` and `mean` are over invocations, each of which gives the median of its samples. `min`, `max` and the
    percentiles are over all samples of all invocations; a percentile is the nearest rank, an actual sample.
    """
    if statistic in {"median", "mean"}:
        values = [stats.median(each.samples) for each in measurements]
        return stats.median(values) if statistic == "median" else statistics.fmean(values)
    samples = sorted(sample for each in measurements for sample in each.samples)
    if statistic in {"min", "max"}:
        return samples[0 if statistic == "min" else -1]
    return stats.quantile(samples, statistic)


def _verdict(
    gate: Gate,
    target: str,
    parameters: Mapping[str, object],
    by_target: Mapping[str, Sequence[Result]],
    blocks: int,
) -> GateVerdict:
    results = by_target.get(target, ())
    figure, reason, met = None, "", False
    if gate.mode != "off":
        try:
            figure = _figure(gate, results, blocks)
        except ValueError as error:
            reason = str(error)
        else:
            met = gate.limit is None or (figure is not None and gate.limit.holds(figure))
    return GateVerdict(
        gate=gate,
        target=target,
        parameters=dict(parameters),
        n=invocations.statuses(results)["passed"],
        figure=figure,
        margin=None if figure is None or gate.limit is None else gate.limit.margin(figure),
        verdict=_word(gate.mode, met=met),
        reason=reason,
    )


def _word(mode: Mode, *, met: bool) -> Verdict:
    if mode == "off":
        return "off"
    if met:
        return "met"
    return "review" if mode == "review" else "not met"


def _figure(gate: Gate, results: Sequence[Result], blocks: int) -> float | None:
    """What is held against the limit, None where the gate only asks that all passed. Raises ValueError: why not."""
    status = invocations.status(results)
    borne = {"passed"} if gate.limit is None else {"passed", "invalid"}  # few invalid ones, as in the matrix
    others = sorted(invocations.statuses(results).keys() - borne)
    if status != "passed" or others:
        raise ValueError(f"{others[0] if status == 'passed' else status}: {'; '.join(invocations.notes(results))}")
    if len(results) < blocks:
        raise ValueError(f"missing: {len(results)} of {blocks} invocations are on record")
    if gate.limit is None or gate.statistic is None:
        return None
    measurements = _measurements(gate, results)
    wrong = {each.unit for each in measurements if not gate.limit.fits(each.unit)}
    if wrong:
        raise ValueError(f"wrong unit: the limit is in {gate.limit.unit}, the metric in {', '.join(sorted(wrong))}")
    return value(gate.statistic, measurements)


def _measurements(gate: Gate, results: Sequence[Result]) -> list[Measurement]:
    """The gate's metric in each invocation that passed. Raises ValueError where it is not in all of them."""
    passed = [result.outcome.measurements for result in results if isinstance(result.outcome, Passed)]
    names = sorted({measurement.metric for each in passed for measurement in each})
    if gate.metric is None and len(names) > 1:
        raise ValueError(f"missing: '{gate.key}' has several metrics, a gate names one: {', '.join(names)}")
    wanted = gate.metric or "".join(names)
    found = [measurement for each in passed for measurement in each if measurement.metric == wanted]
    if len(found) < len(passed):
        known = f"; the metrics of '{gate.benchmark}': {', '.join(names)}" if wanted not in names else ""
        raise ValueError(f"missing: {len(found)} of {len(passed)} invocations have this metric{known}")
    return found
