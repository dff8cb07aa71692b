"""The protocol's reader: one good transcript, and every way to spoil it that we know of, at every place.

`FAULTS` lists what is planted by name, with the status that it must get and the line that the message must quote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchproof import runner
from benchproof.benchmarks.primitive.getpid import Getpid
from benchproof.errors import InvocationError, LabInvalid, NotSupported, StartFailed, TargetFailed, UsageError, one_line
from benchproof.model import Outcome, Passed
from benchproof.protocol.faults import find, kind_of
from benchproof.protocol.transcript import Ended, Heard, described, is_over, read
from transcripts import BEGIN, BODY, GETPID, GOOD, LIST, LOG, MEMCPY, TOKEN, Speaks, ended, whole

OVER = Ended("trailer")
OFF = Ended("power-off", 0)
NAME = "syscall.getpid"


def told(text: bytes, how: Ended = OVER, name: str = NAME, **more: Any) -> Any:
    return read(Heard(text, more.pop("arrivals", ())), name, ended=how, **({"token": TOKEN} | more))


# ---- a good one ----


def test_a_good_transcript_is_read_as_it_stands():
    found = told(GOOD)
    assert (found.mechanism, found.unit, found.clock) == ("ring entry, one no-op", "ns", "target")
    assert (found.iterations, found.warmups, found.samples) == (1000, (512345.0,), (401302.0, 401287.0))
    assert found.evidence == {
        "completed": "3000",
        "overflows": "0",
        "wrong_cookies": "0",
        "protocol.pace": "not shown",
        "protocol.freshness": "token",
        "protocol.lines": "9 to 17",
        "protocol.clock": "tsc in ticks",
        "protocol.hz": "1000000000",
    }
    assert found.source == ""
    total = told(GOOD, name="memory.memcpy")
    assert (total.iterations, total.samples) == (8, (4000000.0,))


def test_a_good_transcript_says_what_the_system_is():
    assert described(Heard(GOOD), ended=OVER, token=TOKEN) == {
        "protocol": "benchproof 1",
        "stated_system": "toy-1",
        "stated_build": "release",
        "stated_clock": "tsc in ticks",
        "freshness": "token",
        "pace": "held against the host's",
    }


def test_a_kernel_that_cannot_read_its_command_line_is_read_and_freshness_is_not_shown():
    text = GOOD.replace(f" token={TOKEN}".encode(), b"")
    assert told(text).evidence["protocol.freshness"] == "not shown"
    assert described(Heard(text), ended=OVER, token=TOKEN)["freshness"] == "not shown"


def test_ticks_become_nanoseconds_and_cycles_stay_cycles():
    slow = GOOD.replace(b"hz=1000000000", b"hz=3000000000")
    assert told(slow).samples == (401302 / 3, 401287 / 3)
    cycles = told(GOOD.replace(b"unit=ticks", b"unit=cycles"))
    assert (cycles.unit, cycles.samples) == ("cycles", (401302.0, 401287.0))


def test_only_ticks_of_the_time_stamp_counter_count_instructions():
    found = told(GOOD.replace(b"hz=1000000000", b"hz=3000000000"), exact=True)
    assert (found.unit, found.clock, found.samples) == ("instructions", "instructions", (401302.0, 401287.0))
    for other in (GOOD.replace(b"unit=ticks", b"unit=ns"), GOOD.replace(b"clock=tsc", b"clock=pit")):
        with pytest.raises(NotSupported, match="line 5, byte") as caught:
            told(other, exact=True)
        assert "unit=ticks clock=tsc" in caught.value.missing


def test_line_feeds_alone_end_lines_too():
    assert told(GOOD.replace(b"\r\n", b"\n")) == told(GOOD)


# ---- one fault each ----


class Fault(NamedTuple):
    name: str
    text: bytes
    error: type[InvocationError]
    decided: str = ""  # the beginning of the line that must be quoted with its place; empty: none decides
    how: Ended = OVER
    more: Mapping[str, Any] = MappingProxyType({})


def with_line(after: str, *lines: str) -> bytes:
    """The good transcript with more lines behind that one, and a trailer that counts them."""
    body = list(BODY)
    place = body.index(after) + 1
    return whole(*body[:place], *lines, *body[place:])


def without(*lines: str) -> bytes:
    return whole(*(line for line in BODY if line not in lines))


def changed(line: str, other: str) -> bytes:
    return whole(*(other if each == line else each for each in BODY))


def text(old: str, new: str) -> bytes:
    assert old.encode() in GOOD
    return GOOD.replace(old.encode(), new.encode())


SAMPLE, DONE, COMPLETED = GETPID[2], GETPID[-1], GETPID[5]
END = ended((BEGIN, *BODY))
LOGGED = "".join(f"{line}\r\n" for line in LOG).encode()
PANIC = "Kernel panic - not syncing: Attempted to kill init!"
BROKEN = {
    "Linux panics": PANIC,
    "Rust panics": "panicked at 'index out of bounds', src/main.rs:7",
    "BSD panics": "panic: acquire",
    "a hobby kernel panics": "[PANIC] no more frames",
    "double fault": "EXCEPTION: DOUBLE FAULT at rip=ffff8000",
    "unhandled exception": "unhandled exception 14 in kernel mode",
    "oops": "[   12.0] Oops: 0002 [#1] PREEMPT SMP",
    "BUG": "[   12.0] BUG: unable to handle page fault for address: 0000",
    "kernel BUG": "[   12.0] kernel BUG at mm/slub.c:4000!",
    "general protection in the kernel": "general protection fault, probably for non-canonical address: 0000 [#1]",
    "paging request": "Unable to handle kernel NULL pointer dereference at virtual address 0",
    "assertion": "assertion failed: left == right",
    "warning": "[   12.0] WARNING: CPU: 0 PID: 1 at kernel/sched/core.c:1",
    "taint": "[   12.0] CPU: 0 PID: 1 Comm: sh Tainted: G        W          6.1.0",
}
FALLEN = {
    "segfault": "sh[12]: segfault at 0 ip 0 sp 0 error 4",
    "general protection of a program": "traps: sh[12] general protection fault ip:401000 sp:7ffc error:0",
    "GPF": "GENERAL_PROTECTION_FAULT in pid 1 at rip=401b22",
    "killed for want of memory": "Out of memory: Killed process 12 (sh) total-vm:1kB",
    "signal": "init: child killed by signal 11",
}
STALLED = {
    "soft lock-up": "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:12]",
    "RCU stall": "rcu: INFO: rcu_sched self-detected stall on CPU",
    "hung task": "INFO: task sh:12 blocked for more than 120 seconds.",
    "unstable clock": "clocksource: watchdog on CPU0: Marking clocksource 'tsc' as unstable because: skew",
}
FAULTS = [
    # it did not start, or not live to its end
    Fault("nothing was printed", b"", StartFailed, how=Ended("time-out")),
    Fault("no protocol, only a log", LOGGED, StartFailed, "[    0.000000] toy"),
    Fault("a panic before the first line", LOGGED + PANIC.encode() + b"\n", StartFailed, PANIC, Ended("time-out")),
    Fault("QEMU does not start", b"", StartFailed, how=Ended("exited", 1, complaint="qemu: no such CPU 'x'")),
    *(Fault(f"{name}, half-way", with_line(SAMPLE, line), TargetFailed, line) for name, line in BROKEN.items()),
    *(Fault(f"{name}, after the trailer", whole(after=(line,)), TargetFailed, line) for name, line in BROKEN.items()),
    Fault(
        "a panic within a line",
        with_line(DONE, f"@bp start memory.memcpy{PANIC}"),
        TargetFailed,
        "@bp start memory.memcpyK",
    ),
    *(
        Fault(f"{name} while it is under way", with_line(SAMPLE, line), TargetFailed, line)
        for name, line in FALLEN.items()
    ),
    Fault("it restarts", GOOD[: GOOD.index(b"@bp done")] + GOOD, TargetFailed, "@bp begin"),
    Fault("it ends with the wrong status", GOOD, TargetFailed, "@bp end", Ended("debug-exit", 35, 33)),
    Fault("it is killed", GOOD[:700], TargetFailed, how=Ended("exited", -9)),
    Fault("it ends by itself half-way", GOOD[:700], TargetFailed, how=Ended("exited", 0)),
    Fault("it hangs half-way", GOOD[:700], TargetFailed, how=Ended("time-out")),
    Fault("it hangs after the trailer", GOOD, TargetFailed, "@bp end", Ended("time-out")),
    Fault("it prints for ever", GOOD + b"tick\n" * 9, TargetFailed, "tick", Ended("flood")),
    Fault("it prints too much for one transcript", GOOD + b"tick tock\n" * 500_000, TargetFailed, "SeaBIOS"),
    Fault("the transcript of another start", GOOD, TargetFailed, "@bp begin", more={"token": "0" * 16}),
    Fault(
        "it finds itself wrong",
        changed(DONE, f"@bp failed {NAME} a completion was lost").replace(b"done=2 failed=0", b"done=1 failed=1"),
        TargetFailed,
        "@bp failed",
    ),
    # it was kept from running
    *(Fault(f"{name}", with_line(SAMPLE, line), LabInvalid, line) for name, line in STALLED.items()),
    # the transcript is cut or damaged
    Fault(
        "it powers off half-way", GOOD[: GOOD.index(b"@bp start memory")], LabInvalid, "[    0.500000] toy: half", OFF
    ),
    Fault("the last line has no line feed", GOOD[:-1], LabInvalid, "@bp end"),
    Fault("the trailer is lost", GOOD[: GOOD.index(b"@bp end")], LabInvalid, "@bp done memory"),
    Fault("the beginning is lost", GOOD[GOOD.index(b"@bp unsupported pr") :], LabInvalid, "@bp unsupported pr"),
    Fault("the first line is damaged", text("@bp begin", "@bp bexin"), LabInvalid, "@bp bexin"),
    Fault("a line runs into the log", text(SAMPLE, f"[    0.1] tick{SAMPLE}"), LabInvalid, "[    0.1] tick@bp"),
    Fault("the log runs into a line", text(SAMPLE, f"{SAMPLE}[    0.1] tick"), LabInvalid, SAMPLE),
    Fault("a carriage return too many", text(SAMPLE, f"{SAMPLE}\r"), LabInvalid, f"{SAMPLE}"),
    Fault("a byte that is no ASCII", text("1000 401302", "1000 4\xb313"), LabInvalid, f"@bp sample {NAME} 1000 4\xb3"),
    Fault("a control character", text("1000 401302", "1000 4013\x0702"), LabInvalid, f"@bp sample {NAME} 1000 4013"),
    Fault("a line of 513 bytes", text("rep movsb", "r" * 513), LabInvalid, "@bp bench memory"),
    Fault("two blanks", text("getpid 1000 401302", "getpid 1000  401302"), LabInvalid, f"@bp sample {NAME} 1000  "),
    Fault("a blank at the end", text(SAMPLE, f"{SAMPLE} "), LabInvalid, SAMPLE),
    Fault("a number with a leading zero", text("401302", "0401302"), LabInvalid, f"@bp sample {NAME} 1000 0"),
    Fault("a number of 2^63", text("401302", str(2**63)), LabInvalid, f"@bp sample {NAME} 1000 {2**63}"),
    Fault("a negative number", text("401302", "-401302"), LabInvalid, f"@bp sample {NAME} 1000 -"),
    Fault("a number with a point", text("401302", "401302.0"), LabInvalid, f"{SAMPLE}.0"),
    Fault("a word that is missing", text("1000 401302", "401302"), LabInvalid, f"@bp sample {NAME} 401302"),
    Fault(
        "an unknown word of the protocol", text(SAMPLE, SAMPLE.replace("sample", "simple")), LabInvalid, "@bp simple"
    ),
    Fault("another version", text("begin 1", "begin 2"), LabInvalid, "@bp begin 2"),
    Fault("an unknown attribute", text("build=", "built="), LabInvalid, "@bp begin"),
    Fault("an attribute twice", text("build=release", "build=release build=debug"), LabInvalid, "@bp begin"),
    Fault("an attribute that is missing", text("benchmarks=2 token", "token"), LabInvalid, "@bp begin"),
    Fault("an attribute without a value", text("build=release", "build="), LabInvalid, "@bp begin"),
    Fault("an unknown unit", text("memcpy unit=ticks", "memcpy unit=hours"), LabInvalid, "@bp bench memory"),
    Fault("ticks without hz", text(" hz=1000000000", ""), LabInvalid, "@bp bench sys"),
    Fault("a clock without ticks", GOOD.replace(b"hz=1000000000", b"hz=0"), LabInvalid, "@bp begin"),
    Fault("a clock that no machine has", GOOD.replace(b"hz=1000000000", b"hz=100000000001"), LabInvalid, "@bp begin"),
    Fault("no mechanism", text(" : rep movsb", ""), LabInvalid, "@bp bench memory"),
    Fault(
        "a bad name",
        text("@bp unsupported process.fork_exec", "@bp unsupported 7up"),
        LabInvalid,
        "@bp unsupported 7up",
    ),
    Fault("no reason", text("* this kernel has nothing like it", "*"), LabInvalid, "@bp unsupported *"),
    Fault(
        "a key of ours",
        with_line(COMPLETED, f"@bp evidence {NAME} protocol.hz 1"),
        LabInvalid,
        f"@bp evidence {NAME} pro",
    ),
    # it contradicts itself
    Fault("listed after the first start", with_line(GETPID[0], LIST[1]), LabInvalid, "@bp bench mem"),
    Fault(
        "unsupported after the first start",
        with_line(GETPID[0], "@bp unsupported x y"),
        LabInvalid,
        "@bp unsupported x",
    ),
    Fault("listed twice", with_line(LIST[0], LIST[0]), LabInvalid, "@bp bench sys"),
    Fault(
        "listed and unsupported",
        with_line(LIST[0], f"@bp unsupported {NAME} no"),
        LabInvalid,
        f"@bp unsupported {NAME}",
    ),
    Fault(
        "fewer listed than promised", text("begin 1 benchmarks=2", "begin 1 benchmarks=3"), LabInvalid, "@bp start sys"
    ),
    Fault("started and not listed", with_line(DONE, "@bp start x"), LabInvalid, "@bp start x"),
    Fault(
        "started within another", whole(*LIST, *GETPID[:3], MEMCPY[0], *GETPID[3:], *MEMCPY[1:]), LabInvalid, MEMCPY[0]
    ),
    Fault(
        "started twice",
        with_line(DONE, *(line for line in GETPID if line.startswith("@"))),
        LabInvalid,
        "@bp start sys",
    ),
    Fault("listed and never started", without(*MEMCPY), LabInvalid, "@bp end"),
    Fault("a sample before its start", with_line(LIST[-1], f"{SAMPLE}0"), LabInvalid, f"{SAMPLE}0"),
    Fault("a sample after its end", with_line(DONE, SAMPLE), LabInvalid, "@bp sample"),
    Fault("a sample of another", with_line(SAMPLE, "@bp sample memory.memcpy 8 1"), LabInvalid, "@bp sample mem"),
    Fault("a warm-up after a sample", with_line(SAMPLE, GETPID[1]), LabInvalid, "@bp warmup"),
    Fault("a total beside samples", with_line(SAMPLE, f"@bp total {NAME} 1000 1"), LabInvalid, f"@bp total {NAME}"),
    Fault("two totals", with_line(MEMCPY[1], MEMCPY[1]), LabInvalid, "@bp total"),
    Fault(
        "another number of operations",
        changed(SAMPLE, SAMPLE.replace("1000", "1001")),
        LabInvalid,
        f"@bp sample {NAME} 1001",
    ),
    Fault("no operation", text("memory.memcpy 8 4000000", "memory.memcpy 0 4000000"), LabInvalid, "@bp total"),
    Fault("no time at all", text("memory.memcpy 8 4000000", "memory.memcpy 8 0"), LabInvalid, "@bp total"),
    Fault("a sample is lost", without(SAMPLE), LabInvalid, DONE),
    Fault("a sample is doubled", with_line(SAMPLE, SAMPLE), LabInvalid, DONE),
    Fault("a digit is damaged", text("401302", "401303"), LabInvalid, DONE),
    Fault("evidence twice", with_line(COMPLETED, COMPLETED), LabInvalid, COMPLETED),
    Fault("evidence after the end", with_line(DONE, GETPID[6]), LabInvalid, GETPID[6]),
    Fault("done without a sample", without(GETPID[2], GETPID[3]), LabInvalid, DONE),
    Fault("done is lost", without(DONE), LabInvalid, "@bp start mem"),
    Fault("evidence is lost", GOOD.replace(f"{COMPLETED}\r\n".encode(), b""), LabInvalid, "@bp end"),
    *(
        Fault(f"the trailer miscounts {key}", text(f"{key}={n} ", f"{key}={n + 1} "), LabInvalid, "@bp end")
        for key, n in {"done": 2, "failed": 0, "unsupported": 2}.items()
    ),
    Fault("the trailer miscounts benchmarks", text("end benchmarks=2", "end benchmarks=1"), LabInvalid, "@bp end"),
    Fault("hz is damaged", GOOD.replace(b"hz=1000000000", b"hz=1000000001", 1), LabInvalid, "@bp end"),
    Fault("the token is damaged", GOOD.replace(TOKEN.encode(), TOKEN[::-1].encode(), 1), LabInvalid, "@bp end"),
    Fault("a line after the trailer", whole(after=(SAMPLE,)), LabInvalid, "@bp sample"),
    Fault("neither listed nor unsupported", without(LIST[-1]), LabInvalid, "@bp end", more={"name": "timer.wake"}),
    # it cannot be had
    Fault("unsupported by name", GOOD, NotSupported, "@bp unsupported pro", more={"name": "process.fork_exec"}),
    Fault("unsupported with all others", GOOD, NotSupported, "@bp unsupported *", more={"name": "timer.wake"}),
]


def place_of(fault: Fault) -> str:
    """Number and offset of the line that decides, from the bytes alone: the last that begins so if there are more."""
    offset = (b"\n" + fault.text).rindex(b"\n" + fault.decided.encode())
    number = fault.text[:offset].count(b"\n") + 1
    return f"line {number}, byte {offset}: "


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_gets_its_status_and_the_line_that_decided_is_quoted(fault):
    with pytest.raises(InvocationError) as caught:
        told(fault.text, fault.how, **fault.more)
    assert type(caught.value) is fault.error, caught.value
    assert str(caught.value).isprintable()
    if fault.decided:
        assert place_of(fault) in str(caught.value)
        assert one_line(fault.decided.encode().decode("ascii", "backslashreplace"))[:40] in str(caught.value)


def test_all_of_the_planted_faults_have_a_name_of_their_own():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) > 100


# ---- and at every place ----

LINES = GOOD.split(b"\r\n")


def judged(text: bytes) -> Outcome:
    try:
        return runner.judge(Getpid(), Getpid().run(Speaks(text, token=TOKEN)))
    except InvocationError as error:
        return runner.outcome_of(error)


NUMBERS = sorted(judged(GOOD).measurements[0].samples)


def assert_no_other_number(text: bytes) -> None:
    """What is spoilt is either not passed, or has the very number of the good one."""
    outcome = judged(text)
    if isinstance(outcome, Passed):
        assert [sorted(each.samples) for each in outcome.measurements] == [NUMBERS], text


def spread(line: bytes) -> Iterator[bytes]:
    """The line between any two lines."""
    for place in range(len(LINES)):
        yield b"\r\n".join((*LINES[:place], line, *LINES[place:]))


def test_a_kernel_that_breaks_anywhere_is_failed():
    for line in BROKEN.values():
        for spoilt in spread(line.encode()):
            with pytest.raises(TargetFailed):
                told(spoilt)


def test_a_system_that_was_kept_from_running_anywhere_is_invalid():
    for line in STALLED.values():
        for spoilt in spread(line.encode()):
            with pytest.raises(LabInvalid):
                told(spoilt)


def test_a_program_that_falls_touches_the_benchmark_that_was_under_way_and_no_other():
    start, done = LINES.index(GETPID[0].encode()), LINES.index(DONE.encode())
    for line in FALLEN.values():
        for place, spoilt in enumerate(spread(line.encode())):
            if start < place <= done:
                with pytest.raises(TargetFailed):
                    told(spoilt)
            else:
                assert line[:20] in told(spoilt).evidence["protocol.user_faults"]


def test_a_transcript_that_is_cut_anywhere_gives_no_number():
    for cut in range(len(GOOD)):
        assert not is_over(GOOD[:cut])
        with pytest.raises(InvocationError):
            told(GOOD[:cut], OFF)
    assert is_over(GOOD)
    assert is_over(GOOD + b"[ 1.0] halting\n")


def test_a_line_of_the_protocol_that_is_lost_or_doubled_is_noticed():
    for place, line in enumerate(LINES):
        if line.startswith(b"@bp "):
            for spoilt in (LINES[:place] + LINES[place + 1 :], [*LINES[:place], line, *LINES[place:]]):
                with pytest.raises(InvocationError):
                    told(b"\r\n".join(spoilt))


def test_lines_in_another_order_give_no_other_number():
    for place in range(len(LINES) - 1):
        for other in range(place + 1, len(LINES)):
            swapped = list(LINES)
            swapped[place], swapped[other] = swapped[other], swapped[place]
            assert_no_other_number(b"\r\n".join(swapped))


def test_no_damaged_digit_gives_another_number():
    for place, byte in enumerate(GOOD):
        if chr(byte).isdigit():
            for other in {(byte - 48 + step) % 10 for step in (1, 5, 9)}:
                assert_no_other_number(GOOD[:place] + b"%d" % other + GOOD[place + 1 :])


def test_a_log_line_anywhere_gives_no_other_number():
    for line, step in ((b"\n[ 9.0] up\r\n", 1), (b"[ 9.0] up\r\n", 3), (b"7", 5), (b"\n", 5)):
        for place in range(0, len(GOOD) + 1, step):
            assert_no_other_number(GOOD[:place] + line + GOOD[place:])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_bytes_that_are_lost_changed_or_doubled_give_no_other_number(data):
    start, end = sorted(data.draw(st.lists(st.integers(0, len(GOOD)), min_size=2, max_size=2)))
    middle = data.draw(st.sampled_from([b"", GOOD[start:end] * 2, b"\xff" * 3, b"\x00"]))
    assert_no_other_number(GOOD[:start] + middle + GOOD[end:])


# ---- clocks ----


def arriving(*at_s: float) -> tuple[tuple[int, int], ...]:
    """Each line of the good transcript arrives alone; the times are those of the lines from `begin` on, in seconds."""
    offsets = [sum(len(line) + 2 for line in LINES[:place]) for place in range(len(LINES) - 1)]
    times = [0.0] * len(LOG) + [*at_s] + [at_s[-1]] * (len(offsets) - len(LOG) - len(at_s))
    return tuple((offset, 10**12 + int(time * 1e9)) for offset, time in zip(offsets, times, strict=True))


def test_samples_that_took_longer_than_the_host_saw_are_refused():
    slow = GOOD.replace(b"hz=1000000000", b"hz=1000000")  # so its samples took 0.8 s, within no time at all
    with pytest.raises(TargetFailed, match=r"took 1.315 s by its clock.*line 9.*line 17"):
        told(slow.replace(b" at=9000000", b""), arrivals=arriving(1.0))
    assert told(slow.replace(b" at=9000000", b""), arrivals=arriving(1, 1, 1, 1, 1, 1, 1, 1, 1, 3)).unit == "ns"


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (1_000_000 + 2 * 10**9, ""),
        (1_000_000 + 4 * 10**9, "runs ahead: it counted 4.000 s while the host saw 3.000 s at most"),
        (1_000_000 + 10**9, "runs behind: it counted 1.000 s while the host saw 2.000 s at least"),
        (999_999, "went backwards"),
    ],
)
def test_a_clock_of_another_pace_than_the_hosts_is_refused(at, words):
    arrivals = arriving(0.0, *[2.0] * 18, 3.0)  # begin at once, the end between 2 and 3 s
    spoilt = GOOD.replace(b"at=9000000", b"at=%d" % at)
    if not words:
        assert told(spoilt, arrivals=arrivals).evidence["protocol.pace"].startswith("the host's: 2.000 s counted")
        return
    with pytest.raises(TargetFailed, match=words) as caught:
        told(spoilt, arrivals=arrivals)
    assert "line 4, byte" in str(caught.value)
    assert "line 23, byte" in str(caught.value)


def test_a_clock_is_not_judged_by_a_reader_that_came_late():
    """All of it in one piece: when each line was printed is not known."""
    late = ((0, 10**12), (30, 10**12 + 10**7))
    slow = GOOD.replace(b"hz=1000000000", b"hz=100000000")
    assert told(slow, arrivals=((0, 10**12),)).unit == "ns"
    with pytest.raises(TargetFailed, match="runs ahead"):
        told(GOOD.replace(b"at=9000000", b"at=9000000000"), arrivals=late)


def test_instructions_are_no_time():
    assert (
        told(GOOD.replace(b"at=9000000", b"at=9000000000"), arrivals=arriving(1.0), exact=True).unit == "instructions"
    )


# ---- how it ended, in words ----


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Ended("time-out", at_ns=10**12 + 30 * 10**9), "ran out of time, silent for 29.0 s"),
        (Ended("time-out", at_ns=10**12 + 10**9), "ran out of time, still printing"),
        (Ended("time-out"), "ran out of time$"),
        (Ended("flood"), "prints for ever"),
        (Ended("exited", 1, complaint="qemu-system-x86_64: no bootable device"), "exit status 1; QEMU: qemu-system"),
        (Ended("debug-exit", 7, 33), "ended with exit status 7, expected 33"),
        (Ended("exited", 0), "ended before its transcript was whole.*exit status 0"),
    ],
)
def test_a_bad_end_is_told_with_the_last_words(ended, words):
    half = GOOD[: GOOD.index(b"@bp done")]
    arrivals = ((0, 10**12), (100, 10**12 + 10**9))
    with pytest.raises(TargetFailed, match=words) as caught:
        told(half, ended, arrivals=arrivals)
    assert "line 16, byte" in str(caught.value)


def test_a_debug_exit_with_the_status_that_is_expected_is_good():
    assert told(GOOD, Ended("debug-exit", 33, 33)).samples == told(GOOD).samples
    assert told(GOOD, Ended("trailer", -9)).samples == told(GOOD).samples
    assert told(GOOD, Ended("exited", 0)).samples == told(GOOD).samples


# ---- the log ----


def test_what_a_plan_tolerates_is_told_in_the_evidence():
    warned = with_line(SAMPLE, "[   12.0] WARNING: CPU: 0 PID: 1 at drivers/old.c:1", "BUG: known")
    found = told(warned, tolerate=("drivers/old", "^BUG: known$"))
    assert "line 12" in found.evidence["protocol.tolerated"]
    assert "line 13" in found.evidence["protocol.tolerated"]
    with pytest.raises(TargetFailed, match="line 13"):
        told(warned, tolerate=("drivers/old",))
    with pytest.raises(UsageError, match="expected a regular expression"):
        told(warned, tolerate=("(",))


@pytest.mark.parametrize("line", [*BROKEN.values(), *FALLEN.values(), *STALLED.values()])
def test_a_line_of_trouble_is_found_on_any_console(line):
    (fault,) = find(f"boot\n{line}\nlogin:".encode())
    assert (fault.line, fault.offset, fault.text) == (2, 5, line)
    assert find(f"boot\n{line}".encode(), (".",)) == ()


@pytest.mark.parametrize(
    "line",
    [
        "Kernel command line: console=ttyS0 panic=-1 oops=panic panic_on_warn=1 kernel.panic=5",
        "[    0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
        "[    0.1] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0-39-cloud-amd64 #1 Debian",
        "[    0.1] rcu: INFO: a stall would be told",
        "[    0.1] tsc: Marking TSC unstable due to TSCs unsynchronized",
        "[ok] double fault handler installed",
        "[ok] panic handler ready",
        "DEBUG: nothing to see",
        "[    0.1] Magic number: 3:128:512",
        "[    0.1] clocksource: Switched to clocksource tsc",
        "oops_count 0",
    ],
)
def test_what_a_healthy_kernel_prints_is_no_fault(line):
    assert kind_of(line) is None


def test_of_a_real_boot_that_ends_in_a_panic_the_panic_alone_is_a_fault():
    console = (Path(__file__).parent / "data" / "console" / "debian-6.1-without-root.txt").read_bytes()
    (fault,) = find(console)
    assert (fault.kind, console.count(b"\n") > 300) == ("panic", True)
    assert fault.text.endswith("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)")
    assert console[fault.offset :].startswith(b"[ ")


def test_words_of_the_protocol_are_no_log():
    """A mechanism or a reason may speak of faults."""
    text = GOOD.replace(b"rep movsb", b"segfault at, panicked at, WARNING: and BUG: in words")
    assert told(text).samples == told(GOOD).samples
