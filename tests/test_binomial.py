"""The interval of a success rate: published values, and what an exact interval must hold."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from benchproof.analysis import binomial

COUNTS = some.integers(1, 3000).flatmap(lambda n: some.tuples(some.integers(0, n), some.just(n)))


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # as tables of exact binomial limits have them
        (0, 10, 0.0, 0.3084971),
        (5, 10, 0.1870860, 0.8129140),
        (10, 10, 0.6915029, 1.0),
        (1, 100, 0.0002531460, 0.05445939),
        (30, 30, 0.8842967, 1.0),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(successes, trials, low, high):
    found = binomial.interval(successes, trials)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)


@given(COUNTS)
def test_each_limit_is_the_chance_at_which_so_extreme_a_count_has_half_the_error(counts):
    successes, trials = counts
    found = binomial.interval(successes, trials)
    assert found is not None
    assert found.low <= found.estimate <= found.high
    if successes:
        assert binomial.at_least(successes, trials, found.low) == pytest.approx(0.025, rel=1e-6)
    if successes < trials:
        assert 1 - binomial.at_least(successes + 1, trials, found.high) == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize(("least", "trials"), [(1, 1), (3, 7), (40, 60), (250, 300)])
@pytest.mark.parametrize("chance", [Fraction(1, 100), Fraction(1, 3), Fraction(9, 10)])
def test_the_tail_is_the_sum_of_its_terms(least, trials, chance):
    terms = (math.comb(trials, n) * chance**n * (1 - chance) ** (trials - n) for n in range(least, trials + 1))
    assert binomial.at_least(least, trials, float(chance)) == pytest.approx(float(sum(terms)), rel=1e-9)


def test_without_a_trial_there_is_no_interval_and_more_successes_than_trials_are_refused():
    assert binomial.interval(0, 0) is None
    with pytest.raises(ValueError, match="up to 3 successes, found 4"):
        binomial.interval(4, 3)
