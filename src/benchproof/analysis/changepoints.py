"""Where the level of a series changes: optimal partitioning of clipped values, many series at once. Needs numpy.

What other tools take for a change is often one wild run, a slow wander of the machine, or a tail. So values are first
clipped around a running median, the penalty is in units of the long-run SD (neighbours in time resemble each other),
and what the partitioning proposes must also pass a test of its own. It refuses to see a change in a single point.

Sources: Jackson et al. 2005 (optimal partitioning); Fearnhead & Rigaill 2019 (bounded loss against outliers);
Lavielle & Moulines 2000 (a penalty in units of the long-run variance).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchproof.analysis.trend import CONFIRMED_POINTS, Shift
from benchproof.model import Frozen

Floats = NDArray[np.float64]

_WINDOW, _HALF = 9, 4  # runs
_CLIP_SD = 2.5
_JUMP_SD = 5.0  # a difference of neighbours beyond it tells of a step, not of noise
_MAX_AUTOCORRELATION = 0.9
_PENALTY = 4.0  # x long-run variance x ln n, a change
_T_LIMIT = 4.0
_LEAST_SEGMENT = 2
_OWN_VARIANCE_FROM = CONFIRMED_POINTS  # points; a shorter level has the variance of the whole series
_QUIET_SHARE = 0.95
_RESOLUTION = 1e-6  # of the level: smaller differences are none, even without any noise
_MAD_TO_SD, _MEAN_TO_SD = 1.4826, 1.2533
_BATCH = 64  # series whose tables stay in a CPU's cache together
# Devillard's network: after these exchanges the fifth of nine is their median
_NETWORK = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


class Prepared(Frozen, frozen=True):
    """A series without its outliers, and its noise."""

    values: Floats  # clipped
    variance: float  # of one point
    long_run: float  # variance that a mean of many points seems to come from


def find(series: Sequence[Sequence[float]], deltas: Sequence[float]) -> list[tuple[Shift, ...]]:
    """The shifts of each series of 9 values or more. `deltas`: the least relative size that counts, of each."""
    prepared = _prepare(series)
    order = sorted(range(len(series)), key=lambda number: len(series[number]))  # so that a batch needs little padding
    found: list[tuple[Shift, ...]] = [()] * len(series)
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        for number, cuts in zip(batch, _partition([prepared[number] for number in batch]), strict=True):
            found[number] = _merge(prepared[number], cuts, deltas[number])
    return found


# ---- outliers and noise ----


def _prepare(series: Sequence[Sequence[float]]) -> list[Prepared]:
    """Series of one length together."""
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for number, values in enumerate(series):
        by_length[len(values)].append(number)
    found: dict[int, Prepared] = {}
    for numbers in by_length.values():
        raw = np.array([series[number] for number in numbers], dtype=np.float64)
        clipped, spread = _clip(raw)
        variance, long_run = _noise(clipped, spread, _RESOLUTION * np.abs(raw).max(axis=1))
        found |= {
            number: Prepared(clipped[i], float(variance[i]), float(long_run[i])) for i, number in enumerate(numbers)
        }
    return [found[number] for number in range(len(series))]


def _clip(raw: Floats) -> tuple[Floats, Floats]:
    """Each row held within 2.5 robust SD of its running median; and that SD."""
    centre = _running_median(raw)
    spread = _robust_sd(np.abs(raw - centre))
    reach = _CLIP_SD * spread[:, None]
    return np.clip(raw, centre - reach, centre + reach), spread


def _running_median(raw: Floats) -> Floats:
    """Over 9 runs; over fewer towards both ends."""
    n = raw.shape[1]
    centre = np.empty_like(raw)
    centre[:, _HALF : n - _HALF] = _median_of_nine([raw[:, i : n - _WINDOW + 1 + i] for i in range(_WINDOW)])
    for i in range(_HALF):
        centre[:, i] = np.median(raw[:, : i + _HALF + 1], axis=1)
    for half in (3, 2):
        at = n - 1 - half
        centre[:, at] = np.median(raw[:, at - half :], axis=1)
    centre[:, n - 2 :] = _newest(raw)[:, None]
    return centre


def _median_of_nine(columns: list[Floats]) -> Floats:
    for low, high in _NETWORK:
        columns[low], columns[high] = (
            np.minimum(columns[low], columns[high]),
            np.maximum(columns[low], columns[high]),
        )
    return columns[4]


def _newest(raw: Floats) -> Floats:
    """The centre of the last two runs: as far from the median before as both agree, so that one alone moves nothing."""
    base = np.median(raw[:, -_WINDOW:], axis=1)
    away = raw[:, -2:] - base[:, None]
    agree = away[:, 0] * away[:, 1] > 0
    return base + np.where(agree, np.sign(away[:, 0]) * np.abs(away).min(axis=1), 0.0)


def _robust_sd(deviations: Floats) -> Floats:
    """Of each row: by the median; where most of them are 0, by the mean without the largest 5 %."""
    by_median = _MAD_TO_SD * np.median(deviations, axis=1)
    if by_median.all():
        return by_median
    quiet = max(1, int(deviations.shape[1] * _QUIET_SHARE))
    by_mean = _MEAN_TO_SD * np.sort(deviations, axis=1)[:, :quiet].mean(axis=1)
    return np.where(by_median > 0, by_median, by_mean)


def _noise(values: Floats, spread: Floats, floor: Floats) -> tuple[Floats, Floats]:
    """Variance and long-run variance of an AR(1) process with these differences of neighbours; steps hardly count.

    With variance v and autocorrelation r, neighbours differ with variance 2v(1 - r), next neighbours with 2v(1 - r^2).
    """
    limit = (_JUMP_SD * spread[:, None]) ** 2
    near = np.minimum(np.diff(values, axis=1) ** 2, limit).mean(axis=1)
    far = np.minimum((values[:, 2:] - values[:, :-2]) ** 2, limit).mean(axis=1)
    near = np.maximum(near, np.maximum(floor, np.finfo(np.float64).tiny ** 0.25) ** 2)
    correlation = np.clip(far / near - 1, 0.0, _MAX_AUTOCORRELATION)
    variance = near / (2 * (1 - correlation))
    return variance, variance * (1 + correlation) / (1 - correlation)


# ---- the best places, if any ----


def _partition(batch: Sequence[Prepared]) -> list[list[int]]:
    """The places of new levels that make squared error plus penalty least, of each series.

    With c the running sum, least[t] = min over s of least[s] - (c[s] - c[t])^2 / (t - s) + penalty; the sum of squares
    is the same for all partitions and left out. A row of a table is a time, so that a step touches whole rows.
    """
    n, width = max(len(each.values) for each in batch), len(batch)
    sums = np.zeros((n + 1, width))
    for column, each in enumerate(batch):
        scaled = (each.values - np.median(each.values)) / math.sqrt(each.long_run)
        sums[1 : len(scaled) + 1, column] = np.cumsum(scaled)
    penalty = np.array([_PENALTY * math.log(len(each.values)) for each in batch])
    shares = np.repeat(1 / np.arange(n, 0, -1, dtype=np.float64)[:, None], width, axis=1)
    least = np.full((n + 1, width), np.inf)
    least[0] = -penalty
    costs = np.empty((n, width))
    for t in range(_LEAST_SEGMENT, n + 1):
        count = t - _LEAST_SEGMENT + 1
        row = costs[:count]
        np.subtract(sums[:count], sums[t], out=row)
        np.multiply(row, row, out=row)
        np.multiply(row, shares[n - t : n - t + count], out=row)
        np.subtract(least[:count], row, out=row)
        np.minimum.reduce(row, axis=0, out=least[t])
        least[t] += penalty
    return [_walk_back(sums[:, i], least[:, i], len(each.values)) for i, each in enumerate(batch)]


def _walk_back(sums: Floats, least: Floats, n: int) -> list[int]:
    """The places, from the last to the first, in order."""
    cuts: list[int] = []
    t = n
    while t > 0:
        count = t - _LEAST_SEGMENT + 1
        lengths = np.arange(t, t - count, -1)
        t = int(np.argmin(least[:count] - (sums[:count] - sums[t]) ** 2 / lengths))
        cuts.append(t)
    return cuts[-2::-1]  # without the 0 at the end of the way


# ---- the test of what was proposed ----


def _merge(series: Prepared, cuts: Sequence[int], delta: float) -> tuple[Shift, ...]:
    """Neighbours that do not differ enough become one level, the least different first, until all that are left do."""
    edges = [0, *cuts, len(series.values)]
    while len(edges) > 2:
        shifts = [_shift(series, *edges[i - 1 : i + 2]) for i in range(1, len(edges) - 1)]
        doubtful = [(_t(shift), i) for i, shift in enumerate(shifts, start=1) if not _counts(shift, delta)]
        if not doubtful:
            return tuple(shifts)
        del edges[min(doubtful)[1]]
    return ()


def _counts(shift: Shift, delta: float) -> bool:
    return _t(shift) > _T_LIMIT and abs(shift.new_level - shift.old_level) >= delta * abs(shift.old_level)


def _t(shift: Shift) -> float:
    return abs(shift.new_level - shift.old_level) / shift.error


def _shift(series: Prepared, start: int, place: int, end: int) -> Shift:
    """Welch's standard error, from long-run variances."""
    old, new = series.values[start:place], series.values[place:end]
    correlated = series.long_run / series.variance
    error = math.sqrt(correlated * sum(_variance(series, part) / len(part) for part in (old, new)))
    return Shift(place=place, old_level=float(old.mean()), new_level=float(new.mean()), points=end - place, error=error)


def _variance(series: Prepared, part: Floats) -> float:
    return max(float(part.var(ddof=1)), _floor(part)) if len(part) >= _OWN_VARIANCE_FROM else series.variance


def _floor(part: Floats) -> float:
    """A level without noise still has no more digits than this."""
    return float(max((_RESOLUTION * np.abs(part).max()) ** 2, np.finfo(np.float64).tiny ** 0.5))
