"""Where a quantile of a population lies, by order statistics: exact for any distribution, conservative under ties.

The limits are values that were measured. Equal tails: each side is missed with at most half of what is left to chance,
so a limit may be read alone. Because ranks are whole, the true confidence of small samples lies above the stated one.
The values must be independent: those of invocations, or of one invocation whose samples are. Samples of many
invocations in one heap are not, and their interval would be too narrow.

Sources: Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.6; Hahn and Meeker, Statistical Intervals,
5.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache

from benchproof.analysis import stats
from benchproof.analysis.stats import CONFIDENCE, Interval

_ROUNDING = 1 + 1e-9  # 1 - 0.95 is a little more than a twentieth


def interval(values: Sequence[float], name: str, *, confidence: float = CONFIDENCE) -> Interval | None:
    """Of the quantile `p95` and the like; None below `least_n` values: there the upper limit is beyond all of them."""
    return _between(values, name, confidence, estimate=lambda: stats.quantile(values, name))


def median(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """Of the median, from inverting the sign test: asks for no symmetry, and bears any number of ties."""
    return _between(values, "p50", confidence, estimate=lambda: stats.median(values))


@cache
def least_n(name: str, *, confidence: float = CONFIDENCE) -> int:
    """The fewest values with an interval of the quantile: neither limit lies beyond the extremes."""
    share = _share(name)
    tail = (1 - confidence) / 2 * _ROUNDING
    return max(math.ceil(math.log(tail) / math.log(max(share, 1 - share))), stats.LEAST_OF.get(name, 1))


def intervals(values: Sequence[float]) -> dict[str, Interval]:
    """Of the median and of each quantile that so many values support."""
    found = {"median": median(values)} | {name: interval(values, name) for name in stats.LEAST_OF}
    return {name: each for name, each in found.items() if each is not None}


def why_none(n: int, name: str, *, confidence: float = CONFIDENCE) -> str:
    """The reason to be told where there is no interval."""
    return f"{name}: an interval at {confidence:.4g} needs n >= {least_n(name, confidence=confidence)}, found {n}"


def _between(values: Sequence[float], name: str, confidence: float, estimate: Callable[[], float]) -> Interval | None:
    n = len(values)
    if n < least_n(name, confidence=confidence):
        return None
    ordered, (low, high) = sorted(values), _ranks(n, _share(name), confidence)
    return Interval(estimate=estimate(), low=ordered[low - 1], high=ordered[high - 1], confidence=confidence, n=n)


def _share(name: str) -> float:
    return float(Decimal(name.removeprefix("p")) / 100)


@cache
def _ranks(n: int, share: float, confidence: float) -> tuple[int, int]:
    """From 1: the greatest lower and the smallest upper rank that each miss with at most half the rest.

    The value of rank r lies above the quantile if fewer than r values lie at or below it, and those are binomial.
    """
    tail = (1 - confidence) / 2 * _ROUNDING
    return _rank_below(n, share, tail), n + 1 - _rank_below(n, 1 - share, tail)


def _rank_below(n: int, share: float, tail: float) -> int:
    """The greatest r with P(fewer than r of n, each with chance `share`) <= tail."""
    constant = math.lgamma(n + 1)
    below = 0.0
    for count in range(n + 1):
        rest = n - count
        logarithm = constant - math.lgamma(count + 1) - math.lgamma(rest + 1)
        below += math.exp(logarithm + count * math.log(share) + rest * math.log1p(-share))
        if below > tail:
            return count
    return n
