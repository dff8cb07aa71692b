"""The statistics against enumeration, published tables and simulated data with a known truth."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchproof.analysis import stats

numbers = st.lists(st.floats(min_value=0.1, max_value=1e9), min_size=6, max_size=20)


@pytest.mark.parametrize("n", range(1, 11))
def test_the_distribution_of_rank_sums_is_that_of_enumeration(n):
    sums = [
        sum(rank for rank, sign in zip(range(1, n + 1), signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=n)
    ]
    below = itertools.accumulate(sums.count(total) for total in range(n * (n + 1) // 2 + 1))
    assert stats._cumulative(n) == [count / 2**n for count in below]


@pytest.mark.parametrize(
    ("n", "critical"), [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (15, 25), (20, 52), (25, 89), (30, 137)]
)
def test_critical_values_are_those_of_the_published_table(n, critical):
    """Wilcoxon signed-rank, two-sided 5 %: Hollander, Wolfe and Chicken, table A.4; T <= critical rejects."""
    assert stats._critical_rank(n, 0.95) == critical


@pytest.mark.parametrize(("n", "confidence"), [(5, 0.95), (7, 0.99), (10, 0.999)])
def test_below_the_least_n_there_is_no_interval(n, confidence):
    assert stats._critical_rank(n, confidence) is None
    assert stats._critical_rank(n + 1, confidence) is not None


def test_six_pairs_give_the_extremes():
    found = stats.hodges_lehmann([1, 2, 3, 4, 5, 6])
    assert found is not None
    assert (found.low, found.estimate, found.high) == (1, 3.5, 6)


def test_five_pairs_give_nothing():
    assert stats.hodges_lehmann([1, 2, 3, 4, 5]) is None


@given(numbers)
def test_the_estimate_lies_in_its_interval_and_shifts_with_the_data(values):
    found, shifted = stats.hodges_lehmann(values), stats.hodges_lehmann([value + 7 for value in values])
    assert found is not None
    assert shifted is not None
    assert min(values) <= found.low <= found.estimate <= found.high <= max(values)
    assert math.isclose(shifted.estimate, found.estimate + 7, rel_tol=1e-9, abs_tol=1e-6)


@given(numbers, st.floats(min_value=0.01, max_value=100))
def test_a_ratio_of_scaled_values_is_the_scale(values, factor):
    found = stats.ratio(values, [value * factor for value in values])
    assert found is not None
    assert math.isclose(found.low, factor, rel_tol=1e-9)
    assert math.isclose(found.high, factor, rel_tol=1e-9)


def test_a_ratio_needs_positive_values():
    assert stats.ratio([1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 6]) is None


@pytest.mark.parametrize("n", [6, 10])
def test_the_interval_covers_the_truth_as_often_as_it_says(n):
    """Log-normal pairs with a common, drifting factor, as a shared machine gives them; 2,000 experiments."""
    draw = random.Random(f"coverage {n}")
    hits = 0
    for _ in range(2000):
        drift = [draw.gauss(0, 0.5) for _ in range(n)]
        base = [math.exp(each + draw.gauss(0, 0.1)) for each in drift]
        new = [1.3 * math.exp(each + draw.gauss(0, 0.1)) for each in drift]
        found = stats.ratio(base, new)
        assert found is not None
        hits += found.low <= 1.3 <= found.high
    assert 0.94 <= hits / 2000 <= 0.985  # exact level: 96.9 % for n = 6, 95.1 % for n = 10


def test_a_summary_has_what_its_n_supports_and_says_what_it_does_not():
    found = stats.summary([3.0, 1.0, 2.0, 5.0, 4.0, 100.0, *range(6, 16)])
    assert (found.n, found.median, found.min, found.max) == (16, 8.5, 1.0, 100.0)
    assert found.quantiles == {"p90": 15}
    assert found.absent == {
        "p95": "needs n >= 20, found 16",
        "p99": "needs n >= 100, found 16",
        "p99.9": "needs n >= 1000, found 16",
    }
    assert found.outliers == (5,)
    assert "nearest rank" in found.definition
    assert "never removed" in found.outlier_rule


def test_the_spread_of_one_value_is_unknown_and_not_zero():
    found = stats.summary([7.0])
    assert (found.sd, found.mad, found.cv) == (None, None, None)
    assert {name: found.absent[name] for name in ("sd", "mad", "cv")} == dict.fromkeys(
        ("sd", "mad", "cv"), "needs n >= 2, found 1"
    )


def test_a_mean_of_zero_has_no_coefficient_of_variation():
    found = stats.summary([-1.0, 1.0, -1.0, 1.0])
    assert (found.cv, found.absent["cv"]) == (None, "needs a mean above zero")


@pytest.mark.parametrize(("name", "n"), [("p90", 10), ("p95", 20), ("p99", 100), ("p99.9", 1000)])
def test_a_quantile_starts_at_its_least_n_and_is_a_value_that_was_measured(name, n):
    assert name not in stats.summary([1.0] * (n - 1)).quantiles
    assert stats.summary([*range(n)]).quantiles[name] == n - math.floor(n * (1 - float(name[1:]) / 100) + 1e-9) - 1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60), st.randoms())
def test_a_summary_keeps_its_order_and_knows_no_order_of_values(values, chance):
    found = stats.summary(values)
    shuffled = stats.summary(chance.sample(values, len(values)))
    assert found.min <= found.median <= found.max
    assert list(found.quantiles.values()) == sorted(found.quantiles.values())
    assert set(found.quantiles.values()) <= set(values)
    assert (found.median, found.mad, found.quantiles) == (shuffled.median, shuffled.mad, shuffled.quantiles)
    assert len(found.outliers) == len(shuffled.outliers)


@pytest.mark.parametrize(
    ("values", "marked"),
    [
        ([10, 11, 9, 10, 12, 11, 60], (6,)),
        ([5, 5, 5, 5, 5, 5, 5, 9], (7,)),  # no deviation from the median but one: the mean deviation judges
        ([5, 5, 5, 5, 5, 5], ()),
        ([1, 2, 3, 4, 1000], ()),  # too few to call one of them wild
        ([60, 10, 11, 9, 10, 12, 11, -60], (0, 7)),
    ],
)
def test_outliers_are_marked_by_their_place(values, marked):
    assert stats.outliers(values) == marked
