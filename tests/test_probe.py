"""The probe: built once, read with suspicion."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof import laboratory, probe
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.primitive.probed import Probed
from benchproof.errors import InvocationError, LabInvalid, NotSupported, TargetFailed
from conftest import completed, transcript

NAME = "syscall.getpid"


def test_a_whole_output_is_read(host_probe):
    reading = probe.read(completed(transcript()), NAME)
    assert reading.samples_ns == (1000, 1010, 990)
    assert reading.warmups_ns == (1500,)
    assert reading.iterations == 10
    assert reading.evidence["operations"] == "100"


@given(cut=st.integers(min_value=1, max_value=len(transcript())))
def test_an_output_that_is_cut_anywhere_is_invalid(cut):
    with pytest.raises(LabInvalid):
        probe.read(completed(transcript()[:-cut]), NAME)


@given(at=st.integers(min_value=0, max_value=len(transcript()) - 1), to=st.integers(min_value=0, max_value=255))
def test_a_changed_byte_never_becomes_another_number(at, to):
    original = transcript()
    changed = original[:at] + bytes([to]) + original[at + 1 :]
    before = probe.read(completed(original), NAME)
    try:
        after = probe.read(completed(changed), NAME)
    except InvocationError:
        return
    # what the checksum does not cover is the last line itself: its counts are checked by the oracle
    assert (after.samples_ns, after.warmups_ns, after.iterations) == (
        before.samples_ns,
        before.warmups_ns,
        before.iterations,
    )


@given(st.binary(max_size=2000))
def test_no_output_whatever_makes_the_reader_crash(noise):
    with pytest.raises(InvocationError):
        probe.read(completed(noise), NAME)


def test_lines_that_were_lost_in_the_middle_are_noticed():
    lines = transcript().splitlines(keepends=True)
    with pytest.raises(LabInvalid, match="checksum"):
        probe.read(completed(b"".join(lines[:2] + lines[3:])), NAME)


def test_the_output_of_another_benchmark_is_invalid():
    with pytest.raises(LabInvalid, match=r"ipc\.pipe"):
        probe.read(completed(transcript()), "ipc.pipe")


def test_a_crash_after_a_whole_output_is_a_failure():
    with pytest.raises(TargetFailed, match="killed by signal 11"):
        probe.read(completed(transcript(), exit_status=-11), NAME)


def test_what_the_system_lacks_is_unsupported_in_its_own_words():
    line = b'{"line":"unsupported","reason":"futex: Function not implemented"}\n'
    with pytest.raises(NotSupported, match="futex: Function not implemented"):
        probe.read(completed(line, exit_status=69), NAME)


def test_the_probe_knows_exactly_the_benchmarks_that_it_times(host_probe):
    listed = subprocess.run([host_probe.path, "list"], capture_output=True, text=True, check=True).stdout.split()
    probed = [kind for kind in map(BENCHMARKS.load, BENCHMARKS.names()) if issubclass(kind, Probed)]
    inside = {name for name in BENCHMARKS.own if name.partition(".")[0] in {"disk", "rootfs", "startup"}}
    assert set(listed) == {kind.operation or kind.definition.name for kind in probed} | set(SUITES["scaling"]) | inside


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench", "no.such"], "unknown benchmark 'no.such'"),
        (["bench", NAME, "--samples", "0"], "--samples is 1 to"),
        (["bench", NAME, "--samples", "-1"], "expected a whole number, found '-1'"),
        (["bench", NAME, "--samples"], "expected a whole number, found 'nothing'"),
        (["bench", NAME, "--frobnicate", "1"], "unknown option '--frobnicate'"),
        (["bench", "memory.memcpy", "--size", "5"], "--size is 64"),
        ([], "probe bench NAME"),
    ],
)
def test_wrong_arguments_are_refused_in_words(host_probe, arguments, words):
    done = subprocess.run([host_probe.path, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert words in done.stderr
    assert done.stdout == ""


def test_raw_samples_overheads_and_calibration_are_recorded(host_probe):
    command = [host_probe.path, "bench", NAME, "--samples", "7", "--warmups", "3", "--sample-ns", "200000"]
    lines = [json.loads(line) for line in subprocess.run(command, capture_output=True, check=True).stdout.splitlines()]
    begin, end = lines[0], lines[-1]
    samples = [line["elapsed_ns"] for line in lines if line["line"] == "sample"]
    assert (len(samples), end["samples"], end["warmups"]) == (7, 7, 3)
    assert begin["iterations"] > 1
    assert begin["clock_step_ns"] > 0
    assert begin["clock_overhead_ns"] > 0
    assert all(isinstance(sample, int) and sample > 0 for sample in samples)


def test_the_number_of_iterations_can_be_fixed(host_probe):
    command = [host_probe.path, "bench", NAME, "--samples", "2", "--warmups", "0", "--iterations", "123"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert probe.read(completed(done.stdout), NAME).iterations == 123
    assert b'"operations":246' in done.stdout


def test_the_same_source_and_compiler_are_built_once(host_probe):
    before = host_probe.path.stat().st_mtime_ns
    assert probe.build(laboratory.cache_folder()) == host_probe
    assert host_probe.path.stat().st_mtime_ns == before


def test_another_define_is_another_probe(host_probe):
    assert probe.build(laboratory.cache_folder(), defines=("ANOTHER=1",)).path != host_probe.path


def test_no_compiler_is_unsupported_with_the_way_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotSupported) as caught:
        probe.build(tmp_path, architecture="m68k")
    assert "m68k" in str(caught.value)
    assert caught.value.missing.startswith("apt-get install")


def test_a_compiler_that_fails_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHPROOF_CC", "false")
    with pytest.raises(NotSupported, match="false:"):
        probe.build(tmp_path)
