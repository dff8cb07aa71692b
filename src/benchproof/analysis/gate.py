"""May this ship? Holds what a run measured against the limits of a plan or a policy.

A gate has no default statistic, does no rounding and interpolates nothing. What has no verified figure is never met: a
wrong answer, a lost metric and a limit that does not hold are `not met`; evidence that is too little or too noisy is
`undecided`, which is no pass either. A ratio is decided by its interval, never by its estimate.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from benchproof.analysis import bands, goals, invocations, stats
from benchproof.analysis.bands import Band
from benchproof.analysis.compare import MANY_PAIRS, POWER_Z, Comparison, incomparable
from benchproof.analysis.goals import Priority, Status
from benchproof.analysis.invocations import Asked, Question
from benchproof.analysis.limit import Limit
from benchproof.analysis.stats import Interval
from benchproof.model import Better, Frozen, Measurement, Passed, Result

Statistic = Literal["min", "median", "mean", "p90", "p95", "p99", "p99.9", "max", "ratio", "speedup"]
Mode = Literal["gate", "review", "off"]
Verdict = Literal["met", "not met", "undecided", "review", "off"]
WORST_FIRST: tuple[Verdict, ...] = ("not met", "undecided", "review", "met", "off")
REFERENCE = "reference"  # as a baseline: the target that the plan names, measured in the same blocks


class Gate(Frozen, frozen=True, kw_only=True):
    """One table of `[gates]`. Without a limit and without bands, every invocation of the benchmark must have passed."""

    key: str  # the name of the table: that of a benchmark with one metric, or the full one of a metric
    benchmark: str
    metric: str | None  # None: the only one that the benchmark has
    mode: Mode = "gate"
    target: str | None = None  # None: every target of the run
    statistic: Statistic | None = None
    limit: Limit | None = None
    baseline: str | None = None  # of a ratio: `reference`, or another run
    bands: tuple[Band, ...] = ()
    require: str | None = None  # the worst band that meets the gate
    least: int = 1  # invocations, of a ratio pairs; with fewer there is no answer
    width: int | None = None  # of a speed-up: from one worker to so many
    title: str = ""  # how a table of targets calls it
    priority: Priority | None = None  # None: it is in no table of targets


class Pair(Frozen, frozen=True, kw_only=True):
    """What a ratio gate has to go by. `same`: both sides are one artifact by every hash."""

    base: str  # what the ratio is to, for the reader
    comparison: Comparison
    same: bool = False
    apart: bool = False  # the runs were made at different times, and the floor is what was measured between such
    assumed: float = 0.0  # the same where nothing was measured: by how much the ratio may be drift, as a share


class GateVerdict(Frozen, frozen=True, kw_only=True):
    """A gate on one target. `figure` and `margin` are in base units, absent where nothing could be computed."""

    gate: Gate
    target: str
    parameters: dict[str, object]
    n: int  # invocations that passed
    figure: float | None
    margin: float | None
    verdict: Verdict  # review: not met or undecided, and that shall not fail the run
    reason: str
    interval: Interval | None = None  # of a ratio
    base: str = ""  # what the ratio is to
    band: str = ""
    figures: dict[str, float] = msgspec.field(default_factory=dict)  # that the band was given from
    status: Status | None = None  # of a gate with a priority, in the table of targets


_NOTHING = Pair(base=REFERENCE, comparison=incomparable("nothing was given to compare with"))
Ratios = Callable[[Gate, str, Question, str], Pair | None]  # gate, target, question, metric; None: it is the reference


def judge(
    gates: Iterable[Gate],
    cases: Sequence[tuple[str, str, Mapping[str, object], int]],
    results: Sequence[Result],
    *,
    blocks: Mapping[Asked, int],
    ratios: Ratios | None = None,
    complete: bool = True,
) -> tuple[GateVerdict, ...]:
    """Every gate on every case of the plan (target, benchmark, parameters, tier) that it speaks of.

    `blocks` is how many invocations each case should have. A run that was ended early meets no gate, and gives no
    answer where it is known not to be `complete`. The reference itself has no ratio, and so no verdict on one.
    """
    last = invocations.last_tries(results)
    found = (
        _verdict(gate, target, parameters, evidence, _of(ratios, gate, target, asked))
        for gate in gates
        if gate.statistic != "speedup"  # of several cases together: see speedup.py
        for target, benchmark, parameters, _ in cases
        if benchmark == gate.benchmark and gate.target in {None, target}
        for asked in [invocations.question(benchmark, parameters)]
        for evidence in [_Evidence(last.get(asked, {}).get(target, ()), blocks[asked, target], complete)]
    )
    return tuple(each for each in found if each is not None)


def value(statistic: Statistic, measurements: Sequence[Measurement]) -> float:
    """The statistic of one metric, a measurement for each invocation, in the metric's unit. Raises ValueError.

    `median` and `mean` are over invocations, each of which gives one value. `min`, `max` and the percentiles are over
    all samples of all invocations, those of a warm-up too: a user waits for them as well. A percentile is the nearest
    rank, an actual sample.
    """
    if statistic in {"median", "mean"}:
        values = [invocations.value(each) for each in measurements]
        return stats.median(values) if statistic == "median" else statistics.fmean(values)
    samples = sorted(sample for each in measurements for sample in each.samples)
    if statistic in {"min", "max"}:
        return samples[0 if statistic == "min" else -1]
    return stats.quantile(samples, statistic)


def disappeared(gate: Gate, target: str, parameters: Mapping[str, object], reason: str) -> GateVerdict:
    """The verdict on what is not in the run at all: a metric that is lost does not pass by its absence."""
    return GateVerdict(
        gate=gate,
        target=target,
        parameters=dict(parameters),
        n=0,
        figure=None,
        margin=None,
        verdict=word(gate.mode, met=False),
        reason=f"disappeared: {reason}",
        status="Not measured" if gate.priority else None,
    )


def wrong_side(limit: Limit, better: Better) -> str:
    """Why a ratio of such a metric cannot be bounded like this, as a sentence; empty if it can."""
    wanted, example = ("<", "< 1.05") if better == "lower" else (">", "> 0.95")
    if limit.comparison.startswith(wanted):
        return ""
    return f"{better} is better in this metric, so expected a ratio such as '{example}', found '{limit.text}'"


class _NoAnswerError(ValueError):
    """There is no good answer and no bad one."""


class _Found(Frozen, frozen=True, kw_only=True):
    """What the evidence says. `met` is None where it does not say enough."""

    met: bool | None
    reason: str = ""
    figure: float | None = None
    margin: float | None = None
    interval: Interval | None = None
    band: str = ""
    figures: dict[str, float] = msgspec.field(default_factory=dict)
    review: bool = False  # the evidence cannot be as sharp as the limit
    status: Status = "Not measured"


class _Evidence(Frozen, frozen=True):
    """The last tries of one case, and how many there should be."""

    results: Sequence[Result]
    blocks: int
    complete: bool


def _of(ratios: Ratios | None, gate: Gate, target: str, asked: Question) -> Callable[[str], Pair | None]:
    """The pair by the metric's name, which only the results tell."""
    return lambda metric: ratios(gate, target, asked, metric) if ratios is not None else _NOTHING


def _verdict(
    gate: Gate,
    target: str,
    parameters: Mapping[str, object],
    evidence: _Evidence,
    pair_of: Callable[[str], Pair | None],
) -> GateVerdict | None:
    pair = None
    if gate.statistic == "ratio" and gate.mode != "off":
        pair = pair_of(gate.metric or _only_metric(evidence.results))
        if pair is None:
            return None
    found = _Found(met=None) if gate.mode == "off" else _found(gate, evidence, pair)
    return GateVerdict(
        gate=gate,
        target=target,
        parameters=dict(parameters),
        n=invocations.statuses(evidence.results)["passed"],
        figure=found.figure,
        margin=found.margin,
        verdict=word("review" if found.review and gate.mode == "gate" else gate.mode, met=found.met),
        reason=found.reason,
        interval=found.interval,
        base=pair.base if pair else "",
        band=found.band,
        figures=found.figures,
        status=found.status if gate.priority else None,
    )


def word(mode: Mode, *, met: bool | None) -> Verdict:
    """The verdict; `met` is None where the evidence does not say."""
    if mode == "off":
        return "off"
    if met:
        return "met"
    if mode == "review":
        return "review"
    return "undecided" if met is None else "not met"


def _found(gate: Gate, evidence: _Evidence, pair: Pair | None) -> _Found:
    try:
        _refuse_bad_outcomes(gate, evidence)
        if gate.limit is None and not gate.bands:
            return _Found(met=True)
        measurements = _measurements(gate, evidence.results)
        if gate.bands:
            return _banded(gate, measurements)
        return _absolute(gate, measurements) if pair is None else _relative(gate, measurements, pair)
    except _NoAnswerError as error:
        return _Found(met=None, reason=str(error))
    except ValueError as error:
        return _Found(met=False, reason=str(error))


def _refuse_bad_outcomes(gate: Gate, evidence: _Evidence) -> None:
    """Raises ValueError where anything but a verified answer is on record, or where too little is."""
    results, blocks = evidence.results, evidence.blocks
    status = invocations.status(results)
    must_pass = gate.limit is None and not gate.bands
    borne = {"passed"} if must_pass else {"passed", "invalid"}  # few invalid ones, as in the matrix
    others = sorted(invocations.statuses(results).keys() - borne)
    if status != "passed" or others:
        found = others[0] if status == "passed" else status
        text = f"{found}: {'; '.join(invocations.notes(results))}"
        no_answer = found == "invalid" or (found == "missing" and not evidence.complete)
        raise (_NoAnswerError if no_answer else ValueError)(text)
    if len(results) < blocks:
        text = f"missing: {len(results)} of {blocks} invocations are on record"
        raise ValueError(text) if evidence.complete else _NoAnswerError(text)
    passed = invocations.statuses(results)["passed"]
    if gate.statistic != "ratio" and passed < gate.least:
        raise _NoAnswerError(f"insufficient evidence: {passed} invocations passed, the gate asks for {gate.least}")


def _only_metric(results: Sequence[Result]) -> str:
    names = _metrics(_passed(results))
    return names[0] if len(names) == 1 else ""


def _passed(results: Sequence[Result]) -> list[tuple[Measurement, ...]]:
    return [result.outcome.measurements for result in results if isinstance(result.outcome, Passed)]


def _metrics(passed: Sequence[tuple[Measurement, ...]]) -> list[str]:
    return sorted({measurement.metric for each in passed for measurement in each})


def _measurements(gate: Gate, results: Sequence[Result]) -> list[Measurement]:
    """The gate's metric in each invocation that passed. Raises ValueError where it is not in all of them."""
    passed = _passed(results)
    names = _metrics(passed)
    if gate.metric is None and len(names) > 1:
        raise ValueError(f"missing: '{gate.key}' has several metrics, a gate names one: {', '.join(names)}")
    wanted = gate.metric or "".join(names)
    found = [measurement for each in passed for measurement in each if measurement.metric == wanted]
    if len(found) < len(passed):
        known = f"; the metrics of '{gate.benchmark}': {', '.join(names)}" if wanted not in names else ""
        raise ValueError(f"missing: {len(found)} of {len(passed)} invocations have this metric{known}")
    return found


def _refuse_wrong_unit(limit: Limit, measurements: Sequence[Measurement]) -> None:
    wrong = {each.unit for each in measurements if not limit.fits(each.unit)}
    if wrong:
        raise ValueError(f"wrong unit: the limit is in {limit.unit}, the metric in {', '.join(sorted(wrong))}")


def _value(statistic: Statistic, measurements: Sequence[Measurement]) -> float:
    """As `value`; a percentile of too few samples is no answer."""
    try:
        return value(statistic, measurements)
    except ValueError as error:
        raise _NoAnswerError(str(error)) from error


# ---- a limit ----


def _absolute(gate: Gate, measurements: Sequence[Measurement]) -> _Found:
    assert gate.limit is not None
    assert gate.statistic is not None
    _refuse_wrong_unit(gate.limit, measurements)
    figure = _value(gate.statistic, measurements)
    return _Found(
        met=gate.limit.holds(figure),
        figure=figure,
        margin=gate.limit.margin(figure),
        status=goals.status(gate.limit, figure, [_alone(gate.statistic, each) for each in measurements]),
    )


def _alone(statistic: Statistic, measurement: Measurement) -> float:
    """What one invocation gives; a percentile that its samples do not support is its largest sample."""
    try:
        return value(statistic, [measurement])
    except ValueError:
        return max(measurement.samples)


# ---- bands ----


def _banded(gate: Gate, measurements: Sequence[Measurement]) -> _Found:
    """The worse of median and p95 decides; without one of them there is no band."""
    _refuse_wrong_unit(gate.bands[0].median, measurements)
    try:
        figures = {statistic: _value(statistic, measurements) for statistic in bands.STATISTICS}
    except _NoAnswerError as error:
        raise _NoAnswerError(f"{error}: no band is given from the median alone") from error
    placed = bands.place(gate.bands, figures)
    told = {f"{statistic} {name}" for statistic, name in placed.each.items()}
    return _Found(
        met=placed.rank <= [band.name for band in gate.bands].index(gate.require or ""),
        reason=f"the worse decides: {', '.join(sorted(told))}" if len(set(placed.each.values())) > 1 else "",
        figure=figures["median"],
        band=placed.name,
        figures={str(statistic): figure for statistic, figure in figures.items()},
    )


# ---- a ratio ----


def _relative(gate: Gate, measurements: Sequence[Measurement], pair: Pair) -> _Found:
    """Not met if the interval lies wholly beyond the limit, met if wholly within."""
    limit, comparison = gate.limit, pair.comparison
    assert limit is not None
    if problem := wrong_side(limit, measurements[0].better):
        raise ValueError(f"wrong direction: {problem}")
    interval = _ratio(comparison)
    if interval is None:
        raise _NoAnswerError(_why_no_ratio(comparison, pair.base))
    if interval.n < gate.least and interval.confidence < 1:
        raise _NoAnswerError(f"insufficient evidence: {interval.n} pairs, the gate asks for {gate.least}")
    met = _decided(_blurred(interval, pair.assumed), limit)
    reasons = [_undecided(interval, limit, pair.assumed)] if met is None else []
    if pair.same:
        reasons.append("noise calibration: both sides are one artifact by every hash, so this is no regression")
        met = met or None
    floor = 0.0 if pair.assumed else comparison.floor or 0.0
    if too_wide := floor > abs(limit.bound - 1):
        source = " of runs made at different times (as measured by calibrate)" if pair.apart else ""
        reasons.append(f"review: the A/A floor of {floor:.2%}{source} is wider than the limit")
    if comparison.unlike:
        reasons.append(f"unlike things are compared: {comparison.unlike}")
    return _Found(
        met=met,
        reason="; ".join(reasons),
        figure=interval.estimate,
        margin=limit.margin(interval.estimate),
        interval=interval,
        review=too_wide,
    )


def _ratio(comparison: Comparison) -> Interval | None:
    """Of two counts that are both nothing, nothing changed."""
    if comparison.ratio is not None or comparison.difference is None:
        return comparison.ratio
    change = comparison.difference
    unchanged = change.confidence == 1 and change.estimate == 0
    return Interval(estimate=1.0, low=1.0, high=1.0, confidence=1.0, n=change.n) if unchanged else None


def _why_no_ratio(comparison: Comparison, base: str) -> str:
    if comparison.verdict == "incomparable":
        return f"incomparable with {base}: {comparison.reason}"
    if comparison.difference is not None:
        return f"no ratio to {base}: not every figure is above nothing"
    return comparison.reason


def _decided(interval: Interval, limit: Limit) -> bool | None:
    ends = {limit.holds(interval.low), limit.holds(interval.high)}
    return ends.pop() if len(ends) == 1 else None


def _blurred(interval: Interval, drift: float) -> Interval:
    """What is left to say of it where the whole ratio may be off by so much."""
    low, high = interval.low / (1 + drift), interval.high * (1 + drift)
    return msgspec.structs.replace(interval, low=low, high=high)


def _undecided(interval: Interval, limit: Limit, drift: float) -> str:
    """How many pairs of the same spread would probably decide (in four of five repetitions), as a sentence."""
    if drift and _decided(interval, limit) is not None:
        return (
            f"the runs were made at different times, and a drift of {drift:.0%} is assumed until benchproof calibrate "
            "has measured it; or measure both as targets of one run"
        )
    half = math.log(interval.high / interval.low) / 2
    gap = abs(math.log(interval.estimate / limit.bound))
    z = statistics.NormalDist().inv_cdf((1 + interval.confidence) / 2)
    spread = half * math.sqrt(interval.n) / stats.student_t((1 + interval.confidence) / 2, interval.n - 1)
    pairs = math.ceil(1.05 * ((z + POWER_Z) * spread / gap) ** 2) if gap else math.inf
    many = f"more than {MANY_PAIRS}" if pairs > MANY_PAIRS else f"about {max(pairs, interval.n + 1):.0f}"
    return f"the interval [{interval.low:.3f}, {interval.high:.3f}] holds the limit; {many} pairs would decide"
