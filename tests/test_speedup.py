"""Gates on a speed-up, and the lists of a suite that make the widths which they are about."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest

from benchproof import plan
from benchproof.analysis import scaling, speedup
from benchproof.analysis.gate import Gate
from benchproof.analysis.limit import Limit
from benchproof.analysis.scaling import Cpus, Point, ScalingRow, Series
from benchproof.benchmarks import SUITES
from benchproof.errors import UsageError

CORES = Cpus(allowed="0,1,2,3", count=4, cores=4, pinned=True)
GATE = Gate(
    key="scaling.primes",
    benchmark="scaling.primes",
    metric=None,
    statistic="speedup",
    width=2,
    limit=Limit.parse(">= 1.6"),
)


def row(*medians: float | None, cpus: Cpus = CORES, **more: Any) -> ScalingRow:
    """Of five invocations at widths 1, 2, 4, ..."""
    points = tuple(
        Point(width=2**n, median=median, runs=5, status="passed" if median else "unsupported", **more)
        for n, median in enumerate(medians)
    )
    series = Series(
        system="host", workload="scaling.primes", metric="scaling.primes.elapsed", unit="ns", points=points, cpus=cpus
    )
    return msgspec.structs.replace(scaling.row(series), benchmark="scaling.primes", targets=("host",))


def judged(*rows: ScalingRow, complete: bool = True, **changes: Any) -> list[Any]:
    return list(speedup.judge([msgspec.structs.replace(GATE, **changes)], rows, complete=complete))


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (row(1600, 1000), "met", ""),
        (row(1599, 1000), "not met", ""),
        (row(1000, 1100), "not met", ""),
        (row(1600, 1000, cpus=Cpus(allowed="0", count=1, cores=1)), "undecided", "functional-only oversubscription"),
        (row(1000, 1600, cpus=Cpus(allowed="0", count=1, cores=1)), "undecided", "functional-only oversubscription"),
        (row(1600, 1000, cpus=Cpus(allowed="0,4", count=2, cores=1)), "undecided", "threads that share a core"),
        (row(1600, None), "undecided", "no speed-up: unsupported"),
        (row(1600, 1000, answers=("1", "2")), "not met", "failed: the answer is not the same"),
        (row(1600), "not met", "not asked at width 2"),
    ],
)
def test_a_gate_is_met_by_a_speed_up_that_may_be_claimed(found, verdict, words):
    (said,) = judged(found)
    assert (said.verdict, said.target) == (verdict, "host")
    assert words in said.reason


def test_a_split_that_changed_is_not_met():
    points = tuple(Point(width=n, median=1e3 / n, runs=5, partition=f"split {n}") for n in (1, 2))
    series = Series(system="host", workload="w", metric="m.elapsed", unit="ns", points=points, cpus=CORES)
    (said,) = judged(msgspec.structs.replace(scaling.row(series), benchmark="scaling.primes", targets=("host",)))
    assert (said.verdict, said.reason[:10]) == ("not met", "historical")


def test_four_workers_need_four_cpus_on_record():
    (said,) = judged(row(4000, 2000, 1000, cpus=Cpus(allowed="0-3")), width=4)
    assert said.verdict == "undecided"


def test_too_few_invocations_and_a_run_that_was_ended_give_no_answer():
    assert [each.verdict for each in judged(row(1600, 1000), least=6)] == ["undecided"]
    assert [each.verdict for each in judged(row(1600, 1000), complete=False)] == ["undecided"]


def test_too_few_invocations_of_one_worker_give_no_answer_either():
    found = row(1600, 1000)
    one, two = found.steps
    short = msgspec.structs.replace(found, steps=(msgspec.structs.replace(one, n=1), two))
    (said,) = judged(short, least=5)
    assert (said.verdict, said.reason[:40]) == ("undecided", "insufficient evidence: 1 invocations, th")


def test_a_workload_without_widths_is_missing_and_not_passed_over():
    (said,) = judged()
    assert (said.verdict, said.target) == ("not met", "every target")
    assert "was not asked at several widths" in said.reason
    assert [each.verdict for each in judged(complete=False)] == ["undecided"]


def test_a_gate_speaks_of_its_own_target_and_mode():
    other = msgspec.structs.replace(row(1000, 1100), system="linux", targets=("linux/vcpus=1", "linux/vcpus=2"))
    assert [each.target for each in judged(row(1600, 1000), other, target="linux/vcpus=2")] == ["linux"]
    assert [each.verdict for each in judged(other, mode="review")] == ["review"]
    assert [each.verdict for each in judged(other, mode="off")] == ["off"]


def parsed(suite: str, gate: str = "") -> plan.Plan:
    text = f"[targets.host]\n[suites.s]\nbenchmarks = [{suite}]\n{gate}"
    return plan.parse(tomllib.loads(text), where="plan.toml")


PRIMES = '{ name = "scaling.primes", width = [1, 2, 4] }'
STATED = '[gates."scaling.primes"]\nstatistic = "speedup"\nwidth = 2\nlimit = ">= 1.6"\n'


def test_a_plan_states_a_speed_up_and_its_width():
    (gate,) = parsed(PRIMES, STATED).gates
    assert (gate.statistic, gate.width, gate.limit.bound) == ("speedup", 2, 1.6)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("width = 2\n", "", 'expected one such as 2 beside statistic = "speedup" alone, found none'),
        ('"speedup"', '"median"', "found 2 without that"),
        ("width = 2", "width = 1", "width: expected 2 or more, found 1"),
        (">= 1.6", "< 1.6", "limit: expected a speed-up such as '>= 1.6', found '< 1.6'"),
        (">= 1.6", ">= 1.6 ms", "limit: expected a speed-up such as '>= 1.6', found '>= 1.6 ms'"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(old, new, words):
    with pytest.raises(UsageError) as caught:
        parsed(PRIMES, STATED.replace(old, new))
    assert words in str(caught.value)


def test_a_list_asks_for_each_of_its_values():
    assert [case.benchmark.width for case in parsed(PRIMES).cases] == [1, 2, 4]
    both = parsed('{ name = "scaling.hash", width = [1, 2], workers = ["process", "thread"] }').cases
    assert len({case.key for case in both}) == 4


def test_a_suite_of_widths_can_be_asked_for_by_its_name():
    document = plan.only({"targets": {"host": {}}}, targets=(), benchmarks=("scaling",))
    cases = plan.parse(document, where="plan").cases
    assert [(case.name, case.benchmark.width) for case in cases] == [
        (name, width) for name in SUITES["scaling"] for width in (1, 2, 4, 8)
    ]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ('{ name = "scaling.primes", width = [] }', "width: expected a value, or a list of at least one, found []"),
        (f'{{ name = "scaling.primes", width = {list(range(1, 66))} }}', "make up to 64 cases, found 65"),
        ('{ name = "scaling.primes", width = [65] }', "width: expected 1 to 64 workers, found 65"),
        ('{ name = "scaling.primes", wdth = [1] }', "unknown key 'wdth'; did you mean 'width'?"),
    ],
)
def test_lists_that_make_no_sense_are_refused(item, words):
    with pytest.raises(UsageError) as caught:
        parsed(item)
    assert words in str(caught.value)
