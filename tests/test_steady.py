"""Steady state: planted warm-ups are found, noise is not one, and one function makes a number of samples."""

from __future__ import annotations

import itertools
import math
import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import simulated
from benchproof.analysis import gate, invocations, matrix, stats, steady
from benchproof.analysis.cells import LACKING
from benchproof.model import Measurement, Passed, Result

# 40 samples, the first 12 slower by 6 SD; 50 that end 4 SD slower. Change points of their scores at the same penalty
# and least length: ruptures 1.1.10, Pelt(model="l2", min_size=3, jump=1)
WARMING = (
    *(104.78, 106.38, 106.99, 105.49, 104.67, 105.93, 106.48, 107.1, 104.78, 104.71, 106.71, 106.47, 101.53, 100.98),
    *(99.9, 99.73, 102.57, 99.71, 99.22, 98.86, 100.1, 100.15, 99.66, 99.94, 100.27, 100.69, 101.1, 100.21, 98.21),
    *(100.7, 98.58, 99.83, 98.53, 100.0, 99.22, 100.21, 103.3, 99.95, 100.84, 98.68),
)
SLOWING = (
    *(99.24, 100.79, 101.11, 99.71, 98.21, 99.09, 100.24, 100.53, 101.55, 99.0, 100.0, 100.65, 99.84, 97.63, 100.81),
    *(102.31, 101.0, 99.08, 99.59, 100.22, 97.49, 95.62, 95.11, 96.56, 94.92, 96.86, 94.31, 94.53, 95.72, 96.42),
    *(104.65, 104.3, 102.18, 103.29, 103.39, 103.47, 104.59, 103.66, 104.79, 104.08, 103.67, 104.12, 104.43, 104.86),
    *(103.52, 103.77, 102.64, 105.6, 105.45, 103.82),
)

patient = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine


def series(*levels: float, length=10, seed=1) -> list[float]:
    chance = random.Random(seed)
    return [100 + level + chance.gauss(0, 0.5) for level in levels for _ in range(length)]


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        ((0, 0, 0, 0), "flat"),
        ((20, 0, 0, 0), "warm-up"),
        ((20, 10, 0, 0), "warm-up"),
        ((0, 0, 0, 20), "slow-down"),
        ((20, 0, 5, 5), "slow-down"),
        ((60, 50, 40, 30, 20, 10, 0), "no steady state"),
        ((0, 0, 20, 0, 0, 0), "flat"),
    ],
)
def test_planted_levels_are_classified_as_in_the_paper(levels, kind):
    assert steady.classify(series(*levels)).kind == kind


def test_levels_that_change_places_are_no_steady_state():
    assert steady.classify(series(0, 20, 0, 20, 0, 20, 0, length=30)).kind == "no steady state"


def test_change_points_are_those_of_an_independent_implementation():
    penalties = [2.5 * math.log(len(samples)) for samples in (WARMING, SLOWING)]
    assert steady._partitioned(steady._scores(WARMING), penalties[0]) == [13]
    assert steady._partitioned(steady._scores(SLOWING), penalties[1]) == [30]


def test_a_small_change_beside_a_great_one_is_found_in_the_parts():
    assert steady.change_points(WARMING) == [13]
    assert steady.change_points(SLOWING) == [20, 30]
    assert steady.classify(WARMING).kind == "warm-up"
    assert steady.classify(SLOWING).kind == "slow-down"


@patient
@given(st.lists(st.integers(-3, 3), min_size=3, max_size=11), st.floats(0.5, 12))
def test_the_partition_explains_as_much_as_the_best_of_all_partitions(scores, penalty):
    def worth(cuts: tuple[int, ...]) -> float:
        parts = [scores[start:stop] for start, stop in itertools.pairwise((0, *cuts, len(scores)))]
        if any(len(part) < 3 for part in parts):
            return -math.inf
        return sum(sum(part) ** 2 / len(part) for part in parts) - penalty * len(cuts)

    places = range(1, len(scores))
    best = max(worth(cuts) for count in range(4) for cuts in itertools.combinations(places, count))
    assert worth(tuple(steady._partitioned(scores, penalty))) == pytest.approx(best)


@pytest.mark.parametrize("n", [1, 9, 19])
def test_of_few_samples_nothing_is_said_and_nothing_left_out(n):
    found = steady.classify([100.0] * (n // 2) + [1.0] * (n - n // 2))
    assert (found.kind, found.counts_from) == ("too short", 0)


def test_the_direction_of_the_metric_says_what_slower_is():
    found = [steady.classify(series(20, 0, 0), better=better).kind for better in ("lower", "higher")]
    assert found == ["warm-up", "slow-down"]
    assert steady.classify(series(0, 20, 20), better="higher").kind == "warm-up"


@pytest.mark.parametrize("samples", [[5.0] * 40, [0.0] * 40, [5.0] * 20 + [5.001] * 20, [-1e-300, 1e300] * 20])
def test_constant_tied_and_extreme_samples_are_flat(samples):
    assert steady.classify(samples).kind == "flat"


def test_a_single_slow_sample_at_the_start_is_an_outlier_and_moves_nothing():
    samples = series(0, 0, 0, 0)
    samples[0] = 900.0
    assert steady.classify(samples).kind == "flat"


@patient
@given(
    st.lists(st.floats(1, 1e6), min_size=20, max_size=60),
    st.integers(0, 30),
    st.sampled_from((0.25, 0.5, 8.0, 1024.0)),
)
def test_neither_the_unit_nor_the_mirror_image_changes_what_is_found(samples, shifted, scale):
    samples = [each + 1e7 * (index < shifted) for index, each in enumerate(samples)]
    found, scaled = steady.classify(samples), steady.classify([each * scale for each in samples])
    mirrored = steady.classify([-each for each in samples], better="higher")
    assert (found.kind, found.counts_from) == (scaled.kind, scaled.counts_from) == (mirrored.kind, mirrored.counts_from)


@patient
@given(st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=60))
def test_what_counts_is_at_least_a_quarter_and_only_a_warm_up_is_left_out(samples):
    found = steady.classify(samples)
    assert len(samples) - found.counts_from >= len(samples) / 4
    assert (found.counts_from > 0) == (found.kind == "warm-up")
    assert [each.start for each in found.segments[1:]] == [each.stop for each in found.segments[:-1]]


def test_long_series_are_thinned_and_the_warm_up_still_found():
    found = steady.classify(series(20, 0, length=3000))
    assert found.kind == "warm-up"
    assert abs(found.counts_from - 3000) <= 15


@pytest.mark.parametrize("n", [20, 40])
@pytest.mark.parametrize("noise", simulated.SERIES)
def test_flat_series_are_seldom_called_anything_else(noise, n):
    """At most 2 % (benchmarks/coverage.py, 4,000 each); the bound here leaves three standard errors of 250 series."""
    found = simulated.kinds(simulated.SERIES[noise], n, 250, (n,))
    assert found["flat"] / 250 >= 0.98 - 3 * math.sqrt(0.02 * 0.98 / 250)


def test_warm_ups_of_six_sd_are_found_nearly_always():
    assert simulated.kinds(simulated.warming_up(0.2, 6), 40, 200, (6,))["warm-up"] >= 190


# ---- the number of an invocation ----


def measured(samples, *, clock="target", better="lower") -> Measurement:
    return Measurement(metric="m", unit="ns", better=better, clock=clock, iterations=1, samples=tuple(samples))


def result(samples, block=0, *, target="host", clock="target") -> Result:
    return Result(
        run_id="r",
        target=target,
        benchmark="b",
        parameters={},
        tier=1,
        block=block,
        started_at="2026-01-01T00:00:00Z",
        duration_ns=1,
        envelope="",
        attempt=1,
        outcome=Passed((measured(samples, clock=clock),)),
    )


def test_the_value_of_an_invocation_leaves_out_a_warm_up_that_ended_and_nothing_else():
    warm, slow = series(20, 20, 0, 0), series(0, 0, 20)
    found = steady.classify(warm)
    assert found.counts_from == 20
    assert invocations.value(measured(warm)) == stats.median(warm[20:])
    assert invocations.value(measured(slow)) == stats.median(slow)


def test_counts_are_never_touched():
    counts = [900.0] * 20 + [100.0] * 30
    assert invocations.value(measured(counts)) == 100.0
    assert invocations.value(measured(counts, clock="instructions")) == stats.median(counts)
    assert invocations.steadiness(measured(counts, clock="instructions")) is None


def cell(results) -> matrix.Cell:
    (row,) = matrix.rows([("host", "b", {}, 1)], results, [matrix.Column("host", "host", "", ())])
    return row.cells["host"]


def test_a_cell_says_once_which_figure_is_lacking_and_why():
    lacking = {LACKING: "no cold_latency: the cache keeps 'sh'"}
    found = cell([msgspec.structs.replace(result(series(0, 0, 0, 0), block), evidence=lacking) for block in range(3)])
    assert found.notes == ("no cold_latency: the cache keeps 'sh'",)


def test_a_cell_says_what_was_left_out_of_it():
    warm, flat = series(20, 0, 0, 0), series(0, 0, 0, 0)
    found = cell([result(warm, 0), result(flat, 1), result(flat, 2)])
    assert found.notes == ("1 of 3 invocations were still warming up: 10 of 120 samples are left out",)
    assert found.steadiness is not None
    assert (found.steadiness.kind, found.steadiness.invocations) == ("inconsistent", {"flat": 2, "warm-up": 1})
    assert found.values[0] == stats.median(warm[10:])


def test_a_cell_of_flat_invocations_has_no_note():
    found = cell([result(series(0, 0, 0, 0, seed=seed), seed) for seed in range(3)])
    assert found.notes == ()
    assert found.steadiness.kind == "flat"


def test_a_cell_says_where_no_samples_are_left_out_though_they_were_not_steady():
    found = cell([result(series(0, 0, 20, 20), 0), result(series(60, 50, 40, 30, 20, 10, 0), 1)])
    assert found.notes == (
        "1 of 2 invocations slowed down: all samples count",
        "1 of 2 invocations reached no steady state: all samples count",
    )


def test_a_gate_holds_the_same_value_against_its_limit_and_its_extremes_keep_every_sample():
    warm = measured(series(20, 20, 0, 0))
    assert gate.value("median", [warm]) == invocations.value(warm)
    assert gate.value("max", [warm]) == max(warm.samples)
    assert gate.value("p95", [warm]) > 115
