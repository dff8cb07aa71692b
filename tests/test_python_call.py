"""What one process of pytest measures, and how the benchmark judges what it says: each check is shown to fail."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from benchproof.benchmarks.python.call import Call
from benchproof.benchmarks.python.reading import Order, Reading
from benchproof.errors import LabInvalid, NotSupported, TargetFailed
from benchproof.model import Failed, Passed, Unverified
from benchproof.outcomes import judge
from benchproof.pytest_plugin import timing
from benchproof.pytest_plugin.calls import MISSING, Called, Oracle, unsupported
from benchproof.targets.fake import Fake
from tests.conftest import completed

CALL = Call(test="tests/test_it.py::Test::test_that", case="10", label="twice")
ORDER = Order(path="", label="", samples=5, warmups=2, sample_ns=1000, budget_ns=10**9)
EVIDENCE = {
    "operations": "400",
    "failures": "0",
    "checked": "4",
    "oracle": "expect",
    "wall_ns": "900000",
    "monotonic_ns": "900100",
}
GOOD = Reading(iterations=100, warmups_ns=(150_000,), samples_ns=(100_000, 110_000, 120_000), evidence=EVIDENCE)


def outcome(exit_status=0, host_ns=10**9, **changes):
    """What becomes of a process that ended so, and said what is good but for the changes of its evidence."""
    reading = msgspec.structs.replace(GOOD, evidence=EVIDENCE | {key: str(each) for key, each in changes.items()})
    done = completed(b"FAILED test_it.py::test_that - of its own\n", exit_status=exit_status, elapsed_ns=host_ns)
    return judge(CALL, CALL.observe(done, reading))


def test_a_good_reading_passes_with_times_of_one_call():
    found = outcome()
    assert isinstance(found, Passed)
    (measurement,) = found.measurements
    assert (measurement.metric, measurement.unit) == ("test_it.Test.test_that.twice.latency", "ns")
    assert measurement.samples == (1000, 1100, 1200)
    assert measurement.warmups == (1500,)
    assert CALL.node == "tests/test_it.py::Test::test_that[10]"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exit_status": 1}, "the test did not pass: pytest ended with 1: exit status 1: FAILED"),
        ({"wrong": "expected 1, found 2"}, "expected 1, found 2"),
        ({"failures": 1}, "1 of 400 operations"),
        ({"operations": 0}, "no operation was executed"),
        ({"checked": 3}, "3 answers were checked, of 4 batches"),
        ({"checked": 0}, "0 answers were checked"),
        ({"oracle": "trust me"}, "oracle: expected check or expect"),
        ({"wall_ns": 1000}, "the samples took 480000 ns"),
        ({"wall_ns": 0, "monotonic_ns": 0}, "a clock stood still"),
        ({"wall_ns": 9_000_000}, "two clocks of the process disagree"),
        ({"wall_ns": 9_000_000, "monotonic_ns": 9_000_000, "host_ns": 5_000_000}, "the process's clock runs ahead"),
    ],
)
def test_what_is_wrong_with_a_reading_takes_its_number_away(changes, words):
    found = outcome(**changes)
    assert isinstance(found, Failed)
    assert any(words in violation for violation in found.violations), found.violations


def test_without_an_oracle_the_outcome_is_unverified():
    assert isinstance(outcome(oracle="none", checked=0), Unverified)


def test_a_process_that_could_not_measure_is_no_answer_or_unsupported():
    with pytest.raises(LabInvalid, match="stands still"):
        CALL.observe(completed(b""), Reading(invalid="the clock stands still"))
    with pytest.raises(NotSupported, match="coroutine"):
        CALL.observe(completed(b""), Reading(unsupported="a coroutine", missing="asyncio.run"))


class Says:
    """An instance in which an interpreter left these bytes."""

    options = ("-c", "pytest.ini")
    workspace = "/work"

    def __init__(self, content, **done):
        self.content = content
        self.done = completed(b"1 passed\n", **done)
        self.asked = []

    def python(self, words, *, timeout_s):
        self.asked.append(words)
        return self.done

    def get(self, path):
        if self.content is None:
            raise TargetFailed(f"cannot read '{path}'")
        return self.content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "pytest ended without a reading: exit status 0: 1 passed"),
        (b'{"iterations": 1', "the reading of the test is damaged"),
        (b'{"iterations": "one"}', "the reading of the test is damaged"),
        (b'{"score": 1}', "the reading of the test is damaged"),
        (b"\xff", "the reading of the test is damaged"),
    ],
)
def test_a_reading_that_is_missing_or_damaged_is_a_failure(content, words):
    says = Says(content)
    with pytest.raises(TargetFailed, match=words):
        CALL._read(says.done, says, "/work/reading.json")


def test_a_test_is_named_last_behind_all_options():
    words = CALL.words("/work/reading.json", Says(b""))
    assert words[-1] == CALL.node
    assert words.index("-c") < words.index("--rootdir=.")


@pytest.mark.parametrize("test", ["-x", "--pdb::test", "test_it.py", ""])
def test_what_is_no_node_id_is_refused(test):
    with pytest.raises(ValueError, match="expected a node id"):
        Call(test=test)


def test_a_target_without_an_interpreter_of_ours_is_unsupported():
    with pytest.raises(NotSupported, match="not_applicable") as caught:
        CALL.run(Fake(lambda *_: completed(b"")))
    assert 'kind = "python"' in caught.value.missing


# ---- in the process ----


def stopwatch(function, *arguments, setup=None, expect=MISSING, check=None, clock=None):
    """With a clock that each look moves by a microsecond."""
    ticks = clock or itertools.count(1, 1000).__next__
    return timing._Stopwatch(
        Called(function, arguments, {}, setup), Oracle(check=check, expect=expect), clock=ticks, beside=ticks
    )


def test_calls_that_never_last_long_enough_for_the_clock_are_no_answer(monkeypatch):
    monkeypatch.setattr(timing, "_MOST_CALLS", 1000)  # the clock moves when it is looked at, and not by calls
    found = timing._series(stopwatch(sum, [1, 2], expect=3), msgspec.structs.replace(ORDER, sample_ns=1))
    assert "the clock's step is 1000 ns" in found.invalid


def test_a_clock_that_stands_still_is_no_answer():
    assert "stands still" in timing._series(stopwatch(int, clock=lambda: 7), ORDER).invalid


def test_a_call_with_a_setup_is_timed_alone_and_too_short_a_one_is_no_answer():
    given = []
    found = timing._series(stopwatch(list.append, 1, setup=lambda: given.append([]) or given[-1]), ORDER)
    assert "setup= each is timed alone" in found.invalid
    assert given == [[1]] * len(given)


def test_the_first_wrong_answer_ends_it():
    answers = iter([3, 3, 4, 3])
    watch = stopwatch(lambda: next(answers), expect=3)
    watch.batch(2)
    with pytest.raises(timing._Wrong, match="expected 3, found 4"):
        watch.batch(1)
    assert watch.evidence()["failures"] == "1"
    assert next(answers) == 3


def test_a_slow_first_call_does_not_make_the_batches_short():
    lasts = itertools.chain([10**9], itertools.repeat(10))
    now = [0]

    def call():
        now[0] += next(lasts)

    watch = stopwatch(call, clock=lambda: now[0])
    assert timing._calibrated(watch, 1000) >= 100


def test_a_tracer_is_noticed(monkeypatch):
    monkeypatch.setattr(timing.sys, "gettrace", lambda: print)
    assert "a tracer" in timing._watched()


# ---- the oracle ----


@pytest.mark.parametrize(
    ("oracle", "answer", "words"),
    [
        (Oracle(check=None, expect=1), 2, "expected 1, found 2"),
        (Oracle(check=None, expect=None), 0, "expected None, found 0"),
        (Oracle(check=lambda answer: answer > 2, expect=MISSING), 2, "the check refused 2"),
        (Oracle(check=lambda answer: None, expect=MISSING), 2, "the check returned None: expected True or False"),
        (Oracle(check=lambda answer: answer > 2, expect=3), 2, "expected 3, found 2"),
        (Oracle(check=None, expect="y" * 999), "x", "expected 'yyy"),
    ],
)
def test_an_oracle_says_what_is_wrong_in_a_line(oracle, answer, words):
    found = oracle.wrong(answer)
    assert words in found
    assert len(found) < 500


def test_an_assertion_in_a_check_is_its_word():
    def check(answer):
        assert answer == 1, "not one"

    assert Oracle(check=check, expect=MISSING).wrong(2).startswith("the check refused 2: not one")


@pytest.mark.parametrize(
    ("check", "expect", "name"), [(None, MISSING, "none"), (bool, MISSING, "check"), (bool, 1, "check and expect")]
)
def test_the_oracle_says_which_it_has(check, expect, name):
    assert Oracle(check=check, expect=expect).name == name
    assert Oracle(check=check, expect=expect).wrong(1) == ""


def test_what_does_no_work_when_it_is_called_is_unsupported():
    async def coroutine():
        pass

    async def generator():
        yield 1

    class Callable:
        async def __call__(self):
            pass

    assert all(unsupported(each) for each in (coroutine, generator, Callable()))
    assert not unsupported(len)
