"""Does something grow with use? The slope of what was looked at again and again, with its interval: a leak or none.

The estimate is the median of the slopes of all pairs of points, which a few jumps do not move (Theil 1950, Sen 1968);
the interval comes from Kendall's exact distribution and asks for no shape of the noise, only that it is independent
from point to point. It refuses to call something flat because nothing was found: flat is an interval that lies below
a growth that is stated, and what is neither is undecided.

Source: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 9.2 and 9.3.
"""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from typing import Literal

from benchproof.analysis import stats
from benchproof.analysis.stats import CONFIDENCE, Interval

LEAST_N = 5  # with 4 points no two-sided 95 % interval exists: 2 / 4! > 5 %
_EXACT_N = 60  # beyond, the normal approximation of the inversions is right to 3 digits
_ROUNDING = 1 + 1e-9

Growth = Literal["grows", "flat", "undecided"]


def slope(xs: Sequence[float], ys: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """Of y per unit of x; None where so few points, or points at so few places, give no interval."""
    points = sorted(zip(xs, ys, strict=True))
    slopes = sorted((b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2) if b[0] > a[0])
    n = len({x for x, _ in points})
    rank = bisect_right(_inversions(n), (1 - confidence) / 2 * _ROUNDING) - 1
    if n < LEAST_N or n < len(points) or rank < 0:
        return None
    return Interval(estimate=stats.median(slopes), low=slopes[rank], high=slopes[-1 - rank], confidence=confidence, n=n)


def verdict(found: Interval | None, *, tolerance: float) -> Growth:
    """`tolerance`: the growth per unit of x that still counts as none; not negative."""
    if found is None:
        return "undecided"
    if found.low > tolerance:
        return "grows"
    return "flat" if found.high <= tolerance else "undecided"


@cache
def _inversions(n: int) -> list[float]:
    """P(at most 0, 1, 2, ... of the pairs of n points are out of order) where the order is by chance."""
    if n > _EXACT_N:
        return _approximated(n)
    chances = [1.0]
    for places in range(2, n + 1):  # the point put in last passes 0 to places - 1 of the others, each equally likely
        sums = [0.0, *itertools.accumulate(chances)]
        top = len(sums) - 1
        chances = [
            (sums[min(total + 1, top)] - sums[max(0, total + 1 - places)]) / places for total in range(top + places - 1)
        ]
    return list(itertools.accumulate(chances))


def _approximated(n: int) -> list[float]:
    """By the normal distribution, with the correction for continuity."""
    pairs = n * (n - 1) // 2
    normal = statistics.NormalDist(pairs / 2, math.sqrt(n * (n - 1) * (2 * n + 5) / 72))
    return [normal.cdf(total + 0.5) for total in range(pairs + 1)]
