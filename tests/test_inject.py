"""A case that was made slower on purpose: by exactly what was asked, and never mistaken for the plain one."""

from __future__ import annotations

import functools
import subprocess
from typing import Any

import msgspec
import pytest

from benchproof import laboratory, plan, probe, runner
from benchproof.analysis import invocations
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.primitive.probed import Probed
from benchproof.errors import NotSupported, UsageError
from benchproof.model import Failed, Observation, Passed
from benchproof.quantities import Duration
from benchproof.reporters import FORMATS
from benchproof.targets import KINDS
from benchproof.targets.fake import Fake, FakeInstance
from benchproof.targets.qemu import Qemu
from conftest import completed, lab_in, transcript, why_unusable

DELAYED = {"injected_ns": "50.000", "injected_operations": 90, "lingered_ns": 4510}


def tiny(name: str, **injected: Any) -> Probed:
    settings = {"samples": 3, "warmups": 1, "sample_time": Duration(0.0005), "budget": Duration(0.2)}
    made: Probed = BENCHMARKS.load(name)(**settings, **injected)
    return made


def on_host(folder, *, defines=()):
    built = probe.build(laboratory.cache_folder(), defines=defines)
    kind = KINDS.load("host")
    return kind(kind.Settings(), lab_in(folder, built.path))


@pytest.mark.parametrize("name", SUITES["primitive"])
def test_every_benchmark_can_be_delayed_and_its_oracle_agrees(tmp_path, name):
    benchmark = tiny(name, inject=Duration(50e-9))
    seen = benchmark.run(on_host(tmp_path))
    assert isinstance(runner.judge(benchmark, seen), Passed), list(benchmark.verify(seen))
    assert seen.evidence["injected_ns"] == "50.000"
    assert int(seen.evidence["lingered_ns"]) >= 50 * int(seen.evidence["injected_operations"])


def test_a_sample_is_never_shorter_than_the_delay_within_it(tmp_path):
    seen = tiny("syscall.getpid", inject=Duration(2e-6)).run(on_host(tmp_path))
    assert all(sample > 2000 for sample in seen.measurements[0].samples)


def test_a_delay_that_did_not_happen_is_noticed(tmp_path):
    benchmark = tiny("syscall.getpid", inject=Duration(50e-9))
    found = runner.judge(benchmark, benchmark.run(on_host(tmp_path, defines=("PLANTED=NO_DELAY",))))
    assert isinstance(found, Failed)
    assert "were to be delayed by 50.000 ns each, found 0 ns in all" in found.violations[0]


@pytest.mark.parametrize(
    ("parameters", "evidence", "words"),
    [
        ({}, DELAYED, "injected_ns: expected nothing, found 50.000"),
        ({}, {"injected_instructions": 3, "injected_operations": 9}, "injected_instructions: expected nothing"),
        ({"inject": Duration(50e-9)}, {}, "injected_ns: expected 50.000, found nothing"),
        ({"inject": Duration(60e-9)}, DELAYED, "injected_ns: expected 60.000, found 50.000"),
        ({"inject": Duration(50e-9)}, DELAYED | {"lingered_ns": 4499}, "found 4499 ns in all"),
        ({"inject": Duration(50e-9)}, DELAYED | {"injected_operations": 0}, "injected_operations: expected up to 100"),
        ({"inject": Duration(50e-9)}, DELAYED | {"injected_operations": 101}, "expected up to 100, found 101"),
        ({"inject_instructions": 4}, {"injected_instructions": 3, "injected_operations": 9}, "expected 4, found 3"),
    ],
)
def test_what_was_injected_must_be_what_was_asked(parameters, evidence, words):
    benchmark = tiny("syscall.getpid", **parameters)
    answer = completed(transcript(evidence=evidence))
    seen = benchmark.run(Fake(lambda _argv, _stdin, _files: answer))
    assert any(words in violation for violation in benchmark.verify(seen))


def test_the_evidence_of_a_delay_passes_when_it_fits():
    benchmark = tiny("syscall.getpid", inject=Duration(50e-9))
    answer = completed(transcript(evidence=DELAYED))
    assert list(benchmark.verify(benchmark.run(Fake(lambda _argv, _stdin, _files: answer)))) == []


# ---- exactly so many instructions ----


@pytest.fixture(scope="module")
def counted(host_probe, tmp_path_factory):
    """The figure of the system call in an exact guest with such an injection, counted once for all tests that ask."""
    if why := why_unusable("qemu"):
        pytest.skip(why)
    target = Qemu(Qemu.Settings(exact=True), lab_in(tmp_path_factory.mktemp("exact"), host_probe.path))

    @functools.cache
    def figure(**injected: int) -> float:
        benchmark = BENCHMARKS.load("syscall.getpid")(**injected)
        seen: Observation = benchmark.run(target)
        assert list(benchmark.verify(seen)) == []
        return seen.measurements[0].samples[0]

    return figure


@pytest.mark.parametrize("count", [1, 1001])
def test_the_figure_of_an_exact_guest_moves_by_exactly_the_instructions_that_were_injected(counted, count):
    assert round(counted(inject_instructions=count) - counted(), 9) == count


def test_a_delay_in_time_is_unsupported_where_instructions_are_counted(monkeypatch):
    monkeypatch.setattr(FakeInstance, "clock", "instructions")
    target = Fake(lambda _argv, _stdin, _files: completed(transcript()))
    with pytest.raises(NotSupported, match="inject_instructions in place of inject"):
        tiny("syscall.getpid", inject=Duration(1e-9)).run(target)


# ---- in a plan, and in a report ----


def document(*items: Any) -> dict[str, Any]:
    return {
        "targets": {"a": {"kind": "host"}, "b": {"kind": "host"}},
        "suites": {"s": {"benchmarks": ["syscall.getpid", "syscall.stat", *items]}},
    }


def test_a_plan_injects_by_amount_and_the_case_is_another_one():
    slow = {"name": "syscall.getpid", "inject": "50 ns", "inject_instructions": 100}
    cases = plan.parse(document(slow), where="test").cases
    plain, injected = (case for case in cases if case.target == "a" and case.name == "syscall.getpid")
    assert plain.key != injected.key
    assert "inject" not in plain.parameters  # the parameters of runs that know of no injection stay what they were
    assert injected.parameters["inject"] == pytest.approx(50e-9)
    assert injected.benchmark.arguments()[-4:] == ["--inject-ns", "50.000", "--inject-instructions", "100"]
    assert plain.benchmark.arguments()[-1].isdigit()


def test_an_injected_case_stands_beside_its_plain_one_in_every_block():
    made = plan.parse(document({"name": "syscall.getpid", "inject": "50 ns"}), where="test", seed=1)
    for block in range(20):
        at = [number for number, case in enumerate(made.schedule(block)) if case.name == "syscall.getpid"]
        assert max(at) - min(at) == 3


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"inject": "0 ns"}, "leave it out for none"),
        ({"inject": "2 s"}, "from 0.001 ns to 1 s"),
        ({"inject": "5 %"}, "expected an amount such as"),
        ({"inject_instructions": 0}, "leave it out for none"),
        ({"inject_instructions": 1.5}, "int"),
        ({"name": "timer.wake", "inject_instructions": 1}, "use inject"),
    ],
)
def test_an_injection_that_makes_no_sense_is_refused(parameters, words):
    with pytest.raises(UsageError, match=words):
        plan.parse(document({"name": "syscall.getpid"} | parameters), where="test")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--inject-ns", "-1"], "up to three decimals, found '-1'"),
        (["--inject-ns", "1.2345"], "up to three decimals"),
        (["--inject-ns", "1."], "up to three decimals"),
        (["--inject-ns", "1e3"], "up to three decimals"),
        (["--inject-ns"], "found 'nothing'"),
        (["--inject-ns", "99999999999"], "up to three decimals"),
        (["--inject-ns", "1000000001"], "at most 1000000000"),
        (["--inject-instructions", "1000000001"], "at most 1000000000"),
    ],
)
def test_the_probe_refuses_an_injection_that_it_cannot_do(host_probe, arguments, words):
    command = [host_probe.path, "bench", "syscall.getpid", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, words in done.stderr, done.stdout) == (64, True, "")


def test_every_report_labels_an_injected_case(tmp_path, monkeypatch, host_probe):
    slow = {"name": "syscall.getpid", "inject": "50 ns"}
    answers = {True: completed(transcript(evidence=DELAYED)), False: completed(transcript())}
    target = Fake(lambda argv, _stdin, _files: answers["--inject-ns" in argv])
    monkeypatch.setattr(plan.Plan, "make_target", lambda _plan, _name, _lab: target)
    made = plan.parse(document(slow) | {"suites": {"s": {"benchmarks": [slow]}}}, where="test", blocks=6)
    with runner.begin(made, tmp_path, host_probe, Silent()) as session:
        assert all(isinstance(result.outcome, Passed) for result in session.run())
        found = session.close()
    silent = {"scaling-csv", "github", "capsem-guest"}  # of widths, of trouble, of the guest suite: this run has none
    for form in set(FORMATS.names()) - silent:
        assert "50 ns" in FORMATS.load(form)(found), form
    assert "(injected 50 ns)" in FORMATS.load("terminal")(found)


class Silent:
    def planned(self, invocations): ...
    def note(self, message): ...
    def done(self, block, target, benchmark, outcome): ...


def test_the_words_for_an_injection_name_both_kinds():
    assert invocations.injected({"inject": 50e-9, "samples": 3}) == "50 ns"
    assert invocations.injected({"inject": 4.42e-9, "inject_instructions": 7}) == "4.42 ns and 7 instructions"
    assert invocations.injected({"samples": 3}) == ""


def test_no_benchmark_has_an_injection_by_default():
    for name in SUITES["primitive"]:
        assert not invocations.injection(msgspec.to_builtins(BENCHMARKS.load(name)(), enc_hook=float))
