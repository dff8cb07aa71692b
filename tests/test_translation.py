"""What each benchmark becomes on a system that measures itself: its evidence decides, nothing is taken for granted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchproof import plan, runner
from benchproof.benchmarks import BENCHMARKS
from benchproof.benchmarks.kernel.primitive import Primitive
from benchproof.benchmarks.primitive.pipe import PATTERN_SUM
from benchproof.benchmarks.primitive.probed import Probed
from benchproof.errors import InvocationError, UsageError
from benchproof.model import Failed, Invalid, Outcome, Passed, Unsupported, Unverified
from benchproof.protocol import grammar
from benchproof.targets.fake import Fake
from conftest import completed
from transcripts import Speaks, console

PROBED = {name: BENCHMARKS.load(name) for name in BENCHMARKS.own if issubclass(BENCHMARKS.load(name), Probed)}
TRANSLATED = {name: kind() for name, kind in PROBED.items() if kind.translation}
UNTRANSLATED = [name for name, kind in PROBED.items() if not kind.translation]
OPERATIONS = 30  # of `console`: a warm-up and two samples


def outcome(benchmark: Any, target: Any) -> Outcome:
    try:
        return runner.judge(benchmark, benchmark.run(target))
    except InvocationError as error:
        return runner.outcome_of(error)


def evidence(name: str) -> dict[str, object]:
    """All that the table asks for."""
    benchmark = TRANSLATED[name]
    row = benchmark.translation
    words = OPERATIONS * PATTERN_SUM + OPERATIONS * (OPERATIONS - 1) // 2
    return {
        **dict.fromkeys(row.counts, OPERATIONS),
        **dict.fromkeys(row.zeros, 0),
        **benchmark.literals,
        **({"word_sum": words % 2**64} if name == "ipc.pipe" else {}),
    }


def faults(name: str) -> Iterator[dict[str, object]]:
    good = evidence(name)
    for key, value in good.items():
        yield {each: other for each, other in good.items() if each != key}
        yield good | {key: int(str(value)) + 1}
    yield good | {"operations": OPERATIONS + 1}
    yield good | {"failures": 1}


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_system_that_tells_all_that_the_table_asks_for_passes(name):
    speaks = Speaks(console(name, evidence(name)))
    found = TRANSLATED[name].run(speaks)
    assert isinstance(runner.judge(TRANSLATED[name], found), Passed)
    assert speaks.asked == [name]
    assert found.evidence["mechanism"] == f"the mechanism of {name}"
    assert found.evidence["difference"] == TRANSLATED[name].translation.differs
    (measurement,) = found.measurements
    assert measurement.metric == f"{name}.{TRANSLATED[name].quantity}"
    assert (measurement.iterations, len(measurement.warmups), len(measurement.samples)) == (10, 1, 2)
    if measurement.unit == "ns":
        assert measurement.samples == (500.0, 700.0)


@pytest.mark.parametrize("name", TRANSLATED)
def test_evidence_that_is_missing_or_wrong_is_never_passed(name):
    for told in faults(name):
        found = outcome(TRANSLATED[name], Speaks(console(name, told)))
        assert isinstance(found, Failed | Invalid), told


def test_other_work_than_asked_for_is_invalid():
    told = evidence("memory.memcpy") | {"size_bytes": 4096}
    found = outcome(TRANSLATED["memory.memcpy"], Speaks(console("memory.memcpy", told)))
    assert found == Invalid(reason="it measured other work: expected size_bytes 1048576, found 4096")


def test_a_throughput_is_that_of_the_stated_size():
    name = "memory.memcpy"
    (measurement,) = TRANSLATED[name].run(Speaks(console(name, evidence(name)))).measurements
    assert (measurement.unit, measurement.better) == ("bytes/s", "higher")
    assert measurement.samples[0] == pytest.approx(2**20 * 10 / 5e-6)


@pytest.mark.parametrize("name", UNTRANSLATED)
def test_what_has_no_counterpart_is_not_applicable(name):
    speaks = Speaks(console(name, {"completed": 30}))
    found = outcome(PROBED[name](), speaks)
    assert isinstance(found, Unsupported)
    assert found.reason.startswith("not_applicable: ")


OTHERS = [
    name for name in BENCHMARKS.own if name not in PROBED and not name.startswith(("kernel.", "python.", "smoke."))
]


@pytest.mark.parametrize("name", OTHERS)
def test_a_benchmark_of_another_kind_says_clearly_that_it_cannot_be_had(name):
    found = outcome(BENCHMARKS.load(name)(), Speaks(console("x", {})))
    assert isinstance(found, Unsupported), found
    assert found.reason


NAMELESS = grammar.of(
    {
        "dialect": "bare words",
        "total": r"@bp done (?P<name>\S+) samples=\d+ operations=(?P<operations>\d+) elapsed=(?P<elapsed>\d+)",
        "end": r"@bp end .*",
    }
)


@pytest.mark.parametrize("name", [*PROBED, "scaling.primes", "scaling.hash"])
def test_a_figure_that_comes_without_evidence_is_unverified_whatever_it_is_of(name):
    found = outcome(BENCHMARKS.load(name)(), Speaks(console(name, {}), grammar=NAMELESS))
    assert isinstance(found, Unverified), found
    assert found.source == "bare words"


def test_what_the_kernel_lacks_is_not_applicable_in_its_own_words():
    found = outcome(TRANSLATED["timer.wake"], Speaks(console("syscall.getpid", evidence("syscall.getpid"))))
    assert isinstance(found, Unsupported)
    assert (
        found.reason
        == "not_applicable: nothing else is there (line 3, byte 116: '@bp unsupported * nothing else is there')"
    )


def test_instructions_and_cycles_are_a_cost_of_one_operation_under_their_own_name():
    for name, cycles in (("syscall.getpid", "syscall.getpid.latency"), ("memory.memcpy", "memory.memcpy.cycles")):
        text = console(name, evidence(name), unit="cycles")
        (measurement,) = TRANSLATED[name].run(Speaks(text)).measurements
        assert (measurement.metric, measurement.unit, measurement.better) == (cycles, "cycles", "lower")
        assert measurement.samples == (500.0, 700.0)
        found = TRANSLATED[name].run(Speaks(console(name, evidence(name), unit="ticks"), exact=True))
        assert isinstance(runner.judge(TRANSLATED[name], found), Passed)
        (measurement,) = found.measurements
        assert (measurement.metric, measurement.unit) == (f"{name}.instructions", "instructions")
        assert (measurement.clock, measurement.samples) == ("instructions", (500.0,))


def test_a_delay_cannot_be_injected_where_nothing_of_ours_runs():
    for injected in ({"inject": 0.001}, {"inject_instructions": 5}):
        found = outcome(PROBED["syscall.getpid"](**injected), Speaks(console("syscall.getpid", {})))
        assert isinstance(found, Unsupported)
        assert "slower on purpose" in found.reason


# ---- a primitive that only this kernel has ----

SWITCH = Primitive(what="task.switch", counts=("turns",), zeros=("lost",), expect={"order": "abab"})
TURNS = {"turns": OPERATIONS, "lost": 0, "order": "abab"}


def test_a_primitive_of_the_kernels_own_is_judged_by_the_evidence_that_the_plan_asks_for():
    found = SWITCH.run(Speaks(console("task.switch", TURNS)))
    assert isinstance(runner.judge(SWITCH, found), Passed)
    (measurement,) = found.measurements
    assert (measurement.metric, measurement.unit, measurement.samples) == ("task.switch.latency", "ns", (500.0, 700.0))


@pytest.mark.parametrize("wrong", [{"turns": 29}, {"lost": 1}, {"order": "aabb"}, {"operations": 20}])
def test_a_primitive_whose_evidence_is_wrong_or_missing_is_failed(wrong):
    assert isinstance(outcome(SWITCH, Speaks(console("task.switch", TURNS | wrong))), Failed)
    without = {key: value for key, value in TURNS.items() if key not in wrong}
    if len(without) < len(TURNS):
        assert isinstance(outcome(SWITCH, Speaks(console("task.switch", without))), Failed)


def test_operations_that_a_plan_counts_are_those_that_the_kernel_tells():
    counted = Primitive(what="task.switch", counts=("operations",))
    assert isinstance(outcome(counted, Speaks(console("task.switch", {"operations": OPERATIONS}))), Passed)
    assert isinstance(outcome(counted, Speaks(console("task.switch", {"turns": OPERATIONS}))), Failed)


def test_a_primitive_of_a_kernel_does_not_apply_to_a_system_that_runs_programs():
    found = outcome(SWITCH, Fake(lambda _argv, _stdin, _files: completed(b"")))
    assert isinstance(found, Unsupported)
    assert found.reason.startswith("not_applicable: ")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"what": "x"}, "expected evidence to ask for"),
        ({"what": "no name", "zeros": ["a"]}, "expected the kernel's name"),
        ({"what": "syscall.getpid", "zeros": ["a"]}, "'syscall.getpid' is a benchmark, whose oracle knows more"),
        ({"what": "x", "zeros": ["a b"]}, "found 'a b'"),
        ({"what": "x", "zeros": ["a"], "counts": ["a"]}, "found 'a'"),
        ({"what": "x", "expect": {"measured_by": "the system itself"}}, "'measured_by', which benchproof adds itself"),
        ({"zeros": ["a"]}, "what"),
        ({"what": "x", "zero": ["a"]}, "unknown key 'zero'; did you mean 'zeros'"),
        ({"what": "x", "zeros": ["a"], "timeout": 0}, "timeout"),
    ],
)
def test_a_primitive_that_asks_for_nothing_sensible_is_a_wrong_question(parameters, words):
    document = {
        "targets": {"host": {}},
        "suites": {"own": {"benchmarks": [{"name": "kernel.primitive"} | parameters]}},
    }
    with pytest.raises(UsageError, match=words):
        plan.parse(document, where="plan")


def test_a_gate_holds_one_primitive_by_the_name_of_its_metric():
    own = [{"name": "kernel.primitive", "what": what, "zeros": ["lost"]} for what in ("task.switch", "page.map_unmap")]
    document = {
        "targets": {"host": {}},
        "suites": {"own": {"benchmarks": own}},
        "gates": {"page.map_unmap.latency": {"statistic": "median", "limit": "< 1 us"}},
    }
    (gate,) = plan.parse(document, where="plan").gates
    assert (gate.benchmark, gate.metric) == ("kernel.primitive", "page.map_unmap.latency")
    document["gates"] = {"page.map_unmap.latency": {"statistic": "median", "limit": "< 1 MiB/s"}}
    with pytest.raises(UsageError, match="limit"):
        plan.parse(document, where="plan")


def test_the_parameters_of_a_case_are_those_that_are_on_disk():
    own = {"name": "kernel.primitive", "what": "task.switch", "counts": ["turns"]}
    (case,) = plan.parse({"targets": {"host": {}}, "suites": {"own": {"benchmarks": [own]}}}, where="plan").cases
    assert case.parameters["counts"] == ["turns"]
    assert json.loads(json.dumps(case.parameters)) == case.parameters
