"""Dialects: Kevlar's lines, and those that a plan describes by patterns. Without evidence nothing of them is passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchproof import runner
from benchproof.benchmarks import BENCHMARKS
from benchproof.benchmarks.kernel.primitive import Primitive
from benchproof.errors import InvocationError, LabInvalid, NotSupported, TargetFailed, UsageError
from benchproof.model import Failed, Passed, Unverified
from benchproof.protocol import grammar
from benchproof.protocol.grammar import KEVLAR, OWN, Grammar
from benchproof.protocol.patterns import compiled
from benchproof.protocol.transcript import Ended, Heard, is_over, read
from fuzz import harness
from transcripts import Speaks

RECORDED = (Path(__file__).parent / "data" / "kevlar" / "linux-on-hvf-baseline.txt").read_bytes()
OVER = Ended("power-off", 0)
# as a measurement build prints its lines among those of its log
MEASURE = {
    "dialect": "measure",
    "mark": "measure:",
    "begin": r"measure: begin (?P<system>\S+) hz=(?P<hz>[0-9]+)",
    "total": r"measure: (?P<name>[a-z_.]+) ops=(?P<operations>[0-9]+) cycles=(?P<elapsed>[0-9]+)",
    "evidence": r"measure: (?P<name>[a-z_.]+) (?P<key>cqes|overflows)=(?P<value>[0-9]+)",
    "unsupported": r"measure: (?P<name>[a-z_.]+) absent(?:: (?P<reason>.*))?",
    "end": r"measure: end (?P<count>[0-9]+)",
    "unit": "cycles",
    "clock": "tsc",
    "names": {"syscall.getpid": "ring_nop"},
    "mechanism": {"syscall.getpid": "ring entry"},
}
MEASURED = """\
kernel: 1 CPU
measure: begin toy-0.1 hz=2500000000
measure: ring_nop ops=1000 cycles=812000
[0.10] sched: idle
measure: ring_nop cqes=1000
measure: ring_nop overflows=0
measure: cap_lookup ops=1000 cycles=98000
measure: fork absent: no processes here
measure: end 2
"""
# a summary at the end of the log, without any line of its own before or behind it
CSV = {
    "dialect": "csv",
    "total": r"(?P<name>[a-z_]+),(?P<operations>[0-9]+),(?P<elapsed>[0-9]+(?:\.[0-9]+)?)",
    "unit": "us",
    "names": {"syscall.getpid": "ring_nop"},
}
SUMMARY = "name,ops,us\nring_nop,1000,812.5\ncap_lookup,1000,98\n"


def dialect(table: dict[str, Any], **changes: Any) -> Grammar:
    return grammar.of({key: value for key, value in (table | changes).items() if value is not None})


def heard(text: str) -> Heard:
    return Heard(text.encode())


def kevlar(*lines: str) -> Heard:
    return heard("\r\n".join(("BENCH_START kevlar", *lines, "BENCH_END", "")))


# ---- Kevlar ----


def test_a_recorded_transcript_of_kevlar_is_read():
    found = read(Heard(RECORDED), "syscall.getpid", ended=OVER, grammar=KEVLAR)
    assert (found.name, found.unit, found.iterations, found.samples) == ("getpid", "ns", 1_000_000, (138313333.0,))
    assert (found.source, found.mechanism) == ("kevlar", "kevlar: getpid")
    assert is_over(RECORDED, KEVLAR)
    assert not is_over(RECORDED[:-1], KEVLAR)


@pytest.mark.parametrize("name", KEVLAR.names)
def test_what_comes_without_evidence_is_never_passed(name):
    target = Speaks(RECORDED, grammar=KEVLAR)
    benchmark = BENCHMARKS.load(name)()
    if KEVLAR.names[name].encode() + b" " in RECORDED:
        outcome = runner.judge(benchmark, benchmark.run(target))
        assert isinstance(outcome, Unverified)
        assert outcome.source == "kevlar"
        assert outcome.measurements[0].metric.startswith(name)


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        (["BENCH getpid 10 2000 199"], LabInvalid, "line 2, byte 20: .*2000 / 10 is not 199: it contradicts itself"),
        (["BENCH getpid 0 2000 0"], LabInvalid, "line 2.*an operation or more"),
        (["BENCH getpid 10 0 0"], LabInvalid, "line 2.*took no time at all"),
        (["BENCH getpid 10 20[ 0.1] eth0 up"], LabInvalid, "line 2.*no rule of the grammar reads it"),
        (["[ 0.1] eth0BENCH getpid 10 20 2"], LabInvalid, "line 2.*behind other output"),
        (["BENCH getpid 10 2000 200"] * 2, LabInvalid, "line 3.*a total stands alone"),
        (["BENCH_SKIP getpid (no)", "BENCH getpid 1 2 2"], LabInvalid, "line 3.*unsupported .line 2"),
        (["BENCH stat 10 2000 200"], LabInvalid, "BENCH_END.*'getpid' was asked for"),
        (["BENCH_SKIP getpid (no clock)"], NotSupported, "not_applicable: no clock .line 2"),
        (["BENCH getpid 1 2 2", "BENCH_START kevlar"], TargetFailed, "restarted: line 3"),
        (["BENCH getpid 1 2 2", "panicked at 'x'"], TargetFailed, "line 3.*panicked"),
        (["BENCH getpid 1 2 2", "BUG: bad page"], TargetFailed, "line 3"),
        (["GENERAL_PROTECTION_FAULT pid 4", "BENCH getpid 1 2 2"], TargetFailed, "'getpid' was under way: line 2"),
    ],
)
def test_a_fault_in_kevlars_lines_decides_with_its_place(lines, error, words):
    with pytest.raises(error, match=words):
        read(kevlar(*lines), "syscall.getpid", ended=OVER, grammar=KEVLAR)


def test_a_program_that_fell_in_another_benchmark_does_not_touch_what_was_complete():
    lines = ["BENCH getpid 1 2 2", "sh[4]: segfault at 0", "BENCH stat 1 2 2"]
    found = read(kevlar(*lines), "syscall.getpid", ended=OVER, grammar=KEVLAR)
    assert "segfault" in found.evidence["protocol.user_faults"]
    with pytest.raises(TargetFailed, match="line 3"):
        read(kevlar(*lines), "syscall.stat", ended=OVER, grammar=KEVLAR)


def test_half_of_a_dialect_is_no_transcript():
    for cut in range(0, len(RECORDED), 7):
        with pytest.raises(InvocationError):
            read(Heard(RECORDED[:cut]), "syscall.getpid", ended=OVER, grammar=KEVLAR)


# ---- of a plan ----


def test_lines_among_a_log_are_read_by_the_patterns_of_a_plan():
    found = read(heard(MEASURED), "syscall.getpid", ended=Ended("trailer"), grammar=dialect(MEASURE))
    assert (found.name, found.mechanism, found.unit) == ("ring_nop", "ring entry", "cycles")
    assert (found.iterations, found.samples, found.source) == (1000, (812000.0,), "")
    assert (found.evidence["cqes"], found.evidence["protocol.clock"]) == ("1000", "tsc in cycles")
    assert is_over(MEASURED.encode(), dialect(MEASURE))
    with pytest.raises(NotSupported, match="no processes here"):
        read(heard(MEASURED), "fork", ended=OVER, grammar=dialect(MEASURE))


def test_evidence_in_a_dialect_is_judged_as_any_other():
    asked = Primitive(what="ring_nop", counts=("cqes",), zeros=("overflows",))
    for text, kind in ((MEASURED, Passed), (MEASURED.replace("cqes=1000", "cqes=999"), Failed)):
        target = Speaks(text.encode(), grammar=dialect(MEASURE))
        assert isinstance(runner.judge(asked, asked.run(target)), kind)
    alone = Primitive(what="cap_lookup", zeros=("overflows",))
    target = Speaks(MEASURED.encode(), grammar=dialect(MEASURE))
    assert runner.judge(alone, alone.run(target)).source == "measure"  # nothing that the oracle could read: unverified


def test_a_summary_without_a_last_line_counts_where_the_machine_ended_by_itself():
    found = read(heard(SUMMARY), "syscall.getpid", ended=OVER, grammar=dialect(CSV))
    assert (found.unit, found.samples, found.source) == ("ns", (812500.0,), "csv")
    with pytest.raises(LabInvalid, match="no 'end'"):
        read(heard(SUMMARY), "syscall.getpid", ended=Ended("trailer"), grammar=dialect(CSV))
    with pytest.raises(LabInvalid, match="ends before the line does"):
        read(heard(SUMMARY[:-1]), "syscall.getpid", ended=OVER, grammar=dialect(CSV))


LISTS = {
    "begin": r"begin(?: hz=(?P<hz>[0-9]+))?",
    "bench": r"list (?P<name>\w+) (?P<unit>\w+)",
    "total": r"took (?P<name>\w+) (?P<elapsed>[0-9]+)",
}


@pytest.mark.parametrize(
    ("usual", "listed", "unit", "elapsed"),
    [
        ("ns", "us", "ns", 5000.0),
        ("us", "ns", "ns", 5.0),
        ("ms", "cycles", "cycles", 5.0),
        ("s", "ticks", "ns", 5.0),
    ],
)
def test_a_figure_is_in_the_unit_in_which_its_benchmark_was_listed(usual, listed, unit, elapsed):
    text = f"begin hz=1000000000\nlist a {listed}\ntook a 5\n"
    found = read(heard(text), "a", ended=OVER, grammar=dialect(LISTS | {"unit": usual}))
    assert (found.unit, found.samples) == (unit, (elapsed,))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("begin\nlist a ticks\ntook a 5\n", r"line 2, .*ticks need hz"),
        ("begin hz=0\nlist a ticks\ntook a 5\n", r"line 1, .*hz: expected 1 to"),
        ("begin hz=200000000000\nlist a ticks\ntook a 5\n", r"line 1, .*hz: expected 1 to"),
        ("begin\ntook a 5\nlist a us\n", r"line 3, .*'a' stands there already"),
    ],
)
def test_ticks_of_an_unknown_clock_are_no_time(text, words):
    with pytest.raises(LabInvalid, match=words):
        read(heard(text), "a", ended=OVER, grammar=dialect(LISTS))


def test_a_dialect_cannot_say_what_only_we_can_know():
    lines = {"total": LISTS["total"], "evidence": r"told (?P<name>\w+) (?P<key>\S+) (?P<value>\S+)"}
    with pytest.raises(LabInvalid, match="benchproof's own"):
        read(heard("told a protocol.user_faults none\ntook a 5\n"), "a", ended=OVER, grammar=dialect(lines))


def test_lines_that_name_nothing_belong_to_the_benchmark_that_was_begun():
    stepped = dialect(
        {
            "bench": r"list (?P<name>\w+) (?P<unit>\w+) (?P<clock>\w+): (?P<mechanism>.*)",
            "start": r"run (?P<name>\w+)",
            "warmup": r"  warm (?P<operations>\d+) (?P<elapsed>\d+)".strip(),
            "sample": r"took (?P<each>[0-9.]+) each of (?P<operations>\d+)",
            "evidence": r"(?P<key>\w+) is (?P<value>\d+)",
            "failed": r"wrong: (?P<reason>.*)",
            "end": r"over",
        }
    )
    text = "list a ns tsc: an entry\nlist b ns tsc: x\nrun a\nwarm 10 90\ntook 2.5 each of 10\ndone is 20\nrun b\n"
    found = read(heard(f"{text}wrong: lost one\nover\n"), "a", ended=OVER, grammar=stepped)
    assert (found.mechanism, found.warmups, found.samples, found.evidence["done"]) == (
        "an entry",
        (90.0,),
        (25.0,),
        "20",
    )
    with pytest.raises(TargetFailed, match="lost one"):
        read(heard(f"{text}wrong: lost one\nover\n"), "b", ended=OVER, grammar=stepped)
    with pytest.raises(LabInvalid, match="'b' was begun and never reported"):
        read(heard(f"{text}over\n"), "a", ended=OVER, grammar=stepped)
    with pytest.raises(LabInvalid, match=r"line 1.*under way"):
        read(heard("took 2.5 each of 10\nover\n"), "a", ended=OVER, grammar=stepped)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("measure: end 2", "measure: end 3"), "counts 3 benchmarks, found 2"),
        (("measure: end 2\n", ""), "is cut: expected a line that 'measure: end"),
        (("cycles=98000", "cycles=98x00"), "line 7, byte .*no rule of the grammar"),
        (("[0.10] sched: idle\n", "rcu: INFO: rcu_sched detected stalls on CPUs\n"), "kept from running: line 4"),
        (("measure: begin toy-0.1 hz=2500000000\n", ""), "expected the first line of the dialect"),
        (("measure: end 2\n", "measure: end 2\nmeasure: x ops=1 cycles=1\n"), "after its end"),
    ],
)
def test_a_damaged_transcript_of_a_dialect_is_invalid(change, words):
    with pytest.raises(LabInvalid, match=words):
        read(heard(MEASURED.replace(*change)), "syscall.getpid", ended=OVER, grammar=dialect(MEASURE))


def test_a_result_that_is_printed_when_all_is_over_is_held_against_the_whole_time():
    slow = SUMMARY.replace("812.5", "3000000")  # 3 s
    late = ((0, 10**12), (0, 10**12 + 5 * 10**9))
    assert read(Heard(slow.encode(), late), "syscall.getpid", ended=OVER, grammar=dialect(CSV)).samples == (3e9,)
    early = ((0, 10**12), (0, 10**12 + 10**9))
    with pytest.raises(TargetFailed, match=r"took 3.000 s by its clock.*1.000 s pass at most"):
        read(Heard(slow.encode(), early), "syscall.getpid", ended=OVER, grammar=dialect(CSV))


# ---- tables that make no sense ----


def test_the_ready_grammars_have_names():
    assert grammar.of("kevlar") is KEVLAR
    assert grammar.of("benchproof") is OWN
    assert grammar.of({"total": KEVLAR.total}).total == KEVLAR.total


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("kevler", "did you mean 'kevlar'"),
        (7, "expected 'benchproof' or 'kevlar' or a table"),
        ({}, "expected a pattern 'sample' or 'total'"),
        ({"totl": "x"}, "unknown key 'totl'; did you mean 'total'"),
        ({"total": 7}, "total"),
        ({"total": "("}, "total: expected a regular expression"),
        ({"total": "x"}, r"total: expected a group \(\?P<name>"),
        ({"total": r"(?P<name>\w+)"}, "expected a group .*elapsed.* or .*each"),
        ({"total": r"(?P<nam>\w+) (?P<elapsed>\d+)"}, "unknown group 'nam'; did you mean 'name'"),
        ({"sample": r"(?P<elapsed>\d+)"}, "or a pattern 'start'"),
        ({"total": r"(?P<name>(a+)+) (?P<elapsed>\d+)"}, "a loop within a loop"),
        ({"total": r"(?P<name>\w*\w*\w*\w*\w*) (?P<elapsed>\d+)"}, "too many loops in a row"),
        ({"total": f"(?P<name>{'a' * 600})"}, "up to 500 characters"),
        ({"total": r"(?P<name>\w+) (?P<elapsed>\d+)", "unit": "hours"}, "unit|hours"),
        ({"total": r"(?P<name>\w+) (?P<elapsed>\d+)", "unit": "ticks"}, "ticks need hz"),
        ({"total": r"(?P<name>\w+) (?P<elapsed>\d+)", "hz": -1}, "hz"),
        ({"total": r"(?P<name>\w+) (?P<elapsed>\d+)", "names": {"a": "b c"}}, "names: 'a'"),
        ({"total": r"(?P<name>\w+) (?P<elapsed>\d+)", "dialect": "kevlar"}, "a name of its own"),
        ({"total": r"(?P<name>\w+) (?P<elapsed>\d+)", "evidence": r"(?P<name>\w+)"}, r"\(\?P<key>"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_wrong_question(table, words):
    with pytest.raises(UsageError, match=words) as caught:
        grammar.of(table)
    assert str(caught.value).startswith("grammar: ")


PATTERNS = [
    *(pattern for pattern in KEVLAR.rules().values()),
    *(pattern for pattern in dialect(MEASURE).rules().values()),
    *(pattern for pattern in dialect(CSV).rules().values()),
    *grammar.of({"total": r".*ops=(?P<name>\d+).* cycles=(?P<elapsed>\d+)"}).rules().values(),
]


@pytest.mark.parametrize(
    ("pattern", "fine"),
    [
        (r"(?P<a>\S+) [0-9]+ [0-9]+ \d+ \w+", True),
        (r".*ops=\d+.* cycles=\d+", True),
        (r".*a.*a.*a", True),
        (r".*a.*a.*a.*a", False),
        (r"\d*\d*\d*\d*\d*x", False),
        (r"\s*\d+\s*\d+\s*\d+\s*\d+\s*\d+x", False),
        (r"(?:x|y*)(?:x|y*)y*y*y*y*z", False),
        (r"(?:ab|cd)+", True),
        (r"(?:ab|cd)+x(?:ab|cd)+", True),
        (r"(?:ab|c*)+", False),
        (r"(a+)+b", False),
        (r"(?:a++)*b", True),
        (r"(?:a{1,9}b)*c", False),
        (r"(?:a{3}b)*c", True),
        (r"(?:.{2,9}){0,30}", False),
        ("a?" * 40 + "a" * 40, False),
        (r"(?:ab|a.)*x", False),
        (r"(?:a|aa)" * 40, False),
        (r"(?=.*a)b", False),
        (r"(?=(?:a|aa)b)b", False),
        (r"(?:-?[0-9]{1,9})?(?: \((?P<a>.{0,200})\))?", True),
        (r"(?P<a>x)?(?(a)y*|z*)", True),
        (r"[^,]+,[^,]+,[^,]+,[^,]+,[^,]+", True),
        (r"(?=a)(?!b)\Aa\b", True),
    ],
)
def test_what_could_take_for_ever_is_told_from_what_cannot(pattern, fine):
    if fine:
        assert compiled(pattern).pattern == pattern
    else:
        with pytest.raises(UsageError, match=r"takes? for ever"):
            compiled(pattern)


def test_a_pattern_that_is_searched_for_must_be_simpler():
    assert compiled(r"drivers/\S+ line \d+", searched=True)
    with pytest.raises(UsageError, match="for ever"):
        compiled(r".*a.*a.*a", searched=True)


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.pattern[:30])
def test_a_pattern_that_is_let_through_comes_to_an_end_on_long_lines(pattern):
    for piece in ("0", "a ", "ops=1", " cycles=1", "BENCH 1 ", "a,1,", " "):
        for end in ("", "\x07"):
            pattern.fullmatch((piece * 600)[:512] + end)
            pattern.search((piece * 600)[:512] + end)


def test_hostile_tables_are_refused_in_one_line():
    for body in (b"", b"\xff", b"[1]", b'{"total": 1}', b'{"total": "(?P<name>.)(?P<elapsed>.)"}\nx 1'):
        harness.feed(b"grammar\n" + body)
