"""The worked example of a kernel that measures itself: it boots, its figures pass, each planted fault is noticed."""

from __future__ import annotations

import functools
import json
import platform
import re
import shlex
import shutil
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof import plan, runner
from benchproof.benchmarks import BENCHMARKS
from benchproof.benchmarks.primitive.getpid import Getpid
from benchproof.errors import InvocationError
from benchproof.model import Failed, Invalid, Outcome, Passed, Unsupported
from benchproof.protocol.transcript import Ended, Heard, read
from benchproof.quantities import Duration
from benchproof.tables import convert
from benchproof.targets import KINDS
from conftest import lab_in
from histories import asked

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "bare-metal"
PAGE = (ROOT / "docs" / "own-kernel.md").read_text()
PLAN = tomllib.loads((EXAMPLE / "plan.toml").read_text())
NEEDED = [each for each in ("make", "cc", "qemu-system-x86_64") if not shutil.which(each)]
pytestmark = pytest.mark.skipif(
    bool(NEEDED) or platform.machine() != "x86_64", reason=f"needs an x86-64 host, and {', '.join(NEEDED)}"
)

# what bp.fault= plants: the benchmark that is asked for, and the words that its outcome has
FAILED = {
    "digest": ("hash.chunk", "digest: expected 5fce37f3129150ce"),
    "lost-completion": ("syscall.getpid", "completed: expected 14000, found 13986"),
    "foreign-completion": ("ring.nop", "wrong_cookies: expected 0, found 28"),
    "overflow": ("ring.nop", "overflows: expected 0, found 14"),
    "early-wake": ("timer.wake", "woke_early: expected 0, found 35"),
    "lost-wake": ("ipc.futex_pingpong", "panic: no task can run: a wake-up was lost"),
    "no-park": ("ipc.futex_pingpong", "round_trips: expected 3500, found 0"),
    "dirty-pages": ("memory.mmap_fault", "dirty_pages: expected 0, found"),
    "kept-pages": ("memory.mmap_fault", "'memory.mmap_fault' wrong: memory was touched that nobody had given"),
    "still-mapped": ("page.map_unmap", "gone: expected 3584, found"),
    "no-copy": ("memory.memcpy", "copies: expected 7, found 0"),
    "wrong-hz": ("syscall.getpid", "the clock runs ahead"),
    "panic": ("syscall.getpid", "the system failed: line 5, byte"),
    "triple-fault": ("syscall.getpid", "the last of it: line 4, byte"),
    "endless": ("syscall.getpid", "it ran out of time, still printing"),
    "silent": ("syscall.getpid", "it ran out of time, silent for"),
    "mute": ("syscall.getpid", "it never printed '@bp begin'; the last of it: nothing; it ran out of time, silent for"),
    "other-token": ("syscall.getpid", "the transcript is that of another start: expected token="),
    "crash-after-end": ("syscall.getpid", "panic: unhandled exception 14"),
    "hang-after-end": ("syscall.getpid", "the system did not end although its transcript is whole"),
    "exit-status": ("syscall.getpid", "the machine ended with exit status 7, expected 33"),
    "unheard-of": ("syscall.getpid", "panic: bp.fault=unheard-of: there is no such fault"),
}
INVALID = {
    "stopped-clock": ("syscall.getpid", "expected an operation or more, in more than no time at all"),
    "damaged-line": ("syscall.getpid", "expected NAME OPERATIONS ELAPSED, found 1 words"),
    "lost-line": ("syscall.getpid", "samples=2, but before it are 1: a line was lost, doubled or damaged"),
    "no-trailer": ("syscall.getpid", "the transcript is cut: expected '@bp end' after"),
}
NEVER_ENDS = {"endless": 2, "silent": 4, "mute": 4, "hang-after-end": 4}  # seconds, all of which pass


def questions() -> dict[str, Any]:
    """Every benchmark of the plan, by the kernel's name of it."""
    found = {}
    for item in PLAN["suites"]["both"]["benchmarks"] + PLAN["suites"]["own"]["benchmarks"]:
        table = {"name": item} if isinstance(item, str) else dict(item)
        name = table.pop("name")
        found[table.get("what", name)] = convert(table, BENCHMARKS.load(name), name)
    return found


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bare-metal")
    subprocess.run(["make", "-s", "-C", EXAMPLE, f"OUT={folder}"], check=True, timeout=120)
    return folder / "kernel.elf"


@pytest.fixture
def ask(image, host_probe, tmp_path):
    """One invocation of one of the plan's benchmarks: its outcome, its evidence, its consoles."""

    def asked(what: str, arguments: str = "bp.samples=2", timeout=None, **settings) -> tuple[Outcome, dict, list[str]]:
        lab = lab_in(tmp_path / "scratch", host_probe.path)
        return *answer(kernel(image, lab, arguments=arguments, **settings), what, timeout), texts(lab)

    return asked


@pytest.fixture(scope="module")
def ask_all(image, host_probe, tmp_path_factory):
    """The same, but one start with the same arguments answers every question once."""
    lab = lab_in(tmp_path_factory.mktemp("shared") / "scratch", host_probe.path)
    started = functools.cache(lambda arguments: kernel(image, lab, arguments=arguments, shared=True))
    return lambda what, arguments: answer(started(arguments), what)


def kernel(image: Path, lab: Any, **settings: Any) -> Any:
    kind = KINDS.load("kernel")
    words = {"image": str(image), "ends": "debug-exit", "accel": "tcg"} | settings
    return kind(convert(words, kind.Settings, "kernel"), lab)


def answer(target: Any, what: str, timeout: Duration | None = None) -> tuple[Outcome, dict[str, str]]:
    benchmark = questions()[what]
    benchmark = msgspec.structs.replace(benchmark, timeout=timeout) if timeout else benchmark
    try:
        observation = benchmark.run(target)
    except InvocationError as error:
        return runner.outcome_of(error), {}
    return runner.judge(benchmark, observation), dict(observation.evidence)


def texts(lab: Any) -> list[str]:
    return [content.decode() for _, content in lab.logs]


@pytest.mark.parametrize("what", [name for name in questions() if not name.startswith("process.")])
def test_each_primitive_passes_with_its_evidence(what, ask_all):
    outcome, evidence = ask_all(what, "bp.samples=2")
    assert isinstance(outcome, Passed), outcome
    (measurement,) = outcome.measurements
    assert len(measurement.samples) == 2
    assert len(measurement.warmups) == 5
    assert evidence["protocol.freshness"] == "token"
    assert evidence["mechanism"]


def test_what_the_kernel_has_not_is_unsupported_in_its_own_words(ask):
    outcome, *_ = ask("process.fork_exec")
    assert isinstance(outcome, Unsupported)
    assert "there are no programs to start" in outcome.reason


@pytest.mark.parametrize("fault", [name for name in FAILED if name not in NEVER_ENDS])
def test_a_fault_of_the_kernel_is_a_failure_and_says_which(fault, ask):
    assert_fails(fault, ask)


def assert_fails(fault, ask, timeout=None):
    what, words = FAILED[fault]
    samples = 20 if fault == "wrong-hz" else 2  # a stretch that is long beside booting
    outcome, *_ = ask(what, f"bp.samples={samples} bp.fault={fault}", timeout)
    assert isinstance(outcome, Failed), outcome
    assert words in " ".join(outcome.violations)


def test_faults_that_only_the_time_ends_are_failures_too_and_wait_side_by_side(ask):
    with ThreadPoolExecutor(len(NEVER_ENDS)) as pool:
        ended = [pool.submit(assert_fails, fault, ask, Duration(wait_s)) for fault, wait_s in NEVER_ENDS.items()]
    for each in ended:
        each.result()


@pytest.mark.parametrize("fault", INVALID)
def test_a_transcript_that_cannot_be_relied_on_is_invalid(fault, ask):
    what, words = INVALID[fault]
    outcome, *_ = ask(what, f"bp.samples=2 bp.fault={fault}")
    assert isinstance(outcome, Invalid), outcome
    assert words in outcome.reason


@pytest.mark.parametrize("what", [name for name in questions() if not name.startswith("process.")])
def test_a_benchmark_that_does_nothing_passes_no_oracle(what, ask_all):
    """Samples that take time and do no work: what is missed is the work itself."""
    outcome, _ = ask_all(what, "bp.samples=2 bp.fault=no-work")
    assert isinstance(outcome, Failed), outcome
    assert re.search(r": expected [1-9]\d*, found 0", " ".join(outcome.violations))


def test_every_fault_that_the_kernel_knows_is_tried_here():
    planted = set(re.findall(r'same\(name, "([a-z-]+)"\)', (EXAMPLE / "faults.c").read_text()))
    assert planted | {"unheard-of"} == FAILED.keys() | INVALID.keys() | {"no-work"}


def test_in_exact_mode_two_starts_give_the_same_figures_and_booting_takes_less_than_100_ms_of_the_guest(ask):
    found = [ask("ring.nop", "bp.samples=3", exact=True) for _ in range(2)]
    figures = [outcome.measurements for outcome, *_ in found]
    assert figures[0] == figures[1]
    assert figures[0][0].unit == "instructions"
    booting_us = [int(re.search(r"(\d+) us since the first", text)[1]) for *_, each in found for text in each]
    assert len(set(booting_us)) == 1  # of four starts: the guest's time is its count of instructions
    assert booting_us[0] < 100_000


def test_it_boots_on_a_machine_without_a_bios_too(ask):
    outcome, *_ = ask("timer.wake", machine="microvm")
    assert isinstance(outcome, Passed), outcome


def test_a_value_on_the_command_line_that_makes_no_sense_ends_it(ask):
    outcome, *_ = ask("ring.nop", "bp.samples=many")
    assert isinstance(outcome, Failed)
    assert "bp.samples=many is no number" in outcome.violations[0]


@pytest.fixture
def clone(image, tmp_path) -> Path:
    """What the page's commands find where they are typed; its plans do not try KVM, and bear a busy machine."""
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "bare-metal", ignore=shutil.ignore_patterns("*.o", "*.elf"))
    shutil.copy(image, tmp_path / "examples" / "bare-metal")
    (tmp_path / "build").mkdir()
    shutil.copy(image, tmp_path / "build")
    (tmp_path / "mine.toml").write_text(blocks("toml")[0])
    for path in (tmp_path / "mine.toml", *tmp_path.glob("examples/bare-metal/*.toml")):
        text = path.read_text().replace('kind = "kernel"', 'kind = "kernel"\naccel = "tcg"', 1)
        text = text.replace('"bp.samples=5"', '"bp.samples=2"')  # counts do not differ
        path.write_text(re.sub(r"^limits = .*\n", "", text, flags=re.MULTILINE))
    return tmp_path


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def typed(beginning: str) -> list[list[str]]:
    """The commands of the page that begin so, in order."""
    commands = [shlex.split(line[2:]) for text in blocks("") for line in text.splitlines() if line.startswith("$ ")]
    return [words for words in commands if " ".join(words).startswith(beginning)]


def reported(plan_name: str, clone: Path) -> dict[str, Any]:
    """The report of the page's command for a plan; one block is enough to see that it works."""
    ((_, *words),) = typed(f"benchproof run --plan {plan_name}")
    more = ["--blocks", "1", "--json", "--home", str(clone / "home")]
    status, shown, complaint = asked(clone, *words, *more)
    assert status == 0, complaint
    found: dict[str, Any] = json.loads(shown)
    return found


def test_one_report_has_the_kernel_and_two_linux_kernels_under_one_envelope(clone):
    found = reported("examples/bare-metal/plan.toml", clone)
    columns = {each["target"]: each for each in found["columns"]}
    assert set(columns) == {"bare", "bare-linux", "linux-6_12"}
    assert {each["reference"] for each in columns.values()} == {"bare-linux"}
    assert not any(each["context"] for each in columns.values())  # nothing is incomparable
    statuses = {
        (row["benchmark"], name): cell["status"] for row in found["rows"] for name, cell in row["cells"].items()
    }
    assert statuses.pop(("process.fork_exec", "bare")) == "unsupported"
    assert set(statuses.values()) == {"passed"}
    sections = [found["envelopes"][each["envelope"]] for each in columns.values()]
    assert sections[0]["machine"] == sections[1]["machine"] == sections[2]["machine"]
    assert len({each["system"].get("kernel", "its own") for each in sections}) == 3


def test_the_exact_plan_counts_both_kernels(clone):
    found = reported("examples/bare-metal/plan-exact.toml", clone)
    assert {row["unit"] for row in found["rows"]} == {"instructions"}
    assert {cell["status"] for row in found["rows"] for cell in row["cells"].values()} == {"passed"}


def test_the_plan_of_a_kernel_author_gives_a_first_ratio(clone):
    found = reported("mine.toml", clone)
    assert [(each["target"], each["reference"]) for each in found["columns"]] == [
        ("mine-linux", "mine-linux"),
        ("mine", "mine-linux"),
    ]
    assert found["passed"] == found["total"] == 2


def test_the_make_commands_of_the_page_build_and_boot_it(clone):
    built, booted = typed("make -")
    subprocess.run(built, cwd=clone, check=True, capture_output=True, timeout=120)
    text = subprocess.run(booted, cwd=clone, check=True, capture_output=True, timeout=60).stdout
    ended = Ended(how="debug-exit", exit_status=33, expected_status=33)
    for transcript in (text, blocks("")[1].encode()):  # and the one that the page shows
        found = read(Heard(transcript), "page.map_unmap", ended=ended)
        assert found.evidence["gone"] == "4096"


def test_the_function_of_the_page_prints_a_transcript_that_passes(tmp_path):
    """As a program on this host, whose cheapest entry is getppid."""
    (function,) = blocks("c")
    (tmp_path / "kernel.c").write_text(HOSTED + function + "int main(void) { measure(); }\n")
    subprocess.run(["cc", "-Wall", "-Werror", "-o", tmp_path / "kernel", tmp_path / "kernel.c"], check=True, timeout=60)
    text = subprocess.run([tmp_path / "kernel"], check=True, capture_output=True, timeout=60).stdout
    reported = read(Heard(text), "syscall.getpid", ended=Ended(how="trailer"))
    assert len(reported.samples) == 40
    assert not list(Getpid.translation.violations(reported.evidence | {"operations": "40000"}, {}))


HOSTED = """
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#define print printf
static unsigned long hz = 1000000000;
static unsigned long ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * hz + now.tv_nsec;
}
static int no_op(void) { return getppid() >= 0; }
"""


def test_the_table_of_the_page_tells_what_the_faults_end_as():
    rows = re.findall(r"^\| [^|]+ \| `([a-z-]+)` \| (failed|invalid) \| `(.+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) == PAGE.count("\n| ") - 2 >= 15  # all but the head and the line below it
    for fault, status, words in rows:
        known = FAILED if status == "failed" else INVALID
        assert any(
            part in known[fault][1] or known[fault][1] in part for part in words.split("...") if part.strip(" :;'")
        )


def test_the_other_pieces_of_plans_on_the_page_make_sense():
    plan_text, primitive, gate = blocks("toml")
    document = tomllib.loads(plan_text + gate)
    document["suites"]["own"] = {"benchmarks": [tomllib.loads(f"item = {primitive}")["item"]]}
    found = plan.parse(document, where="docs/own-kernel.md", recorded=True)
    assert [gate.key for gate in found.gates] == ["page.map_unmap.latency"]
