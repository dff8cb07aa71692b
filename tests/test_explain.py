"""`benchproof explain`: where instructions go, function by function, and that nothing of them is lost on the way."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchproof import cli, explain, laboratory, oracles, probe
from benchproof.analysis import profile
from benchproof.analysis.profile import Explanation, Profile
from benchproof.benchmarks import BENCHMARKS
from benchproof.benchmarks.primitive.getpid import Getpid
from benchproof.errors import LabInvalid, TargetFailed
from benchproof.guest import symbols, trace
from benchproof.guest.snapshot import Snapshot
from benchproof.guest.trace import Batch
from benchproof.reporters import explanation as reporter
from benchproof.targets import KINDS
from conftest import completed, lab_in, why_unusable

# ---- the log, cut anywhere ----

MARKER = 0x402A80


def line(address: int) -> bytes:
    """One as QEMU 7.2.22 writes it."""
    return b"Trace 0: 0x7f44c803ebc0 [0000000000000000/%016x/18c0c290/ff020201] \n" % address


KERNEL = 0xFFFFFFFF81A03EF0
# before | batch: marker, 2 x kernel, 1 that did not run, 1 again after its input and output | behind
LOG = b"".join(
    [
        *(line(0x401000), line(MARKER), line(0x402120), line(KERNEL), line(KERNEL + 4)),
        *(line(0x7000), b"Stopped execution of TB chain before 0x7f1c48000b40 [0000000000007000] \n"),
        *(line(0x8000), b"cpu_io_recompile: rewound execution of TB to 0000000000008000\n", line(0x8000)),
        *(line(KERNEL), line(MARKER), line(0x401005), line(MARKER), line(0x402120), line(MARKER)),
    ]
)
FIRST = {MARKER: 1, 0x402120: 1, KERNEL: 2, KERNEL + 4: 1, 0x8000: 1}


def fed(log: bytes, first: int, size: int) -> Batch:
    batch = Batch(MARKER, first)
    for at in range(0, len(log), size):
        batch.feed(log[at : at + size])
    batch.finish()
    return batch


@pytest.mark.parametrize("size", [1, 2, 7, 62, 63, 64, 100, 300, 10_000])
def test_a_batch_is_what_lies_between_two_calls_of_the_marker_wherever_the_log_is_cut(size):
    batch = fed(LOG, 0, size)
    assert (batch.ended, batch.counts) == (True, FIRST)
    assert fed(LOG, 2, size).counts == {MARKER: 1, 0x402120: 1}


def test_what_was_logged_but_did_not_run_is_not_counted():
    counts = fed(LOG, 0, 50).counts
    assert 0x7000 not in counts
    assert counts[0x8000] == 1


def test_a_log_that_ends_too_early_has_no_whole_batch():
    assert not fed(LOG[: LOG.rfind(b"Trace")], 2, 64).ended
    assert not fed(b"", 0, 1).ended


def test_lines_are_counted_up_to_the_end_of_the_batch():
    assert fed(LOG, 0, 64).lines == 1 + sum(FIRST.values())


# ---- functions ----


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("do_syscall_64", "do_syscall_64"),
        ("foo.constprop.0", "foo"),
        ("foo.isra.0", "foo"),
        ("foo.part.0.constprop.12", "foo"),
        ("foo.cold", "foo"),
        ("foo.isra.0.cold", "foo"),
        ("foo.llvm.1234567890", "foo"),
        ("foo.123", "foo"),
        ("foo.constprop.0 [virtio_blk]", "foo [virtio_blk]"),
        ("v1.2_thing", "v1.2_thing"),
        ("partial.partly", "partial.partly"),
        ("[kernel] ffffffff81000000-ffffffff81001000", "[kernel] ffffffff81000000-ffffffff81001000"),
    ],
)
def test_what_compilers_append_is_folded(name, folded):
    assert profile.fold(name) == folded


def test_an_address_in_no_function_is_named_by_its_page_and_never_lost():
    user = symbols.Table([(0x1000, 0x1010, "f"), (0x1020, 0, "g")])
    kernel = symbols.of_lines(b"ffffffff81000010 first\nffffffff81000010 alias\nffffffffc0000000 probe\t[virtio_blk]\n")
    name = functools.partial(symbols.name_of, user=user, kernel=kernel)
    assert name(0x100F) == ("user", "f")
    assert name(0x1010) == ("user", "[user] 1000-2000")
    assert name(0x2000) == ("user", "g")
    assert name(0xFFFFFFFF81000010) == ("kernel", "first")
    assert name(0xFFFFFFFF8100000F) == ("kernel", "[kernel] ffffffff81000000-ffffffff81001000")
    assert name(0xFFFFFFFFC0000008) == ("kernel", "probe [virtio_blk]")
    counts = {0x1001: 3, 0x1010: 2, 0x1018: 1, 0xFFFFFFFF81000020: 4}
    found = profile.by_function(counts, name)
    assert found == {("user", "f"): 3, ("user", "[user] 1000-2000"): 3, ("kernel", "first"): 4}


def test_a_function_spans_what_its_table_says_and_one_without_an_end_spans_nothing():
    table = symbols.Table([(0x1000, 0x1010, "f"), (0x1020, 0, "g")])
    assert table.span("f") == (0x1000, 0x1010)
    assert table.span("g") is None
    assert table.span("h") is None


def test_ranges_hold_every_address_and_stay_within_what_a_guest_takes():
    few = [0x1000, 0x1004, 0x1040, 0x9000]
    assert symbols.joined(few) == [(0x1000, 0x1040), (0x9000, 0x9000)]
    many = [symbols.KERNEL_HALF + 1000 * number for number in range(100_000)]
    ranges = symbols.joined(many)
    assert len("".join(f"{low:x} {high:x}\n" for low, high in ranges)) <= 48 << 10
    assert (ranges[0][0], ranges[-1][1]) == (many[0], many[-1])
    assert symbols.joined([]) == []


def elf(*, wide: bool) -> bytes:
    """A minimal ELF file: f (FUNC, 16 bytes), _label (NOTYPE at the same place), g (NOTYPE, no size), d (an object)."""
    names = b"\0f\0_label\0g\0d\0"
    listed = [(1, 2, 1, 0x1000, 16), (3, 0, 1, 0x1000, 0), (10, 0, 1, 0x1010, 0), (12, 1, 2, 0x3000, 8)]
    if wide:
        head, section_size, section = 64, 64, "<IIQQQQIIQQ"
        table = b"".join(struct.pack("<IBBHQQ", name, kind, 0, at, *rest) for name, kind, at, *rest in listed)
    else:
        head, section_size, section = 52, 40, "<IIIIIIIIII"
        table = b"".join(struct.pack("<IIIBBH", name, *rest, kind, 0, at) for name, kind, at, *rest in listed)
    names_at = head + 5 * section_size
    sections = [
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (0, 1, 6, 0x1000, 0, 0x100, 0, 0, 0, 0),
        (0, 1, 3, 0x3000, 0, 0x100, 0, 0, 0, 0),
        (0, 2, 0, 0, names_at + len(names), len(table), 4, 0, 0, 0),
        (0, 3, 0, 0, names_at, len(names), 0, 0, 0, 0),
    ]
    header = bytearray(head)
    header[:6] = b"\x7fELF" + bytes([2 if wide else 1, 1])
    struct.pack_into("<Q" if wide else "<I", header, 40 if wide else 32, head)
    struct.pack_into("<HHH", header, 58 if wide else 46, section_size, 5, 4)
    return bytes(header) + b"".join(struct.pack(section, *each) for each in sections) + names + table


class Mute:
    """A guest whose kernel tells nothing of its symbols."""

    def once(self, _argv, *, stdin, timeout_s):
        del stdin, timeout_s
        return completed(b"", exit_status=70)


def test_a_kernel_that_does_not_tell_is_named_by_its_own_file(tmp_path):
    (tmp_path / "vmlinux").write_bytes(elf(wide=True))
    machine = SimpleNamespace(probe="/init", kernel=tmp_path / "vmlinux")
    assert symbols.of_kernel(Mute(), machine, [symbols.KERNEL_HALF]).name(0x1004) == "f"


@pytest.mark.parametrize("wide", [True, False])
def test_functions_are_read_from_elf_files_of_64_and_of_32_bits(wide):
    table = symbols.of_elf(elf(wide=wide))
    assert (table.name(0x1000), table.name(0x100F), table.name(0x1010), table.name(0x10FF)) == ("f", "f", "g", "g")
    assert (table.name(0x1100), table.name(0xFFF), table.name(0x3000)) == (None, None, None)


def test_a_damaged_elf_file_is_refused_and_one_without_symbols_names_nothing():
    whole = elf(wide=True)
    for size in range(64, len(whole) - 1, 7):
        with pytest.raises(TargetFailed, match="damaged"):
            symbols.of_elf(whole[:size])
    assert len(symbols.of_elf(b"MZ, no ELF file")) == 0


# ---- profiles, their difference, and how they are shown ----


def a_profile(target: str, functions: dict[tuple[str, str], int], *, figure: float) -> Profile:
    return Profile(
        target=target,
        system="Linux",
        operations=10,
        batch=0,
        rows=profile.rows(functions, 10),
        total=sum(functions.values()) / 10,
        figure=figure,
        statistic="mode",
    )


BASE = a_profile("one", {("kernel", "a"): 100, ("kernel", "b"): 50, ("user", "loop"): 7}, figure=15.7)
NEW = a_profile("two", {("kernel", "a"): 90, ("kernel", "c"): 30, ("user", "loop"): 7}, figure=12.6)


def test_the_greatest_difference_comes_first_and_one_sided_functions_say_so():
    found = profile.changes(BASE, NEW)
    assert [(each.symbol, each.base, each.new, each.difference) for each in found] == [
        ("b", 5, None, -5),
        ("c", None, 3, 3),
        ("a", 10, 9, -1),
        ("loop", 0.7, 0.7, 0),
    ]
    assert sum(each.difference for each in found) == pytest.approx(NEW.total - BASE.total)


def test_a_sum_more_than_1_percent_off_does_not_agree():
    assert Explanation(benchmark="x", profiles=(BASE, NEW)).agrees
    off = a_profile("off", {("user", "f"): 100}, figure=10.11)
    assert not Explanation(benchmark="x", profiles=(off,)).agrees
    assert any("-1.09% off" in note for note in explain.notes_on(off))
    assert explain.notes_on(BASE) == []


def test_a_table_shows_the_first_functions_the_rest_as_one_line_and_both_figures():
    text = reporter.render(Explanation(benchmark="syscall.x", profiles=(BASE,)), "table", top=1)
    assert "10.00   63.7%  kernel  a\n" in text
    assert "5.70   36.3%          2 more (--top)\n" in text
    assert "the sum is 15.70, exact mode says 15.70 (mode of its batches): +0.00%" in text


def test_a_difference_is_shown_side_by_side_as_json_and_folded():
    both = Explanation(benchmark="syscall.x", profiles=(BASE, NEW), changes=profile.changes(BASE, NEW))
    text = reporter.render(both, "table", top=2)
    assert "        5.00             -         -5.00  kernel  b\n" in text
    assert "                                   -1.00          1 more (--top)\n" in text
    assert "       15.70         12.70         -3.00          all\n" in text
    document = json.loads(reporter.render(both, "json", top=1))
    assert document["changes"][1] == {"side": "kernel", "symbol": "c", "base": None, "new": 3.0, "difference": 3.0}
    assert reporter.render(both, "folded", top=1).splitlines()[0] == "kernel;b 5000 0"


def test_folded_stacks_are_whole_numbers_and_names_without_blanks():
    odd = a_profile("odd", {("user", "[user] 1000-2000"): 7, ("kernel", "f;g"): 20}, figure=2.7)
    text = reporter.render(Explanation(benchmark="x", profiles=(odd,)), "folded", top=1)
    assert text == "kernel;f:g 2000\nuser;[user]_1000-2000 700\n"


# ---- questions that are wrong ----


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["syscall.getpdi"], ["unknown benchmark 'syscall.getpdi'", "did you mean 'syscall.getpid'"]),
        (["lifecycle.exec"], ["'lifecycle.exec'", "no benchmark of the probe", "primitive"]),
        (["syscall.getpid", "--target", "host"], ["'host' is of kind 'host'", 'kind "qemu"']),
        (["syscall.getpid", "--target", "linx"], ["no target 'linx'", "did you mean 'linux'"]),
        (["syscall.getpid", "--target", "linux", "--against", "linux"], ["does not differ from itself"]),
        (["syscall.getpid", "--kernel", "/nowhere/vmlinux"], ["/nowhere/vmlinux", "no such file"]),
        (["syscall.getpid", *["--kernel", "debian:a"] * 3], ["--kernel", "two"]),
        (["syscall.getpid", "--timeout", "0"], ["--timeout"]),
        (["syscall.getpid", "--plan", "no.toml"], ["no.toml", "No such file"]),
        (["primitive"], ["'primitive' is a suite", "syscall.getpid"]),
        (["syscall.getpid", "--top", "0"], ["--top"]),
        (["syscall.getpid", "--output", "nowhere/table"], ["--output", "no such folder", "nowhere/table"]),
        (["syscall.getpid", "--output", "."], ["--output", "a folder"]),
    ],
)
def test_a_wrong_question_is_one_line_with_the_way_out(tmp_path, monkeypatch, capfd, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchproof", "explain", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown, complaint = capfd.readouterr()
    assert (ended.value.code, shown, complaint.count("\n")) == (2, "", 1)
    assert not [word for word in words if word not in complaint]
    assert list(tmp_path.iterdir()) == []


# ---- real guests ----


def needs_guest() -> None:
    if why := why_unusable("qemu"):
        pytest.skip(why)


@pytest.fixture(scope="module")
def guest(host_probe, tmp_path_factory):
    """The default kernel in exact mode; its snapshot is that of the cache."""
    needs_guest()
    kind = KINDS.load("qemu")
    return kind(kind.Settings(exact=True), lab_in(tmp_path_factory.mktemp("scratch"), host_probe.path))


LESS_THAN_THE_WAIT = 3_000_000  # the agent spins for 5.5 million instructions, and none of them is logged


def explained(name: str, **targets) -> Explanation:
    return explain.explain(BENCHMARKS.load(name)(), targets, timeout_s=120, lines_limit=LESS_THAN_THE_WAIT)


@pytest.fixture(scope="module")
def both(guest, tmp_path_factory) -> Explanation:
    """Of a system call, with the probe as it is and with one that has an instruction more in its loop."""
    built = probe.build(laboratory.cache_folder(), defines=("PLANTED=EXTRA_NOP",))
    planted = KINDS.load("qemu")(guest.settings, lab_in(tmp_path_factory.mktemp("planted"), built.path))
    return explained("syscall.getpid", linux=guest, planted=planted)


def test_the_functions_of_a_system_call_add_up_to_the_figure_of_exact_mode(both):
    for found in both.profiles:
        assert abs(found.deviation) <= 0.0001
        assert sum(row.instructions for row in found.rows) == pytest.approx(found.total)
        names = {row.symbol for row in found.rows}
        assert {"do_syscall_64", "entry_SYSCALL_64", "getpid_batch"} <= names
        assert not [name for name in names if name.startswith("[kernel]")]


def test_an_added_nop_is_all_that_differs(both):
    differing = [(each.side, each.symbol, round(each.difference, 9)) for each in both.changes if each.difference]
    assert differing == [("user", "getpid_batch", 1.0)]


def test_the_command_prints_one_json_document_and_explains_the_same_to_the_last_digit(tmp_path, both):
    command = [sys.executable, "-m", "benchproof", "explain", "syscall.getpid", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected, _ = json.loads(reporter.as_json(both))["profiles"]
    assert json.loads(done.stdout)["profiles"] == [expected]


@pytest.mark.parametrize("name", [pytest.param("ipc.pipe_pingpong", marks=pytest.mark.soak), "process.fork_exit"])
def test_the_sum_agrees_with_exact_mode_within_1_percent(guest, name):
    found = explained(name, linux=guest)
    assert found.agrees
    unnamed = sum(row.instructions for row in found.profiles[0].rows if row.symbol.startswith("["))
    assert unnamed <= found.profiles[0].total / 100


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"lines_limit": 100_000}, "limit of 100,000 instructions"), ({"timeout_s": 0.05}, r"within 0\.05 s")],
)
def test_a_trace_beyond_a_limit_ends_and_leaves_no_guest(guest, limits, words):
    before = threading.active_count()
    with pytest.raises(LabInvalid, match=words):
        explain.explain(BENCHMARKS.load("syscall.getpid")(), {"linux": guest}, **({"timeout_s": 120} | limits))
    assert threading.active_count() == before


def test_a_trace_ends_when_the_work_around_it_does(guest):
    before = threading.active_count()
    stopped = threading.Event()
    stopped.set()
    argv = [guest.machine.probe, "hang"]
    with pytest.raises(LabInvalid, match="ended with the work"):
        trace.trace(guest.counter(), argv, Batch(MARKER, 0), timeout_s=600, stopped=stopped)
    assert threading.active_count() == before


class Chatty:
    """A counter, and its guest, wire and monitor: it logs one batch, is told to stop, and logs some more all the same.

    So does QEMU, though only a line: its processor asks whether the log is on, and then waits for a pipe that is full.
    """

    snapshot = Snapshot(ram=None, state=Path(os.devnull), boot_id="")

    def __init__(self, *, more: int) -> None:
        self.wire = self.monitor = self
        self.more = more  # mebibytes
        self.told, self.gone = threading.Event(), threading.Event()
        self.log = -1
        self.options = ()

    @contextlib.contextmanager
    def clone(self, _argv, *, options):
        self.options = options
        try:
            yield self
        finally:
            self.gone.set()
            os.close(self.log)

    def execute(self, _command, **arguments):
        line = arguments.get("command-line", "")
        if line.startswith("logfile "):
            self.log = os.open(line.removeprefix("logfile "), os.O_WRONLY | os.O_NONBLOCK)
        elif line == "singlestep off":  # the last of what is said
            self.told.set()
        return ""

    def await_migration(self):
        pass

    def await_completed(self, *, timeout_s):
        deadline_s = time.monotonic() + timeout_s
        self.write(LOG, deadline_s)
        assert self.told.wait(timeout_s)
        for _ in range(self.more):
            self.write(line(KERNEL).ljust(128) * (1 << 13), deadline_s)
        return completed(b"done")

    def write(self, log: bytes, deadline_s: float) -> None:
        while log:
            if self.gone.is_set() or time.monotonic() > deadline_s:
                raise TargetFailed("the guest fell silent")
            with contextlib.suppress(BlockingIOError):
                log = log[os.write(self.log, log) :]


def traced(counter: Chatty, batch: Batch, **changes) -> trace.Trace:
    return trace.trace(counter, [], batch, **({"timeout_s": 5, "stopped": threading.Event()} | changes))


def test_a_guest_that_logs_on_after_it_was_told_to_stop_still_finds_a_reader():
    found = traced(Chatty(more=4), Batch(MARKER, 0))
    assert (found.counts, found.completed.stdout) == (FIRST, b"done")


def test_all_addresses_but_those_left_out_are_logged():
    counter = Chatty(more=0)
    traced(counter, Batch(MARKER, 0), left_out=(0x402000, 0x402100))
    assert counter.options == ("-dfilter", "0x0..0x401fff,0x402100..0xffffffffffffffff")
    traced(counter := Chatty(more=0), Batch(MARKER, 0))
    assert counter.options == ()


def test_a_run_that_does_not_end_after_its_batch_is_ended_with_the_work_around_it():
    before = threading.active_count()
    counter = Chatty(more=1 << 30)
    with pytest.raises(LabInvalid, match="ended with the work"):
        traced(counter, Batch(MARKER, 0), timeout_s=600, stopped=counter.told)
    assert threading.active_count() == before


class Wrong(Getpid, frozen=True):
    """An oracle that expects another answer."""

    def check(self, evidence):
        yield from oracles.equals(evidence, "pid_sum", -1)


def test_a_wrong_answer_explains_nothing(guest):
    with pytest.raises(TargetFailed, match="'linux' gave a wrong answer, which explains nothing: pid_sum"):
        explain.explain(Wrong(), {"linux": guest}, timeout_s=120)
