"""The run as a whole, through the seam: a plan, fake targets, a bundle."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from benchproof import plan, report, runner
from benchproof.analysis import matrix
from benchproof.analysis.matrix import Column
from benchproof.errors import LabInvalid, NotSupported, StartFailed, TargetFailed
from benchproof.model import Failed, Invalid, Measurement, Noise, Passed, Reported, Result, Unsupported
from benchproof.plan import Limits
from benchproof.quantities import Duration, Share
from benchproof.store import bundle
from benchproof.targets import KINDS
from benchproof.targets.fake import Fake
from benchproof.verify import verify
from conftest import completed, transcript

GOOD = completed(transcript())
DOCUMENT = {
    "targets": {"a": {"kind": "host"}, "b": {"kind": "host"}},
    "suites": {"s": {"benchmarks": ["syscall.getpid", {"name": "syscall.getpid", "samples": 7}]}},
}


class Silent:
    def planned(self, invocations): ...
    def note(self, message): ...
    def done(self, block, target, benchmark, outcome): ...


@pytest.fixture
def measure(tmp_path, monkeypatch, host_probe):
    """Run the plan above with targets whose answers are given; returns the bundle as it is on disk."""

    def go(*, complete: bool = True, **targets: Any) -> bundle.Run:
        changes = targets.pop("changes", {"blocks": 6})
        wanted = plan.parse(DOCUMENT, where="test", **changes)
        made = {name: target if isinstance(target, Fake) else Fake(target) for name, target in targets.items()}
        monkeypatch.setattr(plan.Plan, "make_target", lambda _plan, name, _lab: made[name])
        with runner.begin(wanted, tmp_path / "home", host_probe, Silent()) as session:
            for _ in session.run():
                pass
            if complete:
                session.close()
        assert all(target.alive == 0 for target in made.values())
        return bundle.load(session.out.path)

    return go


def always(answer):
    def respond(_argv, _stdin, _files):
        if isinstance(answer, Exception):
            raise answer
        return answer

    return respond


def in_turn(*answers):
    """One answer after the other, the last one for ever."""
    left = list(answers)

    def respond(argv, stdin, files):
        answer = left.pop(0) if len(left) > 1 else left[0]
        return always(answer)(argv, stdin, files)

    return respond


def test_every_case_has_one_invocation_a_block_and_the_warm_up_block_is_apart(measure):
    run = measure(a=always(GOOD), b=always(GOOD))
    assert len(run.results) == 2 * 2 * 6
    assert {result.block for result in run.results} == set(range(6))
    assert {result.block for result in run.warmups} == {-1}
    assert set(Counter((r.target, str(r.parameters)) for r in run.results).values()) == {6}
    assert verify(run.path).problems == ()


def test_each_invocation_is_a_fresh_start(measure):
    target = Fake(always(GOOD))
    measure(a=target, b=always(GOOD))
    assert target.starts == 2 * (6 + 1) + 1  # the smokes share one


def test_a_wrong_answer_of_the_warm_up_block_takes_the_number_away_too(measure):
    run = measure(a=always(GOOD), b=in_turn(TargetFailed("it crashed"), GOOD))
    assert {type(result.outcome) for result in run.results} == {Passed}
    assert sorted(row.cells["b"].status for row in report.build(run).rows) == ["failed", "passed"]


@pytest.mark.parametrize(("bad", "status"), [(1, "passed"), (2, "invalid")])
def test_more_than_a_tenth_of_invalid_invocations_take_the_number_away(bad, status):
    def result(block, outcome):
        known = {"run_id": "r", "target": "t", "benchmark": "b", "parameters": {}, "tier": 1, "block": block}
        return Result(**known, started_at="", duration_ns=1, envelope="", attempt=1, outcome=outcome)

    measured = Measurement(metric="b.latency", unit="ns", better="lower", clock="target", iterations=1, samples=(5.0,))
    outcomes = [Invalid(reason="truncated")] * bad + [Passed(measurements=(measured,))] * (10 - bad)
    column = Column(target="t", reference="t", envelope="", context=())
    (row,) = matrix.rows([("t", "b", {}, 1)], [result(*each) for each in enumerate(outcomes)], [column])
    assert row.cells["t"].status == status
    assert (row.cells["t"].median is None) == (status == "invalid")
    assert f"truncated ({bad} of 10)" in row.cells["t"].notes


@pytest.mark.parametrize(("statistic", "noted"), [("minimum", True), ("mode", False)])
def test_a_count_that_stands_for_batches_that_differ_says_so(statistic, noted):
    figure = Measurement(
        metric="b.instructions", unit="instructions", better="lower", clock="instructions", iterations=1, samples=(5.0,)
    )
    known = {"run_id": "r", "target": "t", "benchmark": "b", "parameters": {}, "tier": 1, "block": 0, "attempt": 1}
    counted = Result(
        **known,
        started_at="",
        duration_ns=1,
        envelope="",
        outcome=Passed(measurements=(figure,)),
        evidence={"statistic": statistic},
    )
    column = Column(target="t", reference="t", envelope="", context=(), exact=True)
    (row,) = matrix.rows([("t", "b", {}, 1)], [counted], [column])
    assert any("shortest" in note for note in row.cells["t"].notes) == noted


def test_a_failure_is_recorded_and_the_run_goes_on(measure):
    run = measure(a=always(GOOD), b=in_turn(GOOD, TargetFailed("it crashed"), GOOD))
    failed = [result for result in run.results if isinstance(result.outcome, Failed)] + [
        result for result in run.warmups if isinstance(result.outcome, Failed)
    ]
    assert [result.outcome.violations for result in failed] == [("it crashed",)]
    assert len(run.results) == 24


def test_one_wrong_answer_takes_the_number_away(measure):
    wrong = completed(transcript(evidence={"pid_sum": 1}))
    run = measure(a=always(GOOD), b=in_turn(*[GOOD] * 8, wrong, GOOD))
    cells = [row.cells["b"] for row in report.build(run).rows]
    assert sorted(cell.status for cell in cells) == ["failed", "passed"]
    (bad,) = (cell for cell in cells if cell.status == "failed")
    assert bad.median is None
    assert bad.comparison is None
    assert "pid_sum: expected 700, found 1 (1 of 6)" in bad.notes


def test_unsupported_is_said_once_for_each_case_and_never_zero(measure):
    run = measure(a=always(GOOD), b=always(NotSupported("no such call", missing="a newer kernel")))
    assert len([each for each in run.results if isinstance(each.outcome, Unsupported)]) == 2
    for row in report.build(run).rows:
        assert row.cells["b"].status == "unsupported"
        assert row.cells["b"].median is None
        assert row.cells["b"].notes == ("no such call; to get it: a newer kernel",)
        assert row.cells["a"].status == "passed"


def test_a_target_that_has_no_facts_is_unsupported_in_every_case(measure):
    class Absent(Fake):
        def facts(self):
            raise NotSupported("not installed", missing="apt-get install it")

    run = measure(a=always(GOOD), b=Absent(always(GOOD)))
    built = report.build(run)
    assert {row.cells["b"].status for row in built.rows} == {"unsupported"}
    assert (built.passed, built.total) == (2, 4)
    assert "b" not in run.target_envelopes


def test_a_target_that_does_not_start_is_given_up_and_the_others_go_on(measure):
    class Broken(Fake):
        def start(self):
            if self.starts:
                self.starts += 1
                raise StartFailed("no boot")
            return super().start()

    broken = Broken(always(GOOD))
    run = measure(a=always(GOOD), b=broken)
    assert broken.starts == 1 + 3  # the first is for the smokes
    assert {row.cells["b"].status for row in report.build(run).rows} == {"failed"}
    assert any(
        "not tried: the target did not start 3 times" in v
        for r in run.results
        for v in getattr(r.outcome, "violations", ())
    )
    assert {row.cells["a"].n for row in report.build(run).rows} == {6}


def test_an_invalid_invocation_is_tried_again_and_every_try_is_stored(measure):
    run = measure(a=always(GOOD), b=in_turn(LabInvalid("truncated"), LabInvalid("truncated"), GOOD))
    tries = [r for r in run.warmups if (r.target == "b" and r.attempt > 1) or isinstance(r.outcome, Invalid)]
    assert [(type(r.outcome), r.attempt) for r in tries] == [(Invalid, 1), (Invalid, 2), (Passed, 3)]


def test_retries_are_bounded_and_the_rest_is_invalid_not_failed(measure):
    run = measure(a=always(GOOD), b=always(LabInvalid("truncated")), changes={"blocks": 1, "retries": 1})
    assert Counter(type(r.outcome) for r in run.results if r.target == "b") == {Invalid: 4}
    assert {row.cells["b"].status for row in report.build(run).rows} == {"invalid"}


def test_a_bug_of_ours_keeps_its_traceback(measure):
    with pytest.raises(ZeroDivisionError):
        measure(a=always(ZeroDivisionError("bug")), b=always(GOOD))


@pytest.mark.parametrize(
    ("noise", "limits", "words"),
    [
        (Noise(steal=0.03), Limits(steal=Share(0.02)), "steal time 3.0% is over the limit of 2.0%"),
        (Noise(pressure=0.5), Limits(pressure=Share(0.1)), "CPU pressure 50.0%"),
        (Noise(load=9.0), Limits(load=2.0), "load 9.00"),
        (Noise(clock_step_ns=-5_000_000), Limits(clock_step=Duration(0.001)), "moved by -5.000 ms"),
    ],
)
def test_noise_over_a_limit_is_invalid(noise, limits, words):
    assert words in runner.beyond(limits, noise)
    assert runner.beyond(Limits(clock_step=None), noise) == ""


def test_noise_that_the_kernel_does_not_tell_breaks_no_limit():
    assert runner.beyond(Limits(steal=Share(0), pressure=Share(0), load=0.0), Noise()) == ""


def test_noise_is_recorded_with_every_invocation(measure):
    run = measure(a=always(GOOD), b=always(GOOD))
    assert all(r.noise.load is not None and r.noise.context_switches is not None for r in run.results)


class Told(Fake):
    """A system that measures itself, and did so a while ago: the noise that counts is that of then."""

    def __init__(self, noise: Noise) -> None:
        said = {"protocol": "benchproof 1", "freshness": "token", "pace": "not shown"}
        super().__init__(always(GOOD), facts={"machine": {"execution": "native"}, "system": {"kind": "fake"} | said})
        self.said = Reported(
            name="syscall.getpid",
            mechanism="a no-op",
            unit="ns",
            clock="target",
            iterations=100,
            warmups=(),
            samples=(1000.0, 1010.0),
            evidence={"completed": "200", "overflows": "0", "wrong_cookies": "0"},
            noise=noise,
        )

    @contextlib.contextmanager
    def start(self):
        with super().start() as instance:
            instance.report = lambda _name, *, timeout_s: self.said
            yield instance


@pytest.mark.parametrize(("steal", "outcome"), [(0.5, Invalid), (0.0, Passed)])
def test_noise_of_an_earlier_start_is_held_against_the_limits(measure, steal, outcome):
    run = measure(
        a=always(GOOD),
        b=Told(Noise(steal=steal)),
        changes={"blocks": 1, "limits": {"steal": "40 %"}, "retries": 0},
    )
    found = [each for each in run.results if each.target == "b"]
    assert [(type(each.outcome), each.noise.steal) for each in found] == [(outcome, steal)] * 2


def test_targets_of_one_envelope_facet_get_a_ratio_and_others_are_context(measure):
    emulated = Fake(always(GOOD), facts={"machine": {"execution": "tcg"}, "system": {"kind": "guest"}})
    built = report.build(measure(a=always(GOOD), b=emulated))
    column = built.columns[1]
    assert column.context == ("machine.execution: native against tcg",)
    assert all(row.cells["b"].comparison is None and row.cells["b"].median for row in built.rows)


def test_a_ratio_has_its_interval_from_six_blocks_on(measure):
    slow = completed(transcript(samples=(2000, 2020, 1980), wall_ns=10_000))
    built = report.build(measure(a=always(GOOD), b=always(slow)))
    for row in built.rows:
        comparison = row.cells["b"].comparison
        assert comparison is not None
        assert comparison.ratio is not None
        assert comparison.ratio.estimate == pytest.approx(2)
        assert (comparison.ratio.n, comparison.verdict) == (6, "slower")


@pytest.mark.parametrize(("blocks", "words"), [(1, "smoke, no claim"), (5, "description only"), (6, "")])
def test_few_blocks_make_no_claim(measure, blocks, words):
    built = report.build(measure(a=always(GOOD), b=always(GOOD), changes={"blocks": blocks}))
    assert words in built.label
    assert bool(built.label) == (blocks < 6)
    assert all((row.cells["b"].comparison.ratio is None) == (blocks < 6) for row in built.rows)


def test_the_warm_up_block_changes_no_figure(measure):
    slow_start = in_turn(completed(transcript(samples=(10**5,), wall_ns=10**6)), GOOD)
    built = report.build(measure(a=slow_start, b=always(GOOD)))
    assert all(row.cells["a"].median == 100 for row in built.rows)


def test_an_interrupted_run_says_so_and_what_is_missing_is_missing(measure):
    run = measure(a=always(GOOD), b=always(GOOD), complete=False)
    assert run.manifest.state == "running"
    assert any("--resume" in warning for warning in report.build(run).warnings)
    nothing = msgspec.structs.replace(run, results=())
    assert {cell.status for row in report.build(nothing).rows for cell in row.cells.values()} == {"missing"}


def test_every_kind_of_target_has_settings_that_refuse_unknown_keys():
    for name in KINDS.names():
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            msgspec.convert({"frobnicate": 1}, KINDS.load(name).Settings)


# ---- planned looks ----

DECIDING = {"until_decided": True, "blocks": 30}
SLOW = completed(transcript(samples=(2000, 2020, 1980), wall_ns=10_000))


def test_measuring_ends_at_the_first_planned_look_that_decides(measure):
    run = measure(a=always(GOOD), b=always(SLOW), changes=DECIDING)
    assert {result.block for result in run.results} == set(range(10))
    built = report.build(run)
    assert {row.cells["b"].comparison.verdict for row in built.rows} == {"slower"}
    assert [look.blocks for look in built.design.looks] == [10, 20, 30]
    assert run.manifest.plan["run"]["looks"][0] == {"blocks": 10, "alpha": 0.002}
    assert any("4 after 10 blocks" in warning for warning in built.warnings)
    assert verify(run.path).problems == ()


def test_only_what_is_not_decided_is_measured_further(measure):
    """The second question is answered at random between 1 and 1.06 times the reference's: it stays at the edge."""
    chance = random.Random(7)

    def at_the_edge(argv, _stdin, _files):
        factor = chance.choice((0.97, 1.07)) if "7" in argv else 1
        return completed(transcript(samples=tuple(round(each * factor) for each in (1000, 1010, 990))))

    run = measure(a=always(GOOD), b=at_the_edge, changes=DECIDING)
    blocks = Counter(result.parameters["samples"] for result in run.results if result.target == "b")
    assert blocks == Counter(result.parameters["samples"] for result in run.results if result.target == "a")
    assert blocks == {40: 10, 7: 30}
    built = report.build(run)
    verdicts = {row.parameters["samples"]: row.cells["b"].comparison for row in built.rows}
    assert (verdicts[40].verdict, verdicts[7].verdict) == ("same", "undecided")
    assert [glance.blocks for glance in verdicts[7].looks] == [10, 20, 30]
    assert not any("ended before its last block" in warning for warning in built.warnings)
    assert verify(run.path).problems == ()


def test_a_run_that_was_ended_between_two_looks_comes_to_the_same_decision(measure, tmp_path, monkeypatch, host_probe):
    run = measure(a=always(GOOD), b=always(SLOW), changes=DECIDING, complete=False)
    lines = (run.path / bundle.RESULTS).read_bytes().splitlines(keepends=True)
    (run.path / bundle.RESULTS).write_bytes(b"".join(lines[:17]))
    made = {"a": Fake(always(GOOD)), "b": Fake(always(SLOW))}
    monkeypatch.setattr(plan.Plan, "make_target", lambda _plan, name, _lab: made[name])
    cut = bundle.load(run.path)
    with runner.resume(cut, report.plan_of(cut), host_probe, Silent()) as session:
        for _ in session.run():
            pass
        built = session.close()
    assert {row.cells["b"].comparison.verdict for row in built.rows} == {"slower"}
    assert Counter(result.block for result in bundle.load(run.path).results) == dict.fromkeys(range(10), 4)
    assert verify(run.path).problems == ()


def test_what_cannot_be_compared_does_not_keep_a_run_going(measure):
    run = measure(a=always(GOOD), b=always(NotSupported("no such call")), changes=DECIDING)
    assert {result.block for result in run.results if result.target == "a"} == set(range(10))


def test_a_single_target_has_nothing_to_decide_and_ends_at_the_first_look(measure):
    run = measure(a=always(GOOD), b=always(StartFailed("no")), changes=DECIDING)
    assert {result.block for result in run.results if result.target == "a"} == set(range(10))
    assert not any("ended before its last block" in warning for warning in report.build(run).warnings)
