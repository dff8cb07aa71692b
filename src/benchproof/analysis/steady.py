"""Whether the samples of one invocation had reached a steady state, and from which sample on.

After Barrett et al., Virtual Machine Warmup Blows Hot and Cold (OOPSLA 2017): change points part the samples of an
invocation into segments, and each segment is held against the last one. Their series have 2,000 iterations, ours often
40, so the parts are chosen for short series:

- Segments come from optimal partitioning (Jackson et al. 2005) of the normal scores of the ranks, not of the times. For
  samples that are merely noisy the scores are a random permutation of known numbers whatever the noise, so the penalty
  means the same for normal, skewed, bimodal and tied data, and an outlier is one high rank among others.
- A segment differs from the last one if nine in ten of its samples do, if its mean is off by several times the noise
  within segments, and by a share that could matter to a verdict at all.
- What leaves the last level and comes back to it is a disturbance and no state; it is borne where it is short.

Changes of the spread alone are not looked for: they move no median. Fewer than three slow samples at the start are not
told from outliers, and they too move no median. Levels that change places every dozen samples are noise with two modes
to it, and a slow drift over 20 samples is noise that is correlated. Below `LEAST_SAMPLES` nothing is said. Nothing is
ever removed here.
"""

from __future__ import annotations

import itertools
import math
import statistics
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Literal

from benchproof.analysis import stats
from benchproof.model import Better, Frozen

Kind = Literal["flat", "warm-up", "slow-down", "no steady state", "too short"]
Relation = Literal["same", "slower", "faster"]

_UNTOLD_SHARE = 1 / 4
LEAST_SAMPLES = 20  # with fewer, correlated noise and a warm-up cannot be told apart
LEAST_SHARE = 0.25  # of the samples, for the steady part: 500 of 2,000 in the paper
DISTURBED_SHARE = 0.25  # of the samples may leave the level and come back to it
_LEAST_SEGMENT = 3
_PENALTY = 2.5  # times ln n, per change of the mean of scores whose variance is 1
_SEPARATION = 0.9  # the chance that a sample of the one exceeds a sample of the other
_LEAST_DIFFERENCE = 0.005  # a quarter of the smallest difference that is a verdict
_MOST_POINTS = 400  # of one partitioning, which is quadratic; longer series are thinned to medians of neighbours


class Segment(Frozen, frozen=True):
    """The samples from `start` up to, not with, `stop`, and what they are to those of the last segment."""

    start: int
    stop: int
    mean: float
    relation: Relation


class Steady(Frozen, frozen=True, kw_only=True):
    """What one invocation did. `counts_from`: the first sample that counts, above 0 only after a warm-up."""

    kind: Kind
    samples: int
    counts_from: int = 0
    segments: tuple[Segment, ...] = ()  # empty where there is one level only, or too little to tell


class Together(Frozen, frozen=True, kw_only=True):
    """What the invocations of one case did: the kind of all of them, else `inconsistent`."""

    kind: Kind | Literal["inconsistent"]
    invocations: dict[Kind, int]
    left_out: int  # samples of warm-ups
    samples: int


def together(found: Iterable[Steady]) -> Together:
    """Of at least one invocation. Flat ones and such that warm up are inconsistent too, as in the paper."""
    each = list(found)
    kinds = Counter(one.kind for one in each)
    return Together(
        kind=each[0].kind if len(kinds) == 1 else "inconsistent",
        invocations=dict(sorted(kinds.items())),
        left_out=sum(one.counts_from for one in each),
        samples=sum(one.samples for one in each),
    )


def notes(found: Together) -> tuple[str, ...]:
    """What a reader of the number must know; nothing of a kind that at most a quarter of the invocations are."""
    many = sum(found.invocations.values())
    words: dict[Kind, str] = {
        "warm-up": f"were still warming up: {found.left_out} of {found.samples} samples are left out",
        "slow-down": "slowed down: all samples count",
        "no steady state": "reached no steady state: all samples count",
    }
    told = [
        (count, text)
        for kind, text in words.items()
        if (count := found.invocations.get(kind, 0)) > many * _UNTOLD_SHARE
    ]
    return tuple(f"{count} of {many} invocation{'s' if many > 1 else ''} {text}" for count, text in told)


def classify(samples: Sequence[float], *, better: Better = "lower") -> Steady:
    """One invocation, its samples in the order in which they were taken."""
    return _classified(tuple(samples), better)


@lru_cache(maxsize=4096)  # a report asks for a cell's samples again with every comparison
def _classified(samples: tuple[float, ...], better: Better) -> Steady:
    n = len(samples)
    if n < LEAST_SAMPLES:
        return Steady(kind="too short", samples=n)
    cuts = change_points(samples)
    segments = _related(samples, [0, *cuts, n], better) if cuts else ()
    if all(each.relation == "same" for each in segments):
        return Steady(kind="flat", samples=n, segments=segments)
    kind, start = _judged(segments, n)
    return Steady(kind=kind, samples=n, segments=segments, counts_from=start if kind == "warm-up" else 0)


def _judged(segments: Sequence[Segment], n: int) -> tuple[Kind, int]:
    """The kind, and where the steady part starts. At least one segment differs from the last."""
    start = max(each.stop for each in segments if each.relation != "same")
    if n - start < LEAST_SHARE * n:
        return "no steady state", start
    others = [each for each in segments if each.relation != "same"]
    if segments[0].relation == "same":
        away = sum(each.stop - each.start for each in others)
        return ("flat" if away <= DISTURBED_SHARE * n else "no steady state"), start
    return ("warm-up" if all(each.relation == "slower" for each in others) else "slow-down"), start


def change_points(samples: Sequence[float]) -> list[int]:
    """Where a segment starts, the first one apart; exact up to `_MOST_POINTS` samples, else to a few neighbours."""
    width = -(-len(samples) // _MOST_POINTS)
    points = [stats.median(samples[at : at + width]) for at in range(0, len(samples), width)] if width > 1 else samples
    return [cut * width for cut in _cuts(points, _PENALTY * math.log(len(points)))]


def _cuts(points: Sequence[float], penalty: float) -> list[int]:
    """Those of the whole, then of each part by itself: the ranks of the whole hide small changes beside a great one."""
    cuts = _partitioned(_scores(points), penalty)
    if not cuts:
        return []
    found = []
    for start, stop in itertools.pairwise((0, *cuts, len(points))):
        found += [start, *(start + cut for cut in _cuts(points[start:stop], penalty))]
    return found[1:]


def _scores(points: Sequence[float]) -> list[float]:
    """Normal scores of the ranks (van der Waerden), tied points sharing theirs, with mean 0 and variance 1."""
    normal, ordered = _normal_scores(len(points)), sorted(points)
    score_of: dict[float, float] = {}
    start = 0
    for stop in range(1, len(ordered) + 1):
        if stop == len(ordered) or ordered[stop] != ordered[start]:
            score_of[ordered[start]] = sum(normal[start:stop]) / (stop - start)
            start = stop
    found = [score_of[point] for point in points]
    spread = math.sqrt(sum(score * score for score in found) / len(found))
    return [score / spread for score in found] if spread else found


@cache
def _normal_scores(n: int) -> tuple[float, ...]:
    inverse = statistics.NormalDist().inv_cdf
    return tuple(inverse(rank / (n + 1)) for rank in range(1, n + 1))


def _partitioned(scores: Sequence[float], penalty: float) -> list[int]:
    """The starts of the segments, the first apart, that explain most squares at `penalty` for each start."""
    n, sums = len(scores), [0.0]
    for score in scores:
        sums.append(sums[-1] + score)
    best, before = [-math.inf] * (n + 1), [0] * (n + 1)  # of the points up to there
    for stop in range(_LEAST_SEGMENT, n + 1):
        total = sums[stop]
        most, start = total * total / stop, 0
        for cut in range(_LEAST_SEGMENT, stop - _LEAST_SEGMENT + 1):
            inside = total - sums[cut]
            explained = best[cut] + inside * inside / (stop - cut)
            if explained > most:
                most, start = explained, cut
        best[stop], before[stop] = most - penalty, start
    cuts = [n]
    while cuts[-1]:
        cuts.append(before[cuts[-1]])
    return cuts[-2:0:-1]


def _related(samples: Sequence[float], edges: Sequence[int], better: Better) -> tuple[Segment, ...]:
    """The segments between the edges, each held against the last."""
    parts = [samples[start:stop] for start, stop in itertools.pairwise(edges)]
    last = sorted(parts[-1])
    level = stats.median(last)
    tolerance = max(_LEAST_DIFFERENCE * abs(level), _noise_factor(len(samples)) * _noise(parts))
    found = []
    for start, part in zip(edges, parts, strict=False):
        mean = statistics.fmean(part)
        differs = abs(mean - level) > tolerance and not 1 - _SEPARATION < _exceeds(part, last) < _SEPARATION
        slower = (mean > level) == (better == "lower")
        found.append(Segment(start, start + len(part), mean, ("slower" if slower else "faster") if differs else "same"))
    return tuple(found)


def _noise_factor(n: int) -> float:
    """How many SD are a difference. Short series that are correlated wander as if they had a level."""
    return max(3.0, 2.5 + 40 / n)


def _noise(parts: Iterable[Sequence[float]]) -> float:
    """Robust SD of the samples around the middles of their segments."""
    middles = [(part, stats.median(part)) for part in parts]
    return stats.MAD_TO_SD * stats.median([abs(sample - middle) for part, middle in middles for sample in part])


def _exceeds(part: Sequence[float], ordered: Sequence[float]) -> float:
    """The chance that a sample of `part` exceeds one of `ordered`, ties counting half (Vargha and Delaney's A)."""
    wins = sum(bisect_left(ordered, sample) + bisect_right(ordered, sample) for sample in part)
    return wins / 2 / len(part) / len(ordered)
