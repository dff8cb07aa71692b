"""Intervals against SciPy and against simulated data with a known truth; the whole table is benchmarks/coverage.py."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import simulated
from benchmarks.simulated import WORLDS, World
from benchproof.analysis import bootstrap, quantiles, stats

# numpy.random.default_rng(7).lognormal(0, .5), 12 and then 100 values, rounded; all expected figures from SciPy 1.17.1
FEW = [1.001, 1.161, 0.872, 0.641, 0.797, 0.609, 1.031, 1.954, 0.782, 0.733, 1.278, 1.195]
MANY = [
    *(1.054, 0.628, 0.985, 1.416, 0.511, 0.795, 0.387, 0.525, 0.398, 0.889, 0.531, 1.145, 1.082, 0.911, 0.284, 0.764),
    *(0.976, 1.058, 0.465, 0.788, 0.613, 0.667, 1.7, 0.668, 0.984, 1.556, 0.747, 0.946, 1.057, 1.032, 0.542, 1.039),
    *(1.973, 0.461, 1.537, 1.061, 0.726, 2.719, 1.464, 0.549, 1.038, 1.334, 0.91, 1.407, 0.967, 1.396, 2.053, 0.713),
    *(1.107, 0.793, 1.066, 0.552, 0.749, 0.907, 1.567, 1.773, 0.516, 0.672, 1.382, 0.369, 0.793, 0.953, 1.875, 1.412),
    *(0.849, 0.832, 0.882, 2.142, 0.807, 0.859, 1.193, 0.941, 0.906, 0.573, 0.994, 0.801, 1.792, 1.386, 0.988, 1.397),
    *(0.844, 1.692, 0.997, 1.339, 0.524, 1.189, 0.43, 0.361, 0.859, 0.638, 1.085, 3.072, 0.66, 0.732, 1.108, 1.28),
    *(0.916, 0.902, 1.421, 1.297),
]
patient = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
numbers = st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=40)


# ---- ranks ----


@pytest.mark.parametrize(
    ("above", "p"), [(0.5, 0.000244140625), (0.8, 0.046142578125), (1.0, 0.68896484375), (1.2, 0.973876953125)]
)
def test_the_signed_rank_test_is_that_of_scipy(above, p):
    """scipy.stats.wilcoxon(..., alternative="greater", method="exact")."""
    assert stats.wilcoxon_p(FEW, above=above) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize(
    ("confidence", "low", "high"), [(0.9, 0.8025, 1.161), (0.95, 0.765, 1.2365), (0.99, 0.7115, 1.3755)]
)
def test_the_hodges_lehmann_interval_is_what_scipys_test_does_not_reject(confidence, low, high):
    """The shifts whose two-sided scipy.stats.wilcoxon(..., method="exact") has p > 1 - confidence."""
    found = stats.hodges_lehmann(FEW, confidence=confidence)
    assert (found.low, found.estimate, found.high) == pytest.approx((low, 0.9555, high))


# ---- order statistics ----


@pytest.mark.parametrize(("name", "low", "high"), [("p90", 1.412, 1.973), ("p95", 1.567, 3.072)])
def test_the_interval_of_a_quantile_is_that_of_scipy(name, low, high):
    """scipy.stats.quantile_test(values, p=...).confidence_interval(0.95)."""
    found = quantiles.interval(MANY, name)
    assert (found.low, found.high) == (low, high)
    assert found.estimate == stats.quantile(MANY, name)


def test_the_interval_of_a_median_is_that_of_scipy():
    few, many = quantiles.median(FEW), quantiles.median(MANY)
    assert (few.low, few.high, many.low, many.high) == (0.733, 1.195, 0.859, 1.038)


@pytest.mark.parametrize(("name", "least"), [("p50", 6), ("p90", 36), ("p95", 72), ("p99", 368), ("p99.9", 3688)])
def test_below_the_least_n_a_quantile_has_no_interval_and_the_reason_is_told(name, least):
    interval = quantiles.median if name == "p50" else lambda values: quantiles.interval(values, name)
    assert quantiles.least_n(name) == least
    assert interval(range(least - 1)) is None
    assert interval(range(least)).high == least - 1
    assert quantiles.why_none(5, name) == f"{name}: an interval at 0.95 needs n >= {least}, found 5"


@pytest.mark.parametrize("n", range(6, 40))
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_the_ranks_are_the_closest_that_exact_binomial_sums_allow(n, share):
    low, high = quantiles._ranks(n, share, 0.9)
    chance = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    assert sum(chance[:low]) <= 0.05 + 1e-9 < sum(chance[: low + 1])
    assert sum(chance[high:]) <= 0.05 + 1e-9 < sum(chance[high - 1 :])


def test_heavy_ties_leave_the_interval_of_a_median_where_they_are():
    found = quantiles.median([5.0] * 16 + [4.0, 6.0, 7.0, 3.0])
    assert (found.low, found.estimate, found.high) == (5.0, 5.0, 5.0)


@patient
@given(numbers, st.randoms())
def test_the_order_of_values_does_not_matter_and_limits_were_measured(values, chance):
    shuffled = chance.sample(values, len(values))
    found = quantiles.median(values)
    assert found == quantiles.median(shuffled)
    assert {found.low, found.high} <= set(values)
    mirrored = quantiles.median([-value for value in values])
    assert (mirrored.low, mirrored.high) == (-found.high, -found.low)


# ---- bootstrap ----


def test_the_accelerated_interval_is_that_of_scipy():
    """scipy.stats.bootstrap(method="BCa", n_resamples=400000), two seeds, at our widened level: .8117, 1.1278."""
    found = bootstrap.mean(MANY[:40], resamples=100_000)
    assert found.method == "BCa"
    assert (found.interval.low, found.interval.high) == pytest.approx((0.8117, 1.1278), abs=0.0025)


def test_the_percentile_interval_is_that_of_scipy():
    """scipy.stats.bootstrap(method="percentile", n_resamples=400000) at our widened level: .8883, 1.2079."""
    found = bootstrap.mean(MANY[60:90], resamples=100_000)
    assert found.method == "percentile"
    assert (found.interval.low, found.interval.high) == pytest.approx((0.8883, 1.2079), abs=0.0025)


@pytest.mark.parametrize(("freedom", "t"), [(9, 2.262157), (20, 2.085963), (39, 2.022691)])
def test_students_t_is_that_of_scipy(freedom, t):
    assert stats.student_t(0.975, freedom) == pytest.approx(t, abs=1e-4)


def test_a_seed_makes_an_interval_reproducible_and_is_recorded():
    first, again, other = (bootstrap.mean(MANY, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first.interval != other.interval
    assert (first.seed, first.resampled, first.resamples) == (3, "values", 4000)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (bootstrap.mean(MANY[:29]), "a bootstrap interval of a mean needs n >= 30, found 29"),
        (
            bootstrap.ratio_of_means(MANY[:29], MANY[:29]),
            "a bootstrap interval of a ratio of means needs 30 pairs, found 29",
        ),
        (
            bootstrap.nested([MANY[:50], MANY[50:]], over="runs like these"),
            "to speak of other runs needs 12 of them, found 2",
        ),
        (
            bootstrap.nested([MANY[:50], MANY[50:53]], over="these runs"),
            "needs 30 values, 5 in each run; found 53, 3 in the shortest run",
        ),
        (bootstrap.nested([[], MANY], over="these runs"), "a run has no value"),
        (bootstrap.nested([], over="these runs"), "needs 30 values, 5 in each run; found 0, 0 in the shortest run"),
    ],
)
def test_where_coverage_would_not_hold_there_is_no_interval_but_a_reason(found, reason):
    assert (found.interval, found.method, found.reason) == (None, None, reason)


def test_a_ratio_of_means_needs_positive_values():
    with pytest.raises(ValueError, match="needs positive values"):
        bootstrap.ratio_of_means([0.0] * 40, [1.0] * 40)


def test_the_ratio_of_equal_sides_that_differ_by_a_factor_is_the_factor():
    found = bootstrap.ratio_of_means(MANY, [value * 1.25 for value in MANY]).interval
    assert (found.low, found.estimate, found.high) == pytest.approx((1.25, 1.25, 1.25))


def test_more_values_in_a_run_do_not_replace_runs():
    """Twelve runs that differ: of these the mean is known well, of others it is not, however often each is measured."""
    runs = [[MANY[run] + MANY[at] / 100 for at in range(40)] for run in range(12)]
    these, others = (bootstrap.nested(runs, over=over).interval for over in ("these runs", "runs like these"))
    assert others.high - others.low > 20 * (these.high - these.low)
    assert (these.n, others.n) == (480, 12)


@patient
@given(st.lists(st.floats(0.01, 100), min_size=30, max_size=45), st.sampled_from((0.25, 2.0, 64.0)))
def test_a_bootstrap_scales_with_its_data(values, scale):
    there = bootstrap.mean(values, resamples=200).interval
    scaled = bootstrap.mean([value * scale for value in values], resamples=200).interval
    assert (scaled.low, scaled.high) == pytest.approx((there.low * scale, there.high * scale))
    assert there.low <= there.high


# ---- coverage ----

LUCK = 3.5 * math.sqrt(0.05 * 0.95)  # over the root of the number of experiments


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_the_exact_intervals_hold_the_truth_in_every_world(world):
    for n in (6, 10):
        assert simulated.hodges_lehmann(world, n, 600).share >= 0.95 - LUCK / math.sqrt(600)
    assert simulated.quantile(world, "p50", 10, 600).share >= 0.95 - LUCK / math.sqrt(600)
    assert simulated.quantile(world, "p95", 80, 100).share >= 0.95 - LUCK / math.sqrt(100)


@pytest.mark.parametrize("world", [world for world in WORLDS if world.icc == 0.5], ids=str)
def test_the_bootstraps_hold_the_truth_where_they_are_offered(world):
    few = {"resamples": 500, "experiments": 250}
    shares = [
        simulated.mean(world, 30, **few).share,
        simulated.ratio_of_means(world, 30, **few).share,
        simulated.nested(world, 3, 10, over="these runs", **few).share,
        simulated.nested(world, 12, 5, over="runs like these", **few).share,
    ]
    assert all(share >= 0.94 - LUCK / math.sqrt(250) for share in shares), shares


def test_a_heap_of_correlated_samples_is_no_sample():
    found = simulated.heap_median(World("normal", 0.5), 10, 300)
    assert found.share < 0.6


def test_false_claims_are_as_seldom_as_stated_and_not_so_in_a_heap():
    """Firecracker's A/B test permutes all samples of all runs: a fifth of its alarms at a nominal 1 % are false."""
    found = simulated.false_claims(World("normal", 0.1), 10, 1000, nominal=0.01)
    assert found.paired <= 0.015
    assert 0.14 <= found.pooled <= 0.26
