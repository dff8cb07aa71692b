"""How far a workload can grow: Gunther's Universal Scalability Law, fitted to wall times at several widths.

    C(N) = N / (1 + sigma (N - 1) + kappa N (N - 1))        sigma: contention, kappa: coherency, both >= 0

The time of a fixed piece of work is T(N) = T(1) / C(N), so N T(N) = T(1) + T(1) sigma (N - 1) + T(1) kappa N (N - 1) is
linear in three unknowns: the fit is exact, without a start value and without steps that might not arrive. T(1) is
fitted too: the noise of one measured point must not bend the whole curve. Fewer than four widths are refused, since
three unknowns go through any three points. Source: N. J. Gunther, Guerrilla Capacity Planning, Springer 2007, ch. 4-6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from benchproof.analysis import stats
from benchproof.analysis.stats import Interval
from benchproof.model import Frozen

LEAST_WIDTHS = 4
Errors = Literal["relative", "throughput"]

_UNKNOWNS = 3  # time at width 1; that times sigma; that times kappa
_ACTIVE = ((0, 1, 2), (0, 1), (0, 2), (0,))  # which unknowns are not zero; the best that is nowhere negative wins
_MOST_ROUNDS = 200
_SETTLED = 1e-13
_LEAST_PIVOT = 1e-12  # of columns of length 1


class Law(Frozen, frozen=True, kw_only=True):
    """The fitted law. Intervals are over blocks, absent where `absent` says why."""

    sigma: float
    kappa: float
    one: float  # the fitted time at width 1, in the unit of the times
    widths: tuple[int, ...]
    peak: float | None  # the width of the least time; None: it grows for ever, towards 1 / sigma
    sigma_interval: Interval | None = None
    kappa_interval: Interval | None = None
    absent: str = "no interval: one time a width"

    def speedup(self, width: float) -> float:
        """C(N)."""
        return width / (1 + self.sigma * (width - 1) + self.kappa * width * (width - 1))


def law(times: Mapping[int, float], *, errors: Errors = "relative") -> Law:
    """The law of one time a width. Raises ValueError with fewer than four widths.

    `errors` says what is least in sum: the squares of relative errors (the noise of timings is a share of them), or
    those of the throughput 1 / T, as published analyses and the R package `usl` have it: there, the widest count most.
    """
    _refuse(times)
    found = _solve(times, {width: 1 / (width * time) ** 2 for width, time in times.items()})
    if errors == "throughput":
        found = _by_throughput(times, found)
    one, sigma, kappa = found[0], found[1] / found[0], found[2] / found[0]
    return Law(sigma=sigma, kappa=kappa, one=one, widths=tuple(sorted(times)), peak=_peak(sigma, kappa))


def with_intervals(found: Law, blocks: Sequence[Mapping[int, float]]) -> Law:
    """The law with intervals: each block gives a law of its own, and their Hodges-Lehmann interval is that of ranks.

    A bootstrap of medians was tried: where kappa is 0, its 95 % interval of sigma held the truth in 87 % of runs of six
    blocks.
    """
    whole = [each for each in blocks if each.keys() == set(found.widths)]
    values = [value for each in whole if (value := _free(each)) is not None]
    sigma, kappa = (stats.hodges_lehmann([each[term] for each in values]) for term in (0, 1))
    if sigma is None or kappa is None or len(values) < len(whole):
        why = f"no interval: {len(values)} blocks have every width and a law of their own, needs {stats.LEAST_N}"
        return msgspec.structs.replace(found, absent=why)
    return msgspec.structs.replace(
        found, sigma_interval=_not_negative(sigma), kappa_interval=_not_negative(kappa), absent=""
    )


def _not_negative(interval: Interval) -> Interval:
    low, estimate, high = (max(0.0, each) for each in (interval.low, interval.estimate, interval.high))
    return Interval(estimate=estimate, low=low, high=high, confidence=interval.confidence, n=interval.n)


def _refuse(times: Mapping[int, float]) -> None:
    if len(times) < LEAST_WIDTHS:
        raise ValueError(f"no law: {len(times)} widths, needs {LEAST_WIDTHS}; it has three unknowns")
    if any(width < 1 or not 0 < time < math.inf for width, time in times.items()):
        raise ValueError("no law: expected widths from 1 and times that are finite and greater than 0")


def _peak(sigma: float, kappa: float) -> float | None:
    if kappa == 0:
        return None
    return max(1.0, math.sqrt(max(0.0, 1 - sigma) / kappa))


def _free(times: Mapping[int, float]) -> tuple[float, float] | None:
    """Sigma and kappa of one block, negative ones too: a bound would push their centre away from the truth."""
    weights = {width: 1 / (width * time) ** 2 for width, time in times.items()}
    found = _least_squares(times, weights, _ACTIVE[0])
    return (found[1] / found[0], found[2] / found[0]) if found and found[0] > 0 else None


def _by_throughput(times: Mapping[int, float], start: Sequence[float]) -> list[float]:
    """Least squares of 1 / T by re-weighting: where it rests, its score is that of the throughput's squares."""
    found = list(start)
    for _ in range(_MOST_ROUNDS):
        fitted = {width: _value(found, width) / width for width in times}
        again = _solve(times, {width: 1 / (width**2 * time * fitted[width] ** 3) for width, time in times.items()})
        moved = max(abs(now - before) for now, before in zip(again, found, strict=True))
        found = again
        if moved <= _SETTLED * found[0]:
            break
    return found


def _value(found: Sequence[float], width: int) -> float:
    return sum(factor * term for factor, term in zip(found, _terms(width), strict=True))


def _terms(width: int) -> tuple[float, float, float]:
    return 1.0, width - 1.0, width * (width - 1.0)


def _solve(times: Mapping[int, float], weights: Mapping[int, float]) -> list[float]:
    """The best of the solutions in which no unknown is negative: with three unknowns they can all be looked at."""
    return min(_candidates(times, weights))[1]


def _candidates(times: Mapping[int, float], weights: Mapping[int, float]) -> Iterator[tuple[float, list[float]]]:
    for active in _ACTIVE:
        found = _least_squares(times, weights, active)
        if found and min(found) >= 0 < found[0]:
            squares = (weights[width] * (width * time - _value(found, width)) ** 2 for width, time in times.items())
            yield math.fsum(squares), found


def _least_squares(
    times: Mapping[int, float], weights: Mapping[int, float], active: Sequence[int]
) -> list[float] | None:
    """All three unknowns, those that are not active as 0: the normal equations, each column scaled to length 1.

    None where the times are so far apart that two columns are one.
    """
    columns = [[math.sqrt(weights[width]) * _terms(width)[term] for width in times] for term in active]
    lengths = [math.sqrt(math.fsum(each * each for each in column)) for column in columns]
    columns = [[each / length for each in column] for column, length in zip(columns, lengths, strict=True)]
    wanted = [math.sqrt(weights[width]) * width * time for width, time in times.items()]
    matrix = [[_dot(one, other) for other in columns] + [_dot(one, wanted)] for one in columns]
    if not (solved := _eliminated(matrix)):
        return None
    found = [0.0] * _UNKNOWNS
    for term, value, length in zip(active, solved, lengths, strict=True):
        found[term] = value / length
    return found


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def _eliminated(matrix: list[list[float]]) -> list[float]:
    """Gauss and Jordan; a positive definite matrix needs no search for a pivot. Empty if it is none."""
    for pivot, row in enumerate(matrix):
        if row[pivot] < _LEAST_PIVOT:
            return []
        row[:] = [each / row[pivot] for each in row]
        for other in matrix:
            if other is not row:
                other[:] = [each - other[pivot] * of_row for each, of_row in zip(other, row, strict=True)]
    return [row[-1] for row in matrix]
