"""Verdicts: three parts of a line of ratios, and an interval that must lie in one of them."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof.analysis import stats
from benchproof.analysis.compare import DECIDED, Design, Look, Side, exactly, judge, paired, planned_looks

LOOKS = Design(looks=planned_looks(30))


def side(factor: float, *, n=10, noise=0.002, better="lower", seed=1, floor=None) -> Side:
    chance = random.Random(seed)
    base = {block: 100 * math.exp(chance.gauss(0, 0.05)) for block in range(n)}
    new = {block: value * factor * math.exp(chance.gauss(0, noise)) for block, value in base.items()}
    return Side(base=base, new=new, better=better, floor=floor)


@pytest.mark.parametrize(
    ("factor", "better", "verdict"),
    [(2, "lower", "slower"), (2, "higher", "faster"), (0.5, "lower", "faster"), (0.5, "higher", "slower")],
)
def test_the_direction_of_a_metric_decides_what_is_faster(factor, better, verdict):
    assert paired(side(factor, better=better)).verdict == verdict


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "same"), (1.01, "same"), (1.02, "undecided"), (1.03, "slower")])
def test_the_interval_is_held_against_the_margin(factor, verdict):
    assert paired(side(factor)).verdict == verdict


def test_a_measured_floor_widens_the_margin_and_is_told():
    found = paired(side(1.03, floor=0.04))
    assert (found.verdict, found.margin, found.floor) == ("same", 0.04, 0.04)


def test_an_interval_across_an_edge_says_how_many_pairs_would_decide():
    found = paired(side(1.04, noise=0.05))
    assert found.verdict == "undecided"
    assert found.reason.startswith("the interval holds an edge of the margin; about ")


def test_one_pair_is_insufficient_evidence():
    found = paired(side(2.0, n=1))
    assert (found.verdict, found.ratio) == ("undecided", None)
    assert found.reason.startswith("insufficient evidence: 1 pair")


def test_only_blocks_that_both_have_are_paired_and_too_few_are_said():
    base = dict.fromkeys(range(6), 10.0)
    found = paired(Side(base=base, new=dict.fromkeys(range(3, 9), 10.0), better="lower"))
    assert found.ratio is None
    assert found.reason.startswith("insufficient evidence: 3 pairs")


def test_values_of_zero_are_compared_by_difference():
    base = dict.fromkeys(range(8), 0.0)
    same = paired(Side(base=base, new=base, better="lower"))
    worse = paired(Side(base=base, new={block: 3.0 + block for block in base}, better="lower"))
    assert (same.verdict, same.ratio, worse.verdict) == ("same", None, "slower")
    assert worse.difference is not None
    assert worse.difference.low > 0


def test_counts_differ_by_what_they_differ():
    assert exactly(345.96, 345.96, "lower").verdict == "same"
    found = exactly(345.96, 346.96, "lower")
    assert (found.verdict, found.difference.estimate) == ("slower", pytest.approx(1.0))
    assert exactly(0.0, 1.0, "lower").ratio is None


def test_a_claim_must_hold_among_all_metrics_of_the_pair():
    alone = side(1.5, n=6)
    many = {"changed": alone} | {f"same {number}": side(1.0, n=6, seed=number) for number in range(30)}
    assert paired(alone).verdict == "slower"
    found = judge(many)["changed"]
    assert found.verdict == "undecided"
    assert "among 31 metrics" in found.reason
    assert judge(many | {f"too {number}": alone for number in range(60)})["changed"].verdict == "slower"


def test_planned_looks_share_one_error_and_can_each_reach_theirs():
    for blocks in range(7, 200):
        looks = planned_looks(blocks)
        assert sum(look.alpha for look in looks) == pytest.approx(0.01)
        assert all(2.0**-look.blocks <= look.alpha for look in looks)
        assert looks[-1].blocks == blocks
    assert planned_looks(30) == (Look(10, 0.002), Look(20, 0.004), Look(30, 0.004))
    with pytest.raises(ValueError, match="at least 7 blocks, found 6"):
        planned_looks(6)


def test_a_look_that_decides_is_the_last_and_blocks_behind_it_change_nothing():
    first, whole = side(1.5, n=10), side(1.5, n=30)
    changed = {block: value * (1 if block < 10 else 0.2) for block, value in whole.new.items()}
    found = [paired(Side(base=whole.base, new=new, better="lower"), LOOKS) for new in (whole.new, changed)]
    assert found[0] == found[1]
    assert ([glance.blocks for glance in found[0].looks], found[0].verdict) == ([10], "slower")
    assert paired(first, LOOKS).ratio.confidence == pytest.approx(0.996)


def test_between_two_looks_nothing_is_decided():
    found = paired(side(1.5, n=9), LOOKS)
    assert (found.verdict, found.looks) == ("undecided", ())
    assert "no planned look was reached in 9 blocks" in found.reason


def test_every_look_is_kept():
    found = paired(side(1.02, n=30, noise=0.03), LOOKS)
    assert [glance.blocks for glance in found.looks] == [10, 20, 30]
    assert all(glance.verdict == "undecided" for glance in found.looks)


def test_stopping_early_keeps_the_stated_error():
    """With no margin, any claim on equal sides is an error: at most 2 % of both directions together."""
    design = Design(margin=0.0, looks=planned_looks(30))
    claims = sum(paired(side(1.0, n=30, noise=0.05, seed=seed), design).verdict != "undecided" for seed in range(1500))
    assert claims / 1500 <= 0.02 + 0.007


@given(st.lists(st.floats(0.5, 2), min_size=6, max_size=14), st.floats(0.01, 100))
def test_scale_does_not_matter_and_swapping_the_sides_swaps_the_verdict(ratios, scale):
    base, new = dict.fromkeys(range(len(ratios)), scale), {block: scale * ratio for block, ratio in enumerate(ratios)}
    there = paired(Side(base=base, new=new, better="lower"))
    back = paired(Side(base=new, new=base, better="lower"))
    swapped = {"faster": "slower", "slower": "faster"}
    assert back.verdict == swapped.get(there.verdict, there.verdict)
    assert there.ratio.estimate * back.ratio.estimate == pytest.approx(1)


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=25), st.floats(-1, 1))
def test_the_p_value_and_the_interval_are_duals(values, at):
    interval = stats.hodges_lehmann(values)
    assert (interval.low > at) == (stats.wilcoxon_p(values, above=at) <= 0.025)


def test_nothing_is_decided_by_an_interval_that_holds_an_edge():
    for seed in range(200):
        found = paired(side(1.03, n=8, noise=0.03, seed=seed))
        edge = 1 + found.margin
        holds = found.ratio.low <= edge < found.ratio.high or found.ratio.low < 1 / edge <= found.ratio.high
        assert (found.verdict in DECIDED) != holds


def test_a_ratio_of_just_the_margin_is_within_it():
    base = dict.fromkeys(range(8), 100.0)
    for new in (102.0, 100 / 1.02):
        assert paired(Side(base=base, new=dict.fromkeys(range(8), new), better="lower")).verdict == "same"
