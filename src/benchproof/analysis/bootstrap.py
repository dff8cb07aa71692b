"""Intervals of means by resampling, for the two questions that ranks do not answer: a mean, and a nested design.

What is resampled is the unit that was drawn independently, never a sample inside of it: thirty samples of one process
share its luck, and drawing among them would count that luck thirty times. Medians and quantiles are not resampled
either; their intervals are exact, in `quantiles`, and those of pairs in `stats.hodges_lehmann`.

Which interval: percentiles of the resampled means. From `LEAST_N_BCA` values on, where their skewness is more than
twice its standard error, the bias-corrected and accelerated interval (BCa; Efron 1987), which moves both limits towards
the longer tail; below, skewness cannot be estimated well enough for it. Both are widened to the quantile of Student's t
and by sqrt(n / (n - 1)) (Hesterberg 2015, "expanded"): without, the mean of ten normal values is covered 90 times in
100 for 95.

Nothing is offered where the coverage measured in `benchmarks/coverage.py` is less than 93 % for 95 %. A mean whose
value hangs on events that are rarer than one in ten is beyond any resampling: what was not seen cannot be drawn.

Needs numpy (the extra `history`), and is therefore imported by those who ask for an interval and by nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchproof.analysis import stats
from benchproof.analysis.stats import CONFIDENCE, Interval
from benchproof.model import Frozen

Numbers = NDArray[np.float64]
Method = Literal["percentile", "BCa"]
Over = Literal["these runs", "runs like these"]

RESAMPLES = 4000
SEED = 20171  # any: that it is fixed makes an interval reproducible
LEAST_N = 30
LEAST_N_BCA = 40
LEAST_RUNS = 12
LEAST_IN_RUN = 5
_AT_ONCE = 2_000_000  # numbers that are drawn at a time
_NORMAL = NormalDist()


class Resampled(Frozen, frozen=True, kw_only=True):
    """An interval and how it came about, or the reason why there is none."""

    interval: Interval | None
    resampled: str  # the units that were drawn, and what was taken along whole
    method: Method | None = None
    seed: int = SEED
    resamples: int = RESAMPLES
    reason: str = ""


class _Drawn(Frozen, frozen=True, kw_only=True):
    """What the limits are computed from. `pull`: how much each unit moves the estimate, around 0."""

    estimate: float
    again: Numbers  # the estimate from each resample
    pull: Numbers
    strata: int = 1  # parts that were each resampled by themselves


def mean(
    values: Sequence[float], *, confidence: float = CONFIDENCE, seed: int = SEED, resamples: int = RESAMPLES
) -> Resampled:
    """Of the mean of independent values, one an invocation."""
    about = Resampled(interval=None, resampled="values", seed=seed, resamples=resamples)
    if len(values) < LEAST_N:
        return _absent(about, f"a bootstrap interval of a mean needs n >= {LEAST_N}, found {len(values)}")
    column = np.asarray(values, dtype=float)
    middle = float(column.mean())
    drawn = _Drawn(estimate=middle, again=_means(column[:, None], about)[:, 0], pull=column - middle)
    return _present(about, drawn, confidence)


def ratio_of_means(
    base: Sequence[float],
    new: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> Resampled:
    """`mean(new) / mean(base)` of pairs: what counts where costs add up. Raises ValueError unless all are positive."""
    about = Resampled(interval=None, resampled="pairs", seed=seed, resamples=resamples)
    if any(value <= 0 for value in (*base, *new)):
        raise ValueError("a ratio of means needs positive values")
    if len(base) < LEAST_N:
        return _absent(about, f"a bootstrap interval of a ratio of means needs {LEAST_N} pairs, found {len(base)}")
    columns = np.column_stack([np.asarray(side, dtype=float) for side in (base, new)])
    below, above = columns.mean(axis=0)
    means = _means(columns, about)
    drawn = _Drawn(
        estimate=float(above / below),
        again=means[:, 1] / means[:, 0],
        pull=columns[:, 1] - above / below * columns[:, 0],
    )
    return _present(about, drawn, confidence)


def nested(
    runs: Sequence[Sequence[float]],
    *,
    over: Over,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> Resampled:
    """The mean over runs (machines, boots) of the means of their values, one difference of a pair each.

    `over` says what is concluded for. `these runs`: no other than those that were made; values are drawn within each of
    them. `runs like these`: the runs are drawn, each with all its values, since what is drawn below the top level is
    already in the spread of the top (Davison and Hinkley 1997, 3.8); that needs runs, and more values do not replace
    them. A difference of a pair has a symmetric distribution, which is why fewer will do than for `mean`.
    """
    whole = over == "runs like these"
    units = "runs, each with all its values" if whole else "values within each run"
    about = Resampled(interval=None, resampled=units, seed=seed, resamples=resamples)
    reason = _too_few(runs, whole=whole)
    if reason:
        return _absent(about, reason)
    columns = [np.asarray(run, dtype=float) for run in runs]
    drawn = _runs(columns, about) if whole else _within(columns, about)
    return _present(about, drawn, confidence)


def _too_few(runs: Sequence[Sequence[float]], *, whole: bool) -> str:
    """Why there is no interval; empty if there is one."""
    if not all(runs):
        return "a run has no value"
    if whole:
        few = len(runs) < LEAST_RUNS
        return f"to speak of other runs needs {LEAST_RUNS} of them, found {len(runs)}" if few else ""
    total, least = sum(map(len, runs)), min(map(len, runs), default=0)
    if total < LEAST_N or least < LEAST_IN_RUN:
        return f"needs {LEAST_N} values, {LEAST_IN_RUN} in each run; found {total}, {least} in the shortest run"
    return ""


def _runs(columns: Sequence[Numbers], about: Resampled) -> _Drawn:
    middles = np.asarray([column.mean() for column in columns])
    middle = float(middles.mean())
    return _Drawn(estimate=middle, again=_means(middles[:, None], about)[:, 0], pull=middles - middle)


def _within(columns: Sequence[Numbers], about: Resampled) -> _Drawn:
    again = [_means(column[:, None], about, stratum)[:, 0] for stratum, column in enumerate(columns)]
    return _Drawn(
        estimate=float(np.mean([column.mean() for column in columns])),
        again=np.mean(again, axis=0),
        pull=np.concatenate([(column - column.mean()) / len(column) for column in columns]),
        strata=len(columns),
    )


def _means(columns: Numbers, about: Resampled, stratum: int = 0) -> Numbers:
    """The column means of every resample of the rows."""
    chance = np.random.default_rng((about.seed, stratum))
    n = len(columns)
    step = max(1, _AT_ONCE // columns.size)
    parts = [
        columns[chance.integers(0, n, (min(step, about.resamples - done), n))].mean(axis=1)
        for done in range(0, about.resamples, step)
    ]
    return np.concatenate(parts)


def _absent(about: Resampled, reason: str) -> Resampled:
    return Resampled(
        interval=None, resampled=about.resampled, seed=about.seed, resamples=about.resamples, reason=reason
    )


def _present(about: Resampled, drawn: _Drawn, confidence: float) -> Resampled:
    """The limits, by the method that the data ask for."""
    ordered, n = np.sort(drawn.again), len(drawn.pull)
    z = _expanded_z(n, drawn.strata, confidence)
    skewness = _skewness(drawn.pull)
    method: Method = "BCa" if n >= LEAST_N_BCA and abs(skewness) > 2 * math.sqrt(6 / n) else "percentile"
    shift = _corrected(drawn, skewness / (6 * math.sqrt(n))) if method == "BCa" else float
    low, high = (float(_at(ordered, _NORMAL.cdf(shift(each)))) for each in (-z, z))
    interval = Interval(estimate=drawn.estimate, low=low, high=high, confidence=confidence, n=n)
    return Resampled(
        interval=interval, resampled=about.resampled, method=method, seed=about.seed, resamples=about.resamples
    )


def _corrected(drawn: _Drawn, acceleration: float) -> Callable[[float], float]:
    """From a limit in normal units to the one to be read instead: Efron and Tibshirani 1993, chapter 14."""
    resamples = len(drawn.again)
    less = np.count_nonzero(drawn.again < drawn.estimate) + np.count_nonzero(drawn.again == drawn.estimate) / 2
    bias = _NORMAL.inv_cdf(min(max(less / resamples, 1 / resamples), 1 - 1 / resamples))

    def shift(z: float) -> float:
        room = 1 - acceleration * (bias + z)
        return bias + (bias + z) / room if room > 0 else math.copysign(math.inf, bias + z)

    return shift


def _expanded_z(n: int, strata: int, confidence: float) -> float:
    """In normal units, how far a limit is out: the quantile of t, and the n where n - 1 belongs."""
    freedom = n - strata
    return math.sqrt(n / freedom) * stats.student_t((1 + confidence) / 2, freedom)


def _skewness(pull: Numbers) -> float:
    squares, cubes = float((pull**2).mean()), float((pull**3).mean())
    return cubes / squares / math.sqrt(squares) if squares else 0.0


def _at(ordered: Numbers, chance: float) -> float:
    """The resampled estimate of that rank."""
    rank = math.ceil(chance * len(ordered))
    return float(ordered[min(max(rank, 1), len(ordered)) - 1])
