"""The gate on real timings that were recorded once: what it says of them does not depend on the machine of today.

`data/gate/timings.json` is from `python -m benchmarks gate_study`; its `machine` says where and how.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gate_study import Window, evaluate, naive

RECORDED = json.loads((Path(__file__).parent / "data" / "gate" / "timings.json").read_text())


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    return [
        Window(**{arm: tuple((ms,) for ms in times) for arm, times in each.items()}) for each in RECORDED["windows"]
    ]


def test_equal_commands_are_never_called_slower_and_five_percent_are_found(windows):
    found = evaluate(windows)
    equal, slow = found["A/A interleaved"], found["+5 % interleaved"]
    assert (equal.slower.events, equal.faster.events) == (0, 0)
    assert slow.slower.events >= 0.9 * slow.slower.of
    assert slow.faster.events == 0
    assert slow.pairs <= 30


def test_the_same_gate_in_blocked_order_calls_equal_commands_different(windows):
    """A warning, not a way to measure: the same machine, minutes and test, all of one side before all of the other."""
    found = evaluate(windows)["A/A blocked order"]
    assert found.slower.events + found.faster.events > 0.05 * found.slower.of


def test_a_plain_interval_holds_its_error_in_pairs_and_not_in_blocked_order(windows):
    interleaved, blocked = naive(windows, "interleaved"), naive(windows)
    assert interleaved.low <= 0.05
    assert blocked.low > 0.15
