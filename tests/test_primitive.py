"""Every primitive benchmark on every target, and every oracle shown to fail."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof import runner
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.errors import InvocationError, LabInvalid, NotSupported, StartFailed, TargetFailed
from benchproof.model import Completed, Failed, Invalid, Outcome, Passed, Target, Unsupported
from benchproof.quantities import Duration
from benchproof.targets import KINDS, observed
from benchproof.targets.fake import Fake
from benchproof.targets.observed import observe
from conftest import completed, lab_in, planted_probe, transcript, why_unusable

TIMED = SUITES["primitive"] + SUITES["translated"]  # by the probe


def tiny(name: str) -> Any:
    """The benchmark with as little work as it can do."""
    small = {"samples": 2, "warmups": 1, "sample_time": Duration(0.0002), "budget": Duration(0.2)}
    return msgspec.structs.replace(BENCHMARKS.load(name)(), **small)


def outcome(benchmark: Any, target: Target) -> Outcome:
    try:
        return runner.judge(benchmark, benchmark.run(target))
    except InvocationError as error:
        return runner.outcome_of(error)


class Started:
    """A target that is started already: a guest boots once for all its benchmarks."""

    def __init__(self, instance: Any) -> None:
        self._instance = instance

    def facts(self) -> dict[str, dict[str, str]]:
        return {}

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        yield self._instance


@pytest.fixture(scope="module", params=["host", "bwrap", "gvisor", "qemu"])
def started(request, host_probe, tmp_path_factory) -> Iterator[Target]:
    if reason := why_unusable(request.param):
        pytest.skip(reason)
    kind = KINDS.load(request.param)
    target = kind(kind.Settings(), lab_in(tmp_path_factory.mktemp(request.param), host_probe.path))
    with target.start() as instance:
        yield Started(instance)


@pytest.mark.parametrize("name", TIMED)
def test_the_tiny_size_passes_with_verified_samples(started, name):
    found = outcome(tiny(name), started)
    if isinstance(found, Invalid):  # a busy host; a run tries it again, too
        found = outcome(tiny(name), started)
    if name == "ring.nop" and isinstance(found, Unsupported):  # gVisor has no such call, a container may forbid it
        assert "io_uring_setup" in found.reason
        return
    assert isinstance(found, Passed), found
    (measurement,) = found.measurements
    assert measurement.metric.startswith(f"{name}.")
    assert all(sample > 0 for sample in measurement.samples)
    assert measurement.unit == ("bytes/s" if measurement.better == "higher" else "ns")
    assert len(measurement.warmups) >= 1  # kept apart


@pytest.fixture(scope="module", params=["SKIP_WORK", "WRONG_ANSWER"])
def faulty(request, tmp_path_factory) -> Target:
    """The host, with a probe whose operations skip the work or give a wrong answer."""
    built = planted_probe(request.param)
    kind = KINDS.load("host")
    return kind(kind.Settings(), lab_in(tmp_path_factory.mktemp("faulty"), built.path))


@pytest.mark.parametrize("name", TIMED)
def test_every_oracle_notices_skipped_work_and_wrong_answers(faulty, name):
    found = outcome(tiny(name), faulty)
    assert isinstance(found, Failed), found
    assert found.violations


def planted(fault: str, folder: Any) -> Target:
    built = planted_probe(fault)
    kind = KINDS.load("host")
    target: Target = kind(kind.Settings(), lab_in(folder, built.path))
    return target


def test_a_stopped_clock_is_noticed(tmp_path):
    found = outcome(tiny("syscall.getpid"), planted("STOPPED_CLOCK", tmp_path))
    assert isinstance(found, Failed)
    assert "clock does not advance" in found.violations[0]


def test_a_clock_that_runs_ahead_is_noticed(tmp_path):
    long = msgspec.structs.replace(tiny("syscall.getpid"), samples=40, sample_time=Duration(0.02), budget=Duration(5))
    found = outcome(long, planted("FAST_CLOCK", tmp_path))
    assert isinstance(found, Failed)
    assert "runs ahead" in found.violations[0]


def test_a_target_whose_clock_runs_at_another_pace_has_no_facts(tmp_path, monkeypatch):
    with pytest.raises(StartFailed, match="clock is not to be trusted"):
        planted("FAST_CLOCK", tmp_path).facts()
    monkeypatch.setattr(observed, "_WAIT_NS", 100_000_000)  # a tenth of its clock is a whole second of ours, twice
    with pytest.raises(StartFailed, match="clock is not to be trusted"):
        planted("SLOW_CLOCK", tmp_path).facts()


def test_a_system_that_answers_every_command_with_success_is_told_from_one_with_a_wrong_clock():
    class Yes:
        probe, clock = "/probe", "target"

        def run(self, argv, **_):
            return Completed(exit_status=0, stdout=b"", stderr=b"", elapsed_ns=1_000)

    with pytest.raises(StartFailed, match="it runs no command: one that ends with status 7 was answered with 0"):
        observe(Yes())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has authority to be too wide")
def test_authority_wider_than_declared_is_invalid(tmp_path):
    found = outcome(tiny("syscall.getpid"), planted("WIDE_AUTHORITY", tmp_path))
    assert isinstance(found, Invalid)
    assert "authority wider than declared" in found.reason


def answering(stdout: bytes, **more: Any) -> Fake:
    return Fake(lambda _argv, _stdin, _files: completed(stdout, **more))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evidence": {"pid_sum": 701}}, "pid_sum: expected 700, found 701"),
        ({"evidence": {"entered_kernel": "no"}}, "entered_kernel"),
        ({"evidence": {"pid": 0}}, "no number"),
        ({"failures": 1}, "1 of 100 operations"),
        ({"operations": 0}, "no operation"),
        ({"wall_ns": 0}, "stood still"),
        ({"wall_ns": 10**9}, "runs ahead"),
        ({"wall_ns": 4000}, "the samples took 4500 ns, all batches only 4000 ns"),
        ({"samples": ()}, "no sample"),
        ({"samples": (1000, 0)}, "no time passed"),
    ],
)
def test_evidence_that_does_not_fit_is_a_violation(changes, words):
    changes = dict(changes)
    samples = changes.pop("samples", (1000, 2000))
    found = outcome(tiny("syscall.getpid"), answering(transcript(samples=samples, **changes)))
    assert isinstance(found, Failed)
    assert any(words in violation for violation in found.violations), found.violations


def test_good_evidence_passes_so_that_the_faults_above_are_what_fails():
    assert isinstance(outcome(tiny("syscall.getpid"), answering(transcript())), Passed)


def test_a_slow_target_clock_is_noticed():
    found = outcome(tiny("syscall.getpid"), answering(transcript(wall_ns=10**9), elapsed_ns=10 * 10**9))
    assert isinstance(found, Invalid)
    assert "runs behind" in found.reason


def test_truncated_output_is_invalid_and_a_crash_is_failed():
    assert isinstance(outcome(tiny("syscall.getpid"), answering(transcript()[:-30])), Invalid)
    assert isinstance(outcome(tiny("syscall.getpid"), answering(transcript(), exit_status=-9)), Failed)


@pytest.mark.parametrize("name", SUITES["primitive"])
def test_the_definition_says_what_a_reader_must_know(name):
    definition = BENCHMARKS.load(name).definition
    assert definition.name == name
    assert definition.question.endswith("?")
    assert all((definition.mechanism, definition.without_posix, definition.oracle, definition.authority))


def test_errors_of_an_invocation_become_the_outcome_that_they_name():
    kinds = (TargetFailed("x"), NotSupported("x", missing="y"), LabInvalid("x"))
    assert [type(runner.outcome_of(error)).__name__ for error in kinds] == ["Failed", "Unsupported", "Invalid"]


@pytest.mark.parametrize("name", ["syscall.stat", "syscall.open_close", "file.reread", "file.map_read"])
def test_what_a_killed_probe_left_on_a_tmpfs_is_removed_and_what_another_holds_is_not(name, host_probe):
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("no /dev/shm that can be written to")
    with tempfile.TemporaryDirectory(dir=memory) as name_of_folder:
        folder = Path(name_of_folder)
        (folder / "benchproof-probe-1").write_bytes(b"x")
        os.mkfifo(folder / "benchproof-probe-3")  # not waited for
        with (folder / "benchproof-probe-2").open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            argv = [host_probe.path, "bench", name, "--dir", str(folder), "--samples", "1", "--iterations", "16"]
            done = subprocess.run(argv, capture_output=True, check=True, timeout=60)
            assert b'"failures":0' in done.stdout
            assert [path.name for path in folder.iterdir()] == ["benchproof-probe-2"]
