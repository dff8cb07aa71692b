"""scaling.*: the shares cover the work, the answers are right at every width, and every oracle is shown to fail."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof import runner
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.scaling import hash as hashing
from benchproof.benchmarks.scaling import primes
from benchproof.errors import InvocationError
from benchproof.model import Failed, Invalid, Outcome, Passed, Reported, Target, Unsupported, Unverified
from benchproof.quantities import Size
from benchproof.targets import KINDS
from benchproof.targets.fake import Fake
from conftest import completed, lab_in, planted_probe, transcript, why_unusable

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 16, 64)


def tiny(name: str, width: int = 1, **more: Any) -> Any:
    """The benchmark with little work, on as many workers as are asked for, whatever this machine has."""
    work = {"limit": 20_000} if name == "scaling.primes" else {"chunks": 64, "chunk_size": Size(4096)}
    known = {"width": width, "oversubscribe": width > 1} | work
    return msgspec.structs.replace(BENCHMARKS.load(name)(), **(known | more))


def outcome(benchmark: Any, target: Target) -> Outcome:
    try:
        return runner.judge(benchmark, benchmark.run(target))
    except InvocationError as error:
        return runner.outcome_of(error)


def host(path: Any, folder: Any) -> Target:
    kind = KINDS.load("host")
    target: Target = kind(kind.Settings(), lab_in(folder, path))
    return target


@pytest.fixture
def here(host_probe, tmp_path) -> Target:
    return host(host_probe.path, tmp_path)


@pytest.mark.parametrize("workers", ["process", "thread"])
@pytest.mark.parametrize("width", [1, 2, 8])
@pytest.mark.parametrize("name", SUITES["scaling"])
def test_the_answer_is_right_at_every_width(here, name, width, workers):
    benchmark = tiny(name, width, workers=workers)
    observation = benchmark.run(here)
    assert list(benchmark.verify(observation)) == []
    (measurement,) = observation.measurements
    assert (measurement.metric, measurement.unit, measurement.clock) == (f"{name}.elapsed", "ns", "target")
    assert len(observation.evidence["worker_ends_ns"].split()) == width
    assert ("voluntary_switches" in observation.evidence) == (workers == "process")


@pytest.mark.parametrize("kind", ["bwrap", "gvisor", "qemu"])
def test_sandboxes_and_guests_give_the_same_answer(host_probe, tmp_path, kind):
    if reason := why_unusable(kind):
        pytest.skip(reason)
    loaded = KINDS.load(kind)
    settings = loaded.Settings(vcpus=2) if kind == "qemu" else loaded.Settings()
    found = outcome(tiny("scaling.hash", 2), loaded(settings, lab_in(tmp_path, host_probe.path)))
    assert isinstance(found, Passed), found


def test_all_widths_up_to_64_work(here):
    assert isinstance(outcome(tiny("scaling.primes", 64), here), Passed)


FAULTS = {
    ("SKIP_WORK", 1): "answer: expected",  # a worker that leaves numbers or a chunk out
    ("WRONG_ANSWER", 1): "answer: expected",
    ("STOPPED_CLOCK", 1): "the clock does not advance",
    ("BAD_WORKER", 1): "system_calls: expected none, found",  # getppid
    ("BAD_WORKER", 2): "workers_done: expected 2, found 1",  # it ended before its work
    ("BAD_WORKER", 3): "workers_done: expected 2, found 1",  # it died of a write to the slot of another
    ("BAD_WORKER", 4): "workers_done: expected 2, found 1",  # a call of the clock from elsewhere than behind the work
}


@pytest.mark.parametrize(("fault", "samples"), FAULTS)
@pytest.mark.parametrize("name", SUITES["scaling"])
def test_every_planted_fault_is_noticed(tmp_path, name, fault, samples):
    built = planted_probe(fault)
    found = outcome(tiny(name, 2, samples=samples), host(built.path, tmp_path))
    assert isinstance(found, Failed), found
    assert any(FAULTS[fault, samples] in violation for violation in found.violations), found.violations


def test_a_thread_that_makes_a_system_call_is_noticed(tmp_path):
    built = planted_probe("BAD_WORKER")
    found = outcome(tiny("scaling.primes", 2, workers="thread"), host(built.path, tmp_path))
    assert isinstance(found, Failed)
    assert any("system_calls: expected none" in violation for violation in found.violations)


GOOD: dict[str, object] = {
    "answer": 2262,
    "partition": primes.Primes.partition,
    "bounds": " ".join(map(str, primes.bounds(2, 20_000))),
    "cpus": 2,
    "width": 2,
    "workers_done": 2,
    "worker_ends_ns": "900 990",
    "system_calls": "none",
    "clock_read": "without a system call",
    "whole_ns": 5000,
    "slots": "protected",
}


def said(*, elapsed_ns: int = 1_000_000, samples: tuple[int, ...] = (990,), **changes: object) -> Fake:
    """A target whose probe says this; `wall_ns` is of its last line."""
    end = {key: changes.pop(key) for key in ("wall_ns", "failures") if key in changes}
    text = transcript("scaling.primes", samples=samples, iterations=1, evidence=GOOD | changes, **end)
    return Fake(lambda _argv, _stdin, _files: completed(text, elapsed_ns=elapsed_ns))


def test_good_evidence_passes_so_that_the_faults_below_are_what_fails():
    assert isinstance(outcome(tiny("scaling.primes", 2), said()), Passed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"answer": 2261}, "answer: expected 2262, found 2261"),
        ({"width": 1}, "width: expected 2, found 1"),
        ({"bounds": "2 10000 20001"}, "bounds: expected 2"),
        ({"partition": "every n-th"}, "partition: expected contiguous"),
        ({"worker_ends_ns": "990"}, "expected the ends of 2 workers"),
        ({"worker_ends_ns": "990 18446744073709551615"}, "expected the ends of 2 workers"),
        ({"worker_ends_ns": "900 991"}, "not the end of the last worker"),
        ({"system_calls": "39"}, "system_calls: expected none, found 39"),
        ({"clock_read": "never"}, "clock_read"),
        ({"slots": "of one address space"}, "slots: expected protected"),
        ({"failures": 1}, "1 of 100 operations"),
        ({"whole_ns": 10**9}, "runs ahead"),
        ({"wall_ns": 900}, "the samples took 990 ns"),
        ({"samples": (0,)}, "no sample was taken"),
    ],
)
def test_evidence_that_does_not_fit_is_a_violation(changes, words):
    found = outcome(tiny("scaling.primes", 2), said(**changes))
    assert isinstance(found, Failed)
    assert any(words in violation for violation in found.violations), found.violations


def test_a_slow_clock_is_noticed():
    found = outcome(tiny("scaling.primes", 2), said(elapsed_ns=10**10, whole_ns=10**9))
    assert isinstance(found, Invalid)
    assert "runs behind" in found.reason


def test_more_workers_than_cpus_ran_only_where_that_was_asked_for():
    found = outcome(tiny("scaling.primes", 2, oversubscribe=False), said(cpus=1))
    assert isinstance(found, Failed)
    assert "2 workers ran on 1 CPUs" in found.violations
    assert isinstance(outcome(tiny("scaling.primes", 2, oversubscribe=True), said(cpus=1)), Passed)


def test_wider_authority_is_invalid():
    assert isinstance(outcome(tiny("scaling.primes", 2), said(**{"authority.capabilities": "1" * 16})), Invalid)


def test_what_makes_no_sense_here_is_not_applicable(here):
    found = outcome(tiny("scaling.hash", 3), here)
    assert found == Unsupported("not_applicable: 64 chunks are no equal shares for 3 workers")
    found = outcome(tiny("scaling.hash", 64, oversubscribe=False), here)
    assert isinstance(found, Unsupported)
    assert found.reason.startswith("not_applicable: 64 workers on")


class Counting(Fake):
    """Its clock counts instructions."""

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        with super().start() as instance:
            instance.clock = "instructions"
            yield instance


def test_instructions_are_counted_on_one_cpu():
    found = outcome(tiny("scaling.primes"), Counting(lambda *_: completed(b"")))
    assert isinstance(found, Unsupported)
    assert found.reason.startswith("not_applicable: instructions")


class Kernel:
    """A system that measures itself and says this."""

    clock = "target"

    def __init__(self, **changes: Any) -> None:
        evidence = {"answer": "2262", "width": "2", "workers_done": "2", "limit": "20000", "partition": "n^1.4"}
        known = {
            "unit": "cycles",
            "iterations": 1,
            "samples": (5e9,),
            "evidence": evidence | changes.pop("evidence", {}),
        }
        self._said = known | changes

    def facts(self) -> dict[str, dict[str, str]]:
        return {}

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        yield self

    def report(self, name: str, *, timeout_s: float) -> Reported:
        assert timeout_s > 0
        return Reported(**({"name": name, "mechanism": "four tasks", "clock": "target", "warmups": ()} | self._said))


def test_a_system_that_measures_itself_is_asked_and_its_cycles_stay_cycles():
    found = outcome(tiny("scaling.primes", 2), Kernel())
    assert isinstance(found, Passed), found
    (measurement,) = found.measurements
    assert (measurement.metric, measurement.unit, measurement.samples) == ("scaling.primes.elapsed", "cycles", (5e9,))
    in_ns = outcome(tiny("scaling.primes", 2), Kernel(unit="ns", iterations=2))
    assert isinstance(in_ns, Passed)
    assert in_ns.measurements[0].samples == (2.5e9,)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"evidence": {"answer": "2261"}}, Failed(("answer: expected 2262, found 2261",))),
        ({"evidence": {"workers_done": "1"}}, Failed(("workers_done: expected 2, found 1",))),
        (
            {"evidence": {"partition": ""}},
            Failed(("partition: expected a word for how the work is split, found nothing",)),
        ),
        ({"evidence": {"limit": "100"}}, Invalid("it measured other work: expected limit 20000, found 100")),
        ({"evidence": {"width": "4"}}, Unsupported("not_applicable: it has 4 workers, not 2")),
        (
            {"unit": "instructions"},
            Unsupported("not_applicable: instructions are counted on one CPU", missing="exact = false"),
        ),
    ],
)
def test_what_a_system_says_of_its_workers_is_held_against_the_question(changes, expected):
    assert outcome(tiny("scaling.primes", 2), Kernel(**changes)) == expected


def test_a_system_that_gives_no_evidence_is_not_verified():
    found = outcome(tiny("scaling.primes", 2), Kernel(source="kevlar", evidence={}))
    assert isinstance(found, Unverified)


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("scaling.primes", {"width": 65}, "width: expected 1 to 64 workers, found 65"),
        ("scaling.primes", {"width": 0}, "width: expected 1 to 64 workers, found 0"),
        ("scaling.primes", {"limit": 1}, "limit: expected 2 to"),
        ("scaling.primes", {"samples": 0}, "samples: expected 1 to"),
        ("scaling.primes", {"timeout": 0}, "a timeout that is not zero"),
        ("scaling.hash", {"chunks": 0}, "chunks: expected 1 to"),
        ("scaling.hash", {"chunk_size": Size(100)}, "in multiples of 64 B, found 100 B"),
        ("scaling.hash", {"chunks": 1 << 20, "chunk_size": Size(1 << 20)}, "a corpus of 4 GiB at most"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(name, wrong, words):
    with pytest.raises(ValueError, match=words):
        BENCHMARKS.load(name)(**wrong)


@given(st.integers(min_value=1, max_value=64), st.integers(min_value=2, max_value=100_000_000))
def test_the_shares_cover_every_number_exactly_once(width, limit):
    found = primes.bounds(width, limit)
    assert (found[0], found[-1], len(found)) == (2, limit + 1, width + 1)
    assert found == sorted(found)
    for k, first in enumerate(found[:-1]):
        assert first == 2 or (first - 1) ** 7 * width**5 < limit**7 * k**5 <= first**7 * width**5


@pytest.mark.parametrize("width", WIDTHS)
def test_the_probe_splits_by_the_same_rule(here, width):
    observation = tiny("scaling.primes", width, limit=1000).run(here)
    assert observation.evidence["bounds"] == " ".join(map(str, primes.bounds(width, 1000)))


def test_the_split_of_the_usual_size_is_balanced():
    """Divisions of each share, from the smallest divisor of every odd number."""
    limit = 300_000
    smallest = list(range(limit + 1))
    for divisor in range(3, 548, 2):
        for multiple in range(divisor * divisor, limit + 1, 2 * divisor):
            smallest[multiple] = min(smallest[multiple], divisor)
    shares = [
        sum(min(smallest[n], math.isqrt(n)) // 2 for n in range(first | 1, behind, 2))
        for first, behind in itertools.pairwise(primes.bounds(8, limit))
    ]
    assert max(shares) < 1.03 * sum(shares) / 8


@pytest.mark.parametrize(("limit", "expected"), [(2, 1), (3, 2), (10, 4), (9, 4), (1000, 168), (3_000_000, 216_816)])
def test_the_sieve_knows_how_many_primes_there_are(limit, expected):
    assert primes.count(limit) == expected


def test_the_root_is_what_the_documented_rule_gives():
    size = 128
    digests = b""
    for i in range(3):
        content = i.to_bytes(8, "little") + bytes((7 * j + (j >> 8)) % 256 for j in range(8, size))
        digests += hashlib.sha256(content).digest()
    assert hashing.root(3, size) == hashlib.sha256(digests).hexdigest()


def test_chunks_longer_than_the_pattern_repeat_it():
    size = (1 << 16) + 192
    assert hashing.chunk(9, size)[8:] == bytes((7 * j + (j >> 8)) % 256 for j in range(8, size))


@pytest.mark.parametrize("name", SUITES["scaling"])
def test_quick_asks_the_same_about_less(name):
    usual = BENCHMARKS.load(name)(width=4)
    assert usual.quick().width == 4
    assert usual.quick().work != usual.work
    assert usual.quick().quick() == usual.quick()
