"""How sure is a success rate? The exact interval of a share of n independent trials.

The interval inverts the binomial test itself, so no count of trials is too small and no rate too near to 1: of 30
trials that all succeeded it says 0.884 to 1, where the usual approximation says 1 to 1. Operations that fail for one
common reason are not independent: then the interval is too narrow, and whoever shows it has to say so.

Source: Clopper and Pearson, Biometrika 26 (1934), 404-413. The beta function by its continued fraction, evaluated by
Lentz's method: Press et al., Numerical Recipes, 6.4.
"""

from __future__ import annotations

import math

from benchproof.analysis.stats import CONFIDENCE, Interval

_MOST_STEPS = 10_000  # of the continued fraction; it needs about sqrt(n)
_SETTLED = 1e-15
_TINY = 1e-300
_HALVINGS = 60  # of the unit interval: more than a float resolves


def interval(successes: int, trials: int, *, confidence: float = CONFIDENCE) -> Interval | None:
    """Of the chance of a success, equal tails; None without a trial. Raises ValueError for counts that cannot be."""
    if not 0 <= successes <= trials:
        raise ValueError(f"expected up to {trials} successes, found {successes}")
    if trials == 0:
        return None
    tail = (1 - confidence) / 2
    failures = trials - successes
    return Interval(
        estimate=successes / trials,
        low=_quantile(tail, successes, failures + 1) if successes else 0.0,
        high=1 - _quantile(tail, failures, successes + 1) if failures else 1.0,
        confidence=confidence,
        n=trials,
    )


def at_least(successes: int, trials: int, chance: float) -> float:
    """The chance of so many successes or more, each of `trials` having the chance given."""
    return _beta_share(chance, successes, trials - successes + 1) if successes else 1.0


def _quantile(probability: float, a: int, b: int) -> float:
    """Of the beta distribution, by halving: it rises from 0 to 1."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_share(middle, a, b) < probability else (low, middle)
    return (low + high) / 2


def _beta_share(x: float, a: int, b: int) -> float:
    """The regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # there the fraction of the other side converges sooner
        return 1 - _beta_share(1 - x, b, a)
    constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(constant + a * math.log(x) + b * math.log1p(-x)) * _fraction(x, a, b) / a


def _fraction(x: float, a: int, b: int) -> float:
    """The continued fraction behind it. Raises ArithmeticError where it does not settle."""
    upper = 1.0
    lower = value = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    for m in range(1, _MOST_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            lower = 1 / _not_zero(1 + term * lower)
            upper = _not_zero(1 + term / upper)
            value *= upper * lower
        if abs(upper * lower - 1) < _SETTLED:
            return value
    raise ArithmeticError(f"the beta function of {a} and {b} at {x} did not settle in {_MOST_STEPS} steps")


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
