"""The slope that tells a leak from a heap that breathes, against brute force and against what was planted."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof.analysis import growth, stats

XS = list(range(20))


def noisy(slope, *, sd=1.0, seed=1, n=20):
    draw = random.Random(seed)
    return [slope * x + draw.gauss(0, sd) for x in range(n)]


@pytest.mark.parametrize("n", [2, 5, 7])
def test_the_chances_of_inversions_are_those_of_all_orders(n):
    orders = list(itertools.permutations(range(n)))
    counts = [sum(a > b for a, b in itertools.combinations(order, 2)) for order in orders]
    expected = [sum(each <= most for each in counts) / len(orders) for most in range(n * (n - 1) // 2 + 1)]
    assert growth._inversions(n) == pytest.approx(expected)


def test_many_points_are_judged_by_the_normal_distribution_and_nearly_the_same():
    n = growth._EXACT_N
    assert growth._approximated(n) == pytest.approx(growth._inversions(n), abs=1e-3)


def test_the_estimate_is_the_median_of_all_slopes():
    ys = noisy(3.0)
    slopes = [(ys[b] - ys[a]) / (b - a) for a, b in itertools.combinations(XS, 2)]
    found = growth.slope(XS, ys)
    assert found is not None
    assert found.estimate == stats.median(slopes)
    assert found.low < found.estimate < found.high


def test_the_interval_holds_the_true_slope_in_nineteen_of_twenty_samples():
    held = 0
    for seed in range(400):
        found = growth.slope(XS, noisy(0.5, seed=seed))
        assert found is not None
        held += found.low <= 0.5 <= found.high
    assert 370 <= held <= 398  # 95 % of 400 are 380; the seeds are fixed


def test_a_few_jumps_do_not_move_it():
    ys = [y + (1000 if x in {3, 11} else 0) for x, y in zip(XS, noisy(0.0), strict=True)]
    assert growth.verdict(growth.slope(XS, ys), tolerance=1.0) == "flat"


@pytest.mark.parametrize(
    ("ys", "tolerance", "verdict"),
    [
        (noisy(5.0), 1.0, "grows"),
        (noisy(5.0), 10.0, "flat"),
        (noisy(0.0), 1.0, "flat"),
        (noisy(0.0, sd=100), 1.0, "undecided"),
        (noisy(-5.0), 0.0, "flat"),
        ([7.0] * 20, 0.0, "flat"),
    ],
)
def test_a_leak_is_told_from_noise_and_noise_from_nothing(ys, tolerance, verdict):
    assert growth.verdict(growth.slope(XS, ys), tolerance=tolerance) == verdict


@pytest.mark.parametrize("n", range(growth.LEAST_N))
def test_few_points_are_undecided_and_never_flat(n):
    assert growth.slope(XS[:n], [1.0] * n) is None
    assert growth.verdict(None, tolerance=1e9) == "undecided"


def test_points_at_one_place_have_no_slope():
    assert growth.slope([1] * 10, noisy(0.0, n=10)) is None


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=25),
    st.sampled_from([0.5, 2.0, 4.0]),
    st.sampled_from([-8.0, 0.0, 16.0]),
)
def test_it_follows_scale_and_ignores_where_the_points_begin(ys, scale, shift):
    xs = list(range(len(ys)))
    plain, moved = growth.slope(xs, ys), growth.slope([x + 100 for x in xs], [y * scale + shift for y in ys])
    assert plain is not None
    assert moved is not None
    assert moved.estimate == pytest.approx(plain.estimate * scale, rel=1e-6, abs=1e-6)
    assert moved.low <= moved.estimate <= moved.high
