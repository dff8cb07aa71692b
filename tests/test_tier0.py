"""Tier 0 gates: of a target that does not show that it works, no figure is kept."""

from __future__ import annotations

import json
import sys
import zlib
from typing import Any

import msgspec
import pytest

from benchproof import plan, report, runner, tier0
from benchproof.errors import LabInvalid, StartFailed, StoreError, UsageError
from benchproof.model import SMOKE_BLOCK, Failed, Invalid, Passed
from benchproof.store import bundle
from benchproof.targets.fake import Fake, FakeInstance
from benchproof.verify import verify
from conftest import completed, transcript

GOOD = completed(transcript())


class Silent:
    def planned(self, invocations): ...
    def note(self, message): ...
    def done(self, block, target, benchmark, outcome): ...


def told(argv, **changes):
    """What a probe in good order tells of the word alone; other smokes have nothing to try. `changes` of smoke.boot."""
    word, names = argv[2], argv[3:]
    lines: list[dict[str, Any]] = [{"line": "smokes", "probe": 1, "count": len(names)}]
    for name in names:
        known = {"word": word, "crc32": zlib.crc32(word.encode())} | changes
        evidence = [{"line": "evidence", "name": key, "value": str(value)} for key, value in known.items()]
        lacking = [{"line": "unsupported", "reason": "not here"}]
        boot = name == "smoke.boot"
        lines += [{"line": "smoke", "name": name}, *(evidence if boot else lacking)]
        lines.append({"line": "over", "name": name, "status": 0 if boot else 69})
    body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    end = {"line": "end", "smokes": len(names), "crc32": zlib.crc32(body)}
    return completed(body + json.dumps(end, separators=(",", ":")).encode() + b"\n")


class Smoking(Fake):
    """A target whose smokes are answered too, one answer after the other, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(lambda _argv, _stdin, _files: GOOD)
        self.left = list(answers)
        self.asked = 0

    def start(self):
        context = super().start()
        instance = FakeInstance(self._answer)
        plain = instance.run

        def run(argv, *, stdin=b"", timeout_s):
            if argv[1] != "smoke":
                return plain(argv, stdin=stdin, timeout_s=timeout_s)
            self.asked += 1
            answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer(argv)

        instance.run = run
        return _Around(context, instance)


class _Around:
    def __init__(self, context, instance):
        self.context, self.instance = context, instance

    def __enter__(self):
        self.context.__enter__()
        return self.instance

    def __exit__(self, *error):
        return self.context.__exit__(*error)


def wrong(argv):
    return told(argv, crc32=7)


def document(**smokes):
    return {
        "targets": {"a": {"kind": "host"}, "b": {"kind": "host"}},
        "suites": {"s": {"benchmarks": ["syscall.getpid"]}},
        "smokes": smokes,
    }


@pytest.fixture
def measure(tmp_path, monkeypatch, host_probe):
    def go(*, stop_after: int | None = None, smokes=None, resume=None, **targets) -> bundle.Run:
        wanted = plan.parse(document(**(smokes or {})), where="test", blocks=2, seed=1)
        monkeypatch.setattr(plan.Plan, "make_target", lambda _plan, name, _lab: targets[name])
        begun = (
            runner.resume(resume, report.plan_of(resume), host_probe, Silent())
            if resume
            else runner.begin(wanted, tmp_path / "home", host_probe, Silent())
        )
        with begun as session:
            for count, _ in enumerate(session.run(), start=1):
                if count == stop_after:
                    return bundle.load(session.out.path)
            session.close()
        return bundle.load(session.out.path)

    return go


def statuses(run):
    return {target: {row.cells[target].status for row in report.build(run).rows} for target in ("a", "b")}


def test_smokes_run_first_in_one_start_and_are_stored_apart(measure):
    target = Smoking(told)
    run = measure(a=target, b=Smoking(told))
    assert target.starts == 1 + 3
    assert target.asked == 1
    assert {each.block for each in run.smokes} == {SMOKE_BLOCK}
    assert statuses(run) == {"a": {"passed"}, "b": {"passed"}}
    shown = {(each.target, each.benchmark): each.status for each in report.build(run).smokes}
    assert shown["a", "smoke.boot"] == "passed"
    assert shown["a", "smoke.ipc"] == "unsupported"  # and gates nothing
    assert verify(run.path).problems == ()
    assert bundle.load_sealed(run.path).smokes == run.smokes


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (wrong, Failed, "smoke.boot failed: crc32: expected"),
        (StartFailed("no boot"), Failed, "failed: no boot"),
        (lambda argv: completed(told(argv).stdout[:-9]), Invalid, "is invalid: the probe's output is cut"),
    ],
)
def test_of_a_target_whose_smoke_does_not_stand_nothing_is_kept_and_the_others_go_on(measure, answer, kind, words):
    run = measure(a=Smoking(told), b=Smoking(answer))
    assert statuses(run) == {"a": {"passed"}, "b": {"failed" if kind is Failed else "invalid"}}
    of_b = [each for each in (*run.warmups, *run.results) if each.target == "b"]
    assert [type(each.outcome) for each in of_b] == [kind]
    assert words in runner.reason_of(of_b[0].outcome)
    assert verify(run.path).problems == ()


def test_an_invalid_smoke_is_tried_again_and_every_try_is_stored(measure):
    run = measure(a=Smoking(told), b=Smoking(LabInvalid("damaged"), told))
    assert statuses(run)["b"] == {"passed"}
    tries = [each for each in run.smokes if (each.target, each.benchmark) == ("b", "smoke.boot")]
    assert [(each.attempt, type(each.outcome)) for each in tries] == [(1, Invalid), (2, Passed)]


def test_a_run_that_is_resumed_smokes_again_and_what_fell_stays_down(measure):
    run = measure(a=Smoking(told), b=Smoking(wrong), stop_after=2)
    again = Smoking(told)
    whole = measure(resume=run, a=again, b=Smoking(told))
    assert statuses(whole) == {"a": {"passed"}, "b": {"failed"}}
    assert again.asked == 1
    assert verify(whole.path).problems == ()


def test_a_target_that_stood_and_does_not_any_more_needs_a_new_run(measure):
    run = measure(a=Smoking(told), b=Smoking(told), stop_after=3)
    with pytest.raises(UsageError, match=r"stood its smokes when the run began and does not now .*start a new run"):
        measure(resume=run, a=Smoking(wrong), b=Smoking(wrong))
    assert bundle.load(run.path).smokes == run.smokes


def test_a_run_of_an_earlier_version_has_no_smokes_and_is_read_all_the_same(measure):
    run = measure(a=Smoking(told), b=Smoking(told), stop_after=2)
    (run.path / bundle.SMOKES).unlink()
    assert bundle.load(run.path).smokes == ()
    assert bundle.load_sealed(run.path).results == run.results
    assert verify(run.path).problems == ()


def rewrite(run, **changes):
    """The smokes as someone else would have them, in a chain that fits."""
    (run.path / bundle.SMOKES).write_bytes(b"")
    out = bundle.Bundle.resume(run)
    for each in run.smokes:
        out.append(msgspec.structs.replace(each, **changes))
    out.close()


def test_smokes_that_were_made_up_afterwards_are_noticed(measure):
    run = measure(a=Smoking(told), b=Smoking(told), stop_after=4)
    rewrite(run, outcome=Failed(violations=("it fell",)))
    assert any("was kept although a smoke" in each for each in verify(run.path).problems)
    rewrite(run, outcome=Passed(measurements=()), evidence={})
    assert any("recorded as passed, but" in each for each in verify(run.path).problems)
    rewrite(run, benchmark="smoke.nothing")
    assert any("no such smoke" in each for each in verify(run.path).problems)
    (run.path / bundle.SMOKES).write_bytes(b"")
    assert any("no smoke of its target is on record" in each for each in verify(run.path).problems)


def test_a_sealed_run_without_the_smokes_that_it_had_is_damaged(measure):
    run = measure(a=Smoking(told), b=Smoking(told))
    (run.path / bundle.SMOKES).unlink()
    assert "smokes.jsonl: missing" in verify(run.path).problems
    with pytest.raises(StoreError, match=r"smokes\.jsonl is not the file"):
        bundle.load_sealed(run.path)


OK, BAD = [sys.executable, "-c", "print('all good')"], [sys.executable, "-c", "raise SystemExit('2 tests failed')"]


def test_the_projects_own_tests_gate_the_targets_that_they_are_for(measure):
    run = measure(
        a=Smoking(told),
        b=Smoking(told),
        smokes={"host tests": {"command": BAD, "targets": ["b"]}, "x": {"command": OK}},
    )
    assert statuses(run) == {"a": {"passed"}, "b": {"failed"}}
    (fell,) = [each for each in run.results if each.target == "b"]
    assert "host tests failed: exit_status: expected 0, found 1: 2 tests failed" in fell.outcome.violations[0]
    (log,) = next(each.logs for each in run.smokes if each.benchmark == "host tests")
    assert b"2 tests failed" in (run.path / log).read_bytes()
    assert {each.target for each in run.smokes if each.benchmark == "x"} == {"a"}  # b is not measured any more
    assert verify(run.path).problems == ()


@pytest.mark.parametrize(
    ("command", "words"),
    [(["/nowhere/make", "test"], "cannot execute"), ([sys.executable, "-c", "import time; time.sleep(60)"], "did not")],
)
def test_tests_that_cannot_be_run_or_do_not_end_let_their_targets_fall(measure, command, words):
    run = measure(a=Smoking(told), b=Smoking(told), smokes={"t": {"command": command, "timeout": "0.3 s"}})
    assert statuses(run) == {"a": {"failed"}, "b": {"failed"}}
    assert words in run.smokes[0].outcome.violations[0]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"t": {}}, "smokes.t: command: expected the words of a command"),
        ({"t": {"command": []}}, "smokes.t: command: expected the words"),
        ({"t": 7}, "smokes.t: expected a table"),
        ({"t": {"command": ["x"], "targets": ["c"]}}, "unknown target 'c'"),
        ({"t": {"command": ["x"], "targets": []}}, "expected at least one, found none"),
        ({"t": {"command": ["x"], "comand": 1}}, "did you mean 'command'"),
        ({"t": {"command": ["x"], "timeout": "0 s"}}, "timeout"),
        ({"smoke.boot": {"command": ["x"]}}, "a name of its own"),
    ],
)
def test_host_tests_that_make_no_sense_are_refused(table, words):
    with pytest.raises(UsageError) as caught:
        plan.parse(document(**table), where="test")
    assert words in str(caught.value)


def test_targets_that_were_not_chosen_take_their_tests_with_them():
    whole = document(
        t={"command": ["x"], "targets": ["b"]}, u={"command": ["x"], "targets": ["a", "b"]}, v={"command": ["x"]}
    )
    left = plan.parse(plan.only(whole, targets=("a",), benchmarks=()), where="test").smokes
    assert {name: tests.targets for name, tests in left.items()} == {"u": ("a",), "v": ()}


def test_a_failure_weighs_more_than_doubt():
    def result(name, outcome):
        return bundle.Result(
            run_id="r",
            target="t",
            benchmark=name,
            parameters={},
            tier=0,
            block=SMOKE_BLOCK,
            started_at="",
            duration_ns=1,
            envelope="",
            attempt=1,
            outcome=outcome,
        )

    failed, doubt = result("x", Failed(violations=("bad",))), result("y", Invalid(reason="noise"))
    for order in ([failed, doubt], [doubt, failed]):
        assert isinstance(tier0.fallen(order)["t"], Failed)
