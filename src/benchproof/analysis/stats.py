"""Statistics of small samples, exact where that is cheap. One number an invocation, never inner samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache

from benchproof.model import Frozen

LEAST_N = 6  # with fewer pairs no two-sided 95 % interval of ranks exists: 2 / 2**5 > 5 %
CONFIDENCE = 0.95


class Interval(Frozen, frozen=True):
    """A point estimate with its confidence interval."""

    estimate: float
    low: float
    high: float
    confidence: float
    n: int


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
    walsh = sorted((values[i] + values[j]) / 2 for i in range(n) for j in range(i, n))
    return Interval(estimate=median(walsh), low=walsh[rank], high=walsh[-1 - rank], confidence=confidence, n=n)


@cache
def _critical_rank(n: int, confidence: float) -> int | None:
    """How many Walsh averages may be cut off at each end; None if not even the extremes give the confidence."""
    tail = (1 - confidence) / 2 * 2**n
    below = 0
    for rank, count in enumerate(_rank_sum_counts(n)):
        below += count
        if below > tail:
            return rank - 1 if rank else None
    return None


def _rank_sum_counts(n: int) -> list[int]:
    """In how many of the 2**n sign patterns the positive ranks sum up to 0, 1, 2, ..."""
    counts = [1]
    for rank in range(1, n + 1):
        longer = counts + [0] * rank
        for total, count in enumerate(counts):
            longer[total + rank] += count
        counts = longer
    return counts


def ratio(base: Sequence[float], new: Sequence[float]) -> Interval | None:
    """`new / base` of pairs, as the Hodges-Lehmann estimate on logarithms. None if any value is not positive."""
    if any(value <= 0 for value in (*base, *new)):
        return None
    shift = hodges_lehmann([math.log(after / before) for before, after in zip(base, new, strict=True)])
    if shift is None:
        return None
    low, estimate, high = map(math.exp, (shift.low, shift.estimate, shift.high))
    return Interval(estimate=estimate, low=low, high=high, confidence=shift.confidence, n=shift.n)


def mad(values: Sequence[float]) -> float:
    """Median absolute deviation from the median; multiply by 1.4826 for an estimate of the SD of normal data."""
    middle = median(values)
    return median([abs(value - middle) for value in values])
