"""Trends whose truth is known: what changed is found, what did not is left alone, and little is claimed early."""

from __future__ import annotations

import itertools
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import histories
from benchproof.analysis import changepoints, trend
from benchproof.analysis.trend import Epoch, Point, Series, judge


def noisy(*levels, sd=0.02, seed="a history"):
    """(level, points) pairs, in Gaussian noise."""
    draw = random.Random(seed)
    return [level * (1 + sd * draw.gauss(0, 1)) for level, points in levels for _ in range(points)]


def epoch(values, *, better="lower", unit="ns", clock="target", facts=None, start=0):
    points = tuple(
        Point(run=f"r{number:03}", commit=f"c{number:03}", value=value) for number, value in enumerate(values, start)
    )
    facts = {"host.architecture": "x86_64"} if facts is None else facts
    return Epoch(facts=facts, unit=unit, better=better, clock=clock, points=points)


def series(*epochs, metric="m", target="t"):
    return Series(target=target, benchmark="b", metric=metric, parameters="{}", epochs=epochs)


def trend_of(values, **given):
    (found,) = judge([series(epoch(values, **given))])
    return found


# ---- the figures of the design ----


@pytest.mark.parametrize("size", [0.05, 0.1])
def test_steps_of_5_and_10_percent_are_found_in_noise_of_2_percent(size):
    values, truth = histories.stepped(size, count=150, points=500, seed=1)
    found = [[shift.place for shift in shifts] for shifts in changepoints.find(values.tolist(), [0.02] * len(values))]
    precision, recall = histories.score(found, truth)
    assert precision >= 0.97
    assert recall >= 0.97


@pytest.mark.parametrize("family", histories.FAMILIES)
def test_at_most_5_percent_of_unchanged_series_are_flagged(family):
    values = histories.unchanged(family, count=200, points=500, seed=2)
    flagged = sum(bool(shifts) for shifts in changepoints.find(values.tolist(), [0.02] * len(values)))
    assert flagged <= 0.05 * len(values)


def best_partition(values, penalty):
    """By dynamic programming over all partitions with segments of two or more, without any cleverness."""
    n = len(values)
    best = {0: (-penalty, [])}
    for end in range(2, n + 1):
        options = []
        for start in (each for each in best if end - each >= 2):
            part = values[start:end]
            middle = sum(part) / len(part)
            cost = best[start][0] + sum((value - middle) ** 2 for value in part) + penalty
            options.append((cost, [*best[start][1], start]))
        best[end] = min(options)
    return best[n][1][1:]


def test_the_partition_is_the_best_one():
    draw = random.Random("partition")
    batch = [
        np.array([draw.gauss(draw.choice((0, 4)) if at % 7 == 0 else 0, 1) + (at > 20) * 3 for at in range(n)])
        for n in (12, 25, 40, 40)
    ]
    prepared = [changepoints.Prepared(values, 1.0, 1.0) for values in batch]
    expected = [best_partition(values.tolist(), changepoints._PENALTY * np.log(len(values))) for values in batch]
    assert changepoints._partition(prepared) == expected
    assert any(expected)


def test_the_median_of_nine_is_the_median():
    values = np.random.default_rng(3).integers(0, 5, (2000, 9)).astype(float)
    columns = [values[:, at] for at in range(9)]
    assert (changepoints._median_of_nine(columns) == np.median(values, axis=1)).all()


def test_the_noise_of_a_process_with_memory_is_known_for_what_it_is():
    values = histories.unchanged("AR(1) .5", count=40, points=2000, seed=4)
    variance, long_run = changepoints._noise(*changepoints._clip(values), np.full(40, 1e-9))
    assert np.median(variance) == pytest.approx(histories.SD**2, rel=0.15)
    assert np.median(long_run / variance) == pytest.approx(3, rel=0.25)  # (1 + .5) / (1 - .5)


# ---- what a change says ----


def test_a_change_names_the_runs_and_commits_before_and_after():
    found = trend_of(noisy((100, 40), (110, 40), sd=0.01))
    (change,) = found.newest.changes
    assert (change.before.run, change.before.commit, change.after.run) == ("r039", "c039", "r040")
    assert change.size == pytest.approx(0.1, abs=0.02)
    assert (found.verdict, change.direction, change.state) == ("changed", "worse", "confirmed")
    assert found.worsened
    assert trend.exit_status([found]) == 1


@pytest.mark.parametrize(
    ("new", "better", "direction"),
    [(130, "higher", "better"), (70, "higher", "worse"), (130, "lower", "worse"), (70, "lower", "better")],
)
def test_thirty_percent_more_throughput_is_an_improvement_and_less_a_regression(new, better, direction):
    found = trend_of(noisy((100, 40), (new, 40)), better=better)
    assert [change.direction for change in found.newest.changes] == [direction]
    assert trend.exit_status([found]) == (1 if direction == "worse" else 0)


def test_a_regression_that_was_mended_is_history():
    found = trend_of(noisy((100, 40), (110, 40), (100, 40)))
    assert [change.direction for change in found.newest.changes] == ["worse", "better"]
    assert trend.exit_status([found]) == 0


def test_a_change_below_the_least_size_is_none():
    values = noisy((100, 200), (101.5, 200), sd=0.005)
    assert trend_of(values).verdict == "steady"
    (found,) = judge([series(epoch(values))], delta=0.01)
    assert found.verdict == "changed"


def test_one_instruction_in_300_is_a_change_of_a_count():
    values = [319.0] * 30 + [320.0] * 30
    assert trend_of(values, unit="instructions", clock="instructions").worsened
    assert trend_of(values).verdict == "steady"


# ---- what is not claimed ----


@pytest.mark.parametrize("factor", [0.1, 1.2, 50])
def test_a_single_wild_run_alarms_nobody_wherever_it_is(factor):
    histories_with_one = [noisy((100, 60)) for _ in range(60)]
    for at, values in enumerate(histories_with_one):
        values[at] *= factor
    found = judge([series(epoch(values)) for values in histories_with_one])
    assert {each.verdict for each in found} == {"steady"}


def test_the_newest_run_alone_never_alarms_even_beside_an_earlier_wild_one():
    values = noisy((100, 60))
    values[-3] *= 3
    values[-1] *= 3
    assert trend_of(values).verdict == "steady"


def test_two_runs_on_a_new_level_are_provisional_and_no_regression_yet():
    found = trend_of(noisy((100, 60), (115, 2)))
    (change,) = found.newest.changes
    assert (change.state, change.points, change.before.run) == ("provisional", 2, "r059")
    assert trend.exit_status([found]) == 0


def test_five_runs_on_a_new_level_confirm_it():
    assert trend_of(noisy((100, 60), (115, 5))).worsened


@pytest.mark.parametrize("n", [1, 2, 8, 9, 29])
def test_a_short_series_is_undecided_whatever_it_holds(n):
    found = trend_of(noisy((100, n // 2), (200, n - n // 2)))
    assert (found.verdict, found.newest.changes) == ("undecided", ())
    assert found.newest.reason == f"{n} {'run' if n == 1 else 'runs'}, change points need 30"
    assert trend.exit_status([found]) == 3


def test_a_range_for_the_next_run_needs_20_runs_of_the_newest_level():
    assert trend_of(noisy((100, 19))).newest.expected is None
    expected = trend_of(noisy((100, 20))).newest.expected
    assert expected is not None
    assert expected.low < 100 < expected.high
    assert trend_of(noisy((100, 60), (150, 19))).newest.expected is None
    later = trend_of(noisy((100, 60), (150, 20))).newest.expected
    assert later is not None
    assert (later.n, round(later.middle)) == (20, 150)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-300, -5.0, 1e15])
def test_a_series_that_never_moves_is_steady(value):
    assert trend_of([value] * 40).verdict == "steady"


def test_a_level_of_zero_has_a_change_without_a_ratio():
    (change,) = trend_of([0.0] * 40 + [3.0] * 40, unit="count").newest.changes
    assert (change.size, change.new_level, change.direction) == (None, 3.0, "worse")


def test_counts_that_hop_between_two_neighbours_are_steady():
    draw = random.Random("hop")
    values = [draw.choice((319.0, 319.0, 319.0, 320.0)) for _ in range(200)]
    assert trend_of(values, unit="instructions", clock="instructions").verdict == "steady"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(min_value=-1e12, max_value=1e12), min_size=30, max_size=80), st.integers(0, 5))
def test_no_series_breaks_it_and_its_changes_are_in_order(values, repeats):
    found = trend_of([each for value in values for each in [value] * (1 + repeats)])
    places = [change.place for change in found.newest.changes]
    assert places == sorted(set(places))
    assert all(2 <= place <= found.newest.n - 2 for place in places)


def test_series_of_many_lengths_are_judged_as_each_alone():
    many = [noisy((100, 20 + n), (108, 40), seed=n) for n in range(150)]
    together = judge([series(epoch(values)) for values in many])
    assert [msgspec.to_builtins(each) for each in together] == [msgspec.to_builtins(trend_of(each)) for each in many]


# ---- epochs ----


def test_a_trend_never_crosses_from_arm64_to_x86_64():
    arm = epoch(noisy((100, 60)), facts={"host.architecture": "aarch64"})
    intel = epoch(noisy((150, 60)), facts={"host.architecture": "x86_64"}, start=60)
    (found,) = judge([series(arm, intel)])
    assert [stretch.verdict for stretch in found.stretches] == ["steady", "steady"]
    assert found.newest.differs == ("host.architecture: aarch64 -> x86_64",)
    assert trend.exit_status([found]) == 0


def test_a_young_epoch_is_reported_as_new():
    old = epoch(noisy((100, 60)), facts={"probe.compiler": "gcc 12"})
    new = epoch(noisy((150, 10)), facts={"probe.compiler": "gcc 13"}, start=60)
    (found,) = judge([series(old, new)])
    assert found.verdict == "new epoch"
    assert found.newest.differs == ("probe.compiler: gcc 12 -> gcc 13",)
    assert trend.exit_status([found]) == 3


def test_a_regression_in_an_earlier_epoch_is_history():
    old = epoch(noisy((100, 40), (120, 40)), facts={"probe.compiler": "gcc 12"})
    new = epoch(noisy((100, 40)), facts={"probe.compiler": "gcc 13"}, start=80)
    (found,) = judge([series(old, new)])
    assert [stretch.verdict for stretch in found.stretches] == ["changed", "steady"]
    assert trend.exit_status([found]) == 0


# ---- moved boundaries ----


def phases(*levels, seed="phases"):
    return [
        series(epoch(noisy(*each, seed=f"{seed} {number}")), metric=f"phase{number}")
        for number, each in enumerate(levels)
    ]


def test_what_one_phase_lost_and_the_next_gained_is_a_moved_boundary_on_both():
    found = judge(phases(((100, 40), (80, 40)), ((100, 40), (120, 40)), ((100, 80),)))
    notes = [[note for change in each.newest.changes for note in change.notes] for each in found]
    expected = ["moved boundary: phase1 went up, phase0 went down, their sum did not change"]
    assert notes == [expected, expected, []]


@pytest.mark.parametrize(
    "levels",
    [
        (((100, 40), (80, 40)), ((100, 40), (140, 40))),  # they do not cancel out
        (((100, 40), (120, 40)), ((100, 40), (120, 40))),  # both went up
        (((100, 40), (80, 40)), ((100, 60), (120, 20))),  # at different places
    ],
)
def test_two_changes_that_do_not_cancel_out_at_one_place_are_two_changes(levels):
    found = judge(phases(*levels))
    assert [len(each.newest.changes) for each in found] == [1, 1]
    assert not [note for each in found for change in each.newest.changes for note in change.notes]


def test_metrics_of_two_targets_or_units_cancel_nothing():
    down, up = noisy((100, 40), (80, 40)), noisy((100, 40), (120, 40), seed="up")
    of_targets = [series(epoch(down), target="a"), series(epoch(up), target="b")]
    of_units = [series(epoch(down), metric="a"), series(epoch(up, unit="bytes"), metric="b")]
    for found in (judge(of_targets), judge(of_units)):
        assert not [note for each in found for change in each.newest.changes for note in change.notes]


def test_every_pair_of_phases_is_looked_at():
    levels = [((100, 40), (100 + shift, 40)) for shift in (-30, -15, 15, 30)]
    for order in itertools.permutations(range(4)):
        found = judge([phases(*levels)[number] for number in order])
        assert all(change.notes for each in found for change in each.newest.changes)
