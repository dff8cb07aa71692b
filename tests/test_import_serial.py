"""Recorded serial lines: the same rules as for a kernel that was started here, and never more than unverified."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchproof import importing
from benchproof.importers import Unreadable, read_as
from benchproof.importing import recognised
from benchproof.model import Failed, Invalid, Unsupported, Unverified
from benchproof.store import bundle
from transcripts import GOOD

RECORDED = Path(__file__).parent / "data" / "serial" / "bare-metal.txt"
WHOLE = RECORDED.read_bytes()


def outcomes(content: bytes) -> dict[str, Unverified | Failed | Unsupported | Invalid]:
    (run,) = read_as("serial", content, "log")
    return {each.benchmark: each.outcome for each in run.results}


def test_a_recorded_line_of_a_real_kernel_is_read_whole():
    assert recognised(WHOLE, "log") == "serial"
    (run,) = read_as("serial", WHOLE, "log")
    assert {each.target for each in run.results} == {"bare-metal-1"}
    assert {type(each.outcome) for each in run.results} == {Unverified}
    assert len(run.results) == 11
    (getpid,) = [each for each in run.results if each.benchmark == "serial.syscall.getpid"]
    (measurement,) = getpid.outcome.measurements
    assert (measurement.metric, measurement.unit, len(measurement.samples)) == (
        "serial.syscall.getpid.latency",
        "ns",
        6,
    )
    assert getpid.evidence["completed"] == str(measurement.iterations * (6 + len(measurement.warmups)))
    assert getpid.evidence["mechanism"].startswith("ring entry")
    assert any("no clock was held against the host's" in note for note in run.notes)


def test_a_recorded_line_becomes_a_run_whose_figures_are_marked(tmp_path):
    taken = importing.take(RECORDED, tmp_path, target="toy")
    run = bundle.load(tmp_path / "runs" / taken.runs[0].run_id)
    assert {result.target for result in run.results} == {"toy"}
    assert {type(result.outcome) for result in run.results} == {Unverified}


def test_a_recorded_line_that_is_cut_gives_no_number():
    for cut in range(0, len(WHOLE), 211):
        try:
            found = outcomes(WHOLE[:cut])
        except Unreadable:
            continue
        assert not [name for name, outcome in found.items() if isinstance(outcome, Unverified)]


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (GOOD + b"Kernel panic - not syncing\n", Failed, "line 24, byte"),
        (GOOD.replace(b"401302", b"401303"), Invalid, "line 17, byte"),
        (GOOD.replace(b"@bp done sys", b"@bp failed sys"), Invalid, "line 23, byte"),
        (b"@bp begin 1 benchmarks=0\n@bp end benchmarks=0 done=0 failed=0 unsupported=0 lines=2\n", Invalid, "suite"),
    ],
)
def test_a_fault_decides_as_it_does_for_a_kernel_that_was_started_here(content, kind, words):
    found = outcomes(content)
    name = next(iter(found))
    assert isinstance(found[name], kind)
    assert words in str(found[name]).replace("serial.suite", "suite")


def test_what_the_kernel_lacks_is_unsupported_in_its_own_words():
    reason = outcomes(GOOD)["serial.process.fork_exec"].reason
    assert re.fullmatch(r"not_applicable: there are no programs to start \(line 7, byte .*\)", reason)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no line '@bp begin'"),
        (b"@bp begin 1\n", "no line '@bp begin'"),
        (b"x" * (5 << 20), "longer than 4 MiB"),
        (
            b"@bp begin 1 benchmarks=1\n" + b"".join(b"@bp unsupported a%d b\n" % each for each in range(1001)),
            "it lists 1001 benchmarks",
        ),
    ],
)
def test_what_is_no_transcript_is_refused(content, words):
    with pytest.raises(Unreadable, match=words):
        read_as("serial", content, "log")
