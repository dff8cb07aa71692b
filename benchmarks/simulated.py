"""Timings whose truth is known, for judging intervals and verdicts: three families, correlated within an invocation.

A time is a level times 1 + CV (sqrt(icc) u + sqrt(1 - icc) e): `u` is drawn once an invocation, `e` once a sample, both
from the same family, with mean 0 and SD 1. So `icc` is the intra-class correlation, and an invocation is one draw of
luck however many samples it has. A pair is two such invocations that differ by a known factor: the logarithm of their
ratio has a symmetric distribution around its own, whatever the family.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchproof.analysis import bootstrap, compare, quantiles, stats, steady
from benchproof.analysis.bootstrap import Over
from benchproof.analysis.stats import Interval
from benchproof.model import Frozen

Floats = NDArray[np.float64]
Family = Callable[[Generator, tuple[int, ...]], Floats]
Middle = Callable[..., Floats]  # np.median or np.mean: what a value is of its samples

ICC = (0.0, 0.1, 0.5)
SAMPLES = 30  # an invocation
CV = 0.1
FACTOR = 1.3  # the true ratio of pairs
_TRUTH = 300_000  # invocations behind a truth that has no formula; its error is a hundredth of any interval's width
_AT_ONCE = 4_000_000  # samples


def _log_normal(draw: Generator, shape: tuple[int, ...]) -> Floats:
    """Skewness 1.75."""
    sigma = 0.5
    mean, sd = math.exp(sigma**2 / 2), math.sqrt(math.expm1(sigma**2) * math.exp(sigma**2))
    return (np.exp(sigma * draw.standard_normal(shape)) - mean) / sd


def _bimodal(draw: Generator, shape: tuple[int, ...]) -> Floats:
    """Three in ten lie ten SD of either mode above the others."""
    raw = 0.1 * draw.standard_normal(shape) + (draw.random(shape) < 0.3)
    return (raw - 0.3) / math.sqrt(0.3 * 0.7 + 0.1**2)


FAMILIES: MappingProxyType[str, Family] = MappingProxyType(
    {
        "normal": lambda draw, shape: draw.standard_normal(shape),
        "log-normal": _log_normal,
        "bimodal": _bimodal,
    }
)


class World(Frozen, frozen=True):
    """One kind of data."""

    family: str
    icc: float

    def __str__(self) -> str:
        return f"{self.family}, ICC {self.icc:g}"

    def draw(self, *parts: object) -> Generator:
        """Randomness of its own for each use, the same in every run."""
        return np.random.default_rng(list(f"{self} {parts}".encode()))

    def times(self, draw: Generator, *shape: int, samples: int = SAMPLES) -> Floats:
        """Of invocations, their samples in the last dimension."""
        of = FAMILIES[self.family]
        luck, noise = of(draw, (*shape, 1)), of(draw, (*shape, samples))
        found: Floats = 1 + CV * (math.sqrt(self.icc) * luck + math.sqrt(1 - self.icc) * noise)
        return found

    def values(self, draw: Generator, experiments: int, n: int, middle: Middle = np.median) -> Iterator[Floats]:
        """The values of n invocations, experiment by experiment."""
        step = max(1, _AT_ONCE // (n * SAMPLES))
        for done in range(0, experiments, step):
            yield from middle(self.times(draw, min(step, experiments - done), n), axis=2)

    def pairs(
        self, draw: Generator, experiments: int, n: int, middle: Middle = np.median
    ) -> Iterator[tuple[Floats, Floats]]:
        """The values of n pairs whose true ratio is `FACTOR`, under a drift that both sides of a pair share."""
        for both in self.values(draw, experiments, 2 * n, middle):
            drift = np.exp(0.3 * draw.standard_normal(n))
            yield both[:n] * drift, both[n:] * drift * FACTOR


WORLDS = tuple(World(family, icc) for family, icc in itertools.product(FAMILIES, ICC))


class Coverage(Frozen, frozen=True, kw_only=True):
    """How often an interval held the truth, as a share of `experiments`."""

    world: World
    share: float
    experiments: int


def _share(world: World, held: Iterator[bool]) -> Coverage:
    found = list(held)
    return Coverage(world=world, share=sum(found) / len(found), experiments=len(found))


def _holds(interval: Interval | None, truth: float) -> bool:
    if interval is None:
        raise ValueError("an interval that is not offered has no coverage")
    return interval.low <= truth <= interval.high


def hodges_lehmann(world: World, n: int, experiments: int, *, confidence: float = stats.CONFIDENCE) -> Coverage:
    """Of the ratio of n pairs; what `compare` decides by."""
    pairs = world.pairs(world.draw("hl", n), experiments, n)
    shifts = ([math.log(after / before) for before, after in zip(*pair, strict=True)] for pair in pairs)
    found = (stats.exponential(stats.hodges_lehmann(each, confidence=confidence)) for each in shifts)
    return _share(world, (_holds(each, FACTOR) for each in found))


def quantile(world: World, name: str, n: int, experiments: int) -> Coverage:
    """Of a quantile of the values of invocations; `p50` is the median."""
    draw, truth = world.draw("quantile", name, n), _true_values(world)
    at = float(truth[math.ceil(float(name.removeprefix("p")) * len(truth) / 100) - 1])
    interval = quantiles.median if name == "p50" else lambda values: quantiles.interval(values, name)
    return _share(world, (_holds(interval(each.tolist()), at) for each in world.values(draw, experiments, n)))


def heap_median(world: World, n: int, experiments: int) -> Coverage:
    """What not to do: the interval of a median from all samples of n invocations in one heap."""
    draw = world.draw("heap", n)
    truth = float(np.median(world.times(draw, _TRUTH // 10, samples=10)))
    heaps = (world.times(draw, n).ravel().tolist() for _ in range(experiments))
    return _share(world, (_holds(quantiles.median(each), truth) for each in heaps))


def mean(world: World, n: int, experiments: int, *, resamples: int, middle: Middle = np.mean) -> Coverage:
    """Of the mean of the values of invocations, by the bootstrap. Who adds up costs takes the mean of samples too."""
    draw = world.draw("mean", n)
    truth = 1.0 if middle is np.mean else float(_true_values(world).mean())
    found = (
        bootstrap.mean(each.tolist(), seed=seed, resamples=resamples)
        for seed, each in enumerate(world.values(draw, experiments, n, middle))
    )
    return _share(world, (_holds(each.interval, truth) for each in found))


def ratio_of_means(world: World, n: int, experiments: int, *, resamples: int) -> Coverage:
    """Of the ratio of the means of n pairs, by the bootstrap."""
    pairs = world.pairs(world.draw("ratio", n), experiments, n, np.mean)
    found = (
        bootstrap.ratio_of_means(base.tolist(), new.tolist(), seed=seed, resamples=resamples)
        for seed, (base, new) in enumerate(pairs)
    )
    return _share(world, (_holds(each.interval, FACTOR) for each in found))


def nested(world: World, runs: int, n: int, experiments: int, *, over: Over, resamples: int) -> Coverage:
    """Of the mean difference of n pairs in each of so many runs, by the hierarchical bootstrap.

    A run moves the differences of all its pairs together, as much as the ICC says.
    """
    draw = world.draw("nested", runs, n, over)
    of = FAMILIES[world.family]

    def held(seed: int) -> bool:
        both = of(draw, (2, runs, 1)), of(draw, (2, runs, n))
        run, pair = (part[0] - part[1] for part in both)
        differences = math.sqrt(world.icc) * run + math.sqrt(1 - world.icc) * pair
        truth = math.sqrt(world.icc) * float(run.mean()) if over == "these runs" else 0.0
        found = bootstrap.nested(differences.tolist(), over=over, seed=seed, resamples=resamples)
        return _holds(found.interval, truth)

    return _share(world, (held(seed) for seed in range(experiments)))


@cache
def _true_values(world: World) -> Floats:
    """Of so many invocations that their quantiles are the true ones, ascending."""
    return np.sort(np.concatenate(list(world.values(world.draw("truth"), _TRUTH // 1000, 1000))))


class FalseClaims(Frozen, frozen=True, kw_only=True):
    """Of experiments with two equal sides, the shares in which a difference was claimed, on the same data."""

    paired: float
    pooled: float
    experiments: int


def false_claims(world: World, runs: int, experiments: int, *, nominal: float, permutations: int = 999) -> FalseClaims:
    """Our comparison of two equal sides by pairs of values, and a permutation test of all their samples in one heap.

    The permutations are drawn once and used for all experiments, which changes no error rate.
    """
    draw = world.draw("claims", runs)
    design = compare.Design(margin=0.0, looks=(compare.Look(runs, nominal / 2),))
    signs = np.repeat([1.0, -1.0], runs * SAMPLES)
    shuffled = np.array([draw.permutation(signs) for _ in range(permutations)]).T
    times = world.times(draw, experiments, 2, runs)
    ours = 0
    for sides in np.median(times, axis=3).tolist():
        base, new = (dict(enumerate(side)) for side in sides)
        verdict = compare.paired(compare.Side(base=base, new=new, better="lower"), design).verdict
        ours += verdict in {"faster", "slower"}
    heaps = times.reshape(experiments, -1)
    as_far = (np.abs(heaps @ shuffled) >= np.abs(heaps @ signs)[:, None] * (1 - 1e-12)).sum(axis=1)
    pooled = float(((as_far + 1) / (permutations + 1) <= nominal).mean())
    return FalseClaims(paired=ours / experiments, pooled=pooled, experiments=experiments)


def _autocorrelated(draw: Generator, n: int, coefficient: float) -> Floats:
    state = draw.standard_normal()
    steps = draw.standard_normal(n) * math.sqrt(1 - coefficient**2)
    return np.array(list(itertools.accumulate(steps, lambda last, step: coefficient * last + step, initial=state)))[1:]


SERIES: MappingProxyType[str, Callable[[Generator, int], Floats]] = MappingProxyType(
    {
        **{name: lambda draw, n, of=of: 1 + 0.02 * of(draw, (n,)) for name, of in FAMILIES.items()},
        "log-normal, CV 50 %": lambda draw, n: np.exp(0.5 * draw.standard_normal(n)),
        "one in twenty an outlier": lambda draw, n: (
            (1 + 0.02 * draw.standard_normal(n)) * (1 + (draw.random(n) < 0.05) * draw.uniform(0.2, 2, n))
        ),
        "few distinct values": lambda draw, n: np.round(10 + draw.standard_normal(n)),
        "AR(1) .3": lambda draw, n: 1 + 0.02 * _autocorrelated(draw, n, 0.3),
        "AR(1) .5": lambda draw, n: 1 + 0.02 * _autocorrelated(draw, n, 0.5),
    }
)  # samples of one invocation that is flat


def kinds(
    series: Callable[[Generator, int], Floats], n: int, count: int, seed: Sequence[int]
) -> dict[steady.Kind, int]:
    """How so many invocations of n samples were classified."""
    draw = np.random.default_rng(seed)
    return steady.together(steady.classify(series(draw, n).tolist()) for _ in range(count)).invocations


def warming_up(share: float, by_sd: float) -> Callable[[Generator, int], Floats]:
    """Samples of which the first share are slower, by so many SD of their noise."""

    def series(draw: Generator, n: int) -> Floats:
        return 1 + 0.02 * (draw.standard_normal(n) + by_sd * (np.arange(n) < share * n))

    return series
