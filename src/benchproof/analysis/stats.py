"""Statistics of small samples, exact where that is cheap. One number an invocation, never inner samples."""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache

from benchproof.model import Frozen

LEAST_N = 6  # with fewer pairs no two-sided 95 % interval of ranks exists: 2 / 2**5 > 5 %
CONFIDENCE = 0.95
MAD_TO_SD = 1.4826  # of normal data
_MEAN_DEVIATION_TO_SD = 1.2533
_FAR_OUT_SD = 3.5
_LARGEST_LOGARITHM = 700.0  # beyond, no float holds the ratio
_EXACT_N = 120  # beyond, the normal approximation of the rank sum is right to 4 digits


class Interval(Frozen, frozen=True):
    """A point estimate with its confidence interval."""

    estimate: float
    low: float
    high: float
    confidence: float
    n: int


QUANTILE = "nearest rank (Hyndman and Fan, type 1): a value that was measured, never interpolated"
OUTLIER = "more than 3.5 robust SD from the median (Iglewicz and Hoaglin 1993): marked, never removed"
LEAST_OF = {"p90": 10, "p95": 20, "p99": 100, "p99.9": 1000}  # with fewer, it is the maximum renamed


class Summary(Frozen, frozen=True, kw_only=True):
    """What n values amount to, in their unit. A figure that n does not support is absent, with the reason."""

    n: int
    median: float
    min: float
    max: float
    mean: float
    sd: float | None = None  # of the values, n - 1 in the denominator
    mad: float | None = None
    cv: float | None = None  # sd / mean
    quantiles: dict[str, float]
    absent: dict[str, str]  # figure -> why it is not there
    outliers: tuple[int, ...] = ()  # which of the values, from 0; they are in every figure
    definition: str = QUANTILE
    outlier_rule: str = OUTLIER


def summary(values: Sequence[float]) -> Summary:
    """The summary of at least one value."""
    n, mean = len(values), statistics.fmean(values)
    sd = statistics.stdev(values) if n > 1 else None
    return Summary(
        n=n,
        median=median(values),
        min=min(values),
        max=max(values),
        mean=mean,
        sd=sd,
        mad=mad(values) if n > 1 else None,
        cv=sd / mean if sd is not None and mean > 0 else None,
        quantiles={name: quantile(values, name) for name, least in LEAST_OF.items() if n >= least},
        absent=dict(_absent(n, mean)),
        outliers=outliers(values),
    )


def _absent(n: int, mean: float) -> Iterator[tuple[str, str]]:
    """What is not in a summary, and why: the spread of one value is unknown, not zero."""
    if n < 2:
        yield from ((name, f"needs n >= 2, found {n}") for name in ("sd", "mad", "cv"))
    elif mean <= 0:
        yield "cv", "needs a mean above zero"
    yield from ((name, f"needs n >= {least}, found {n}") for name, least in LEAST_OF.items() if n < least)
    if n < LEAST_N:
        yield "outliers", f"needs n >= {LEAST_N}, found {n}"


def outliers(values: Sequence[float]) -> tuple[int, ...]:
    """Which of the values lie far out; none below `LEAST_N`. Where half are equal, the mean deviation is used."""
    if len(values) < LEAST_N:
        return ()
    middle = median(values)
    away = [abs(value - middle) for value in values]
    spread = median(away) * MAD_TO_SD or statistics.fmean(away) * _MEAN_DEVIATION_TO_SD
    return tuple(index for index, distance in enumerate(away) if distance > _FAR_OUT_SD * spread)


def quantile(values: Sequence[float], name: str) -> float:
    """`p95` and the like by nearest rank. Raises ValueError where there are too few values."""
    if len(values) < LEAST_OF[name]:
        raise ValueError(f"too few samples: {name} needs {LEAST_OF[name]}, found {len(values)}")
    rank = math.ceil(Decimal(name.removeprefix("p")) * len(values) / 100)
    return sorted(values)[rank - 1]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    return statistics.median(values)


def hodges_lehmann(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """The median of all Walsh averages, with the interval from inverting the exact Wilcoxon signed-rank test.

    None below `LEAST_N` values. Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.2 and 3.3.
    """
    n = len(values)
    rank = _critical_rank(n, confidence)
    if n < LEAST_N or rank is None:
        return None
    walsh = walsh_averages(values)
    return Interval(estimate=median(walsh), low=walsh[rank], high=walsh[-1 - rank], confidence=confidence, n=n)


def walsh_averages(values: Sequence[float]) -> list[float]:
    """The means of all pairs, each value with itself too, in ascending order."""
    rising = sorted(values)  # whose rows are in order already: half the time
    return sorted([(low + high) / 2 for i, low in enumerate(rising) for high in rising[i:]])


def wilcoxon_p(values: Sequence[float], *, above: float) -> float:
    """One-sided p of the signed-rank test of "the centre is at most `above`"; what equals `above` speaks for it.

    The dual of the interval: `hodges_lehmann(...).low > above` exactly where this is within its tail.
    """
    return wilcoxon_tail(walsh_averages(values), len(values), above=above)


def wilcoxon_tail(walsh: Sequence[float], n: int, *, above: float) -> float:
    """The same from the ascending Walsh averages of n values."""
    return _cumulative(n)[bisect_right(walsh, above)] if n else 1.0


@cache
def _critical_rank(n: int, confidence: float) -> int | None:
    """How many Walsh averages may be cut off at each end; None if not even the extremes give the confidence."""
    rank = bisect_right(_cumulative(n), (1 - confidence) / 2 * (1 + 1e-12)) - 1
    return rank if rank >= 0 else None


@cache
def _cumulative(n: int) -> list[float]:
    """P(rank sum <= 0, 1, 2, ...) where each of n ranks is positive with probability 1/2; exact up to rounding."""
    if n > _EXACT_N:
        return _approximated(n)
    chances = [1.0]
    for rank in range(1, n + 1):
        chances = [
            (chances[total] if total < len(chances) else 0.0) / 2
            + (chances[total - rank] if total >= rank else 0.0) / 2
            for total in range(len(chances) + rank)
        ]
    return list(itertools.accumulate(chances))


def _approximated(n: int) -> list[float]:
    """By the normal distribution, with the correction for continuity."""
    mean, sd = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    normal = statistics.NormalDist(mean, sd)
    return [normal.cdf(total + 0.5) for total in range(n * (n + 1) // 2 + 1)]


def ratio(base: Sequence[float], new: Sequence[float]) -> Interval | None:
    """`new / base` of pairs, as the Hodges-Lehmann estimate on logarithms. None if any value is not positive."""
    if any(value <= 0 for value in (*base, *new)):
        return None
    return exponential(
        hodges_lehmann([math.log(after) - math.log(before) for before, after in zip(base, new, strict=True)])
    )


def exponential(shift: Interval | None) -> Interval | None:
    """An interval of logarithms as one of ratios."""
    if shift is None or max(abs(shift.low), abs(shift.high)) > _LARGEST_LOGARITHM:
        return None
    low, estimate, high = map(math.exp, (shift.low, shift.estimate, shift.high))
    return Interval(estimate=estimate, low=low, high=high, confidence=shift.confidence, n=shift.n)


def mad(values: Sequence[float]) -> float:
    """Median absolute deviation from the median; times `MAD_TO_SD`, an estimate of the SD of normal data."""
    middle = median(values)
    return median([abs(value - middle) for value in values])


def student_t(chance: float, freedom: int) -> float:
    """The quantile of Student's t; right to 4 digits from 9 degrees of freedom on (Abramowitz and Stegun, 26.7.5)."""
    z = statistics.NormalDist().inv_cdf(chance)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))
