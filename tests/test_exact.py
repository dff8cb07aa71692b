"""Exact mode: the same figure to the last digit, however busy the host is, whenever the guest was frozen."""

from __future__ import annotations

import functools
import json
import struct
import tomllib
from pathlib import Path

import msgspec
import pytest

from benchmarks.guests import every_core_busy
from benchproof import laboratory, plan
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.primitive import counted as counted_batches
from benchproof.document import DEFAULT, document_of
from benchproof.errors import LabInvalid, NotSupported, TargetFailed, UsageError
from benchproof.guest import exact, hashed
from benchproof.model import Completed, Forkable, Measurement, Observation
from benchproof.probe import build
from benchproof.targets import KINDS
from conftest import why_unusable
from test_cli import cli

pytestmark = pytest.mark.skipif(bool(why_unusable("qemu")), reason=why_unusable("qemu") or "QEMU runs")
QEMU = KINDS.load("qemu")


def room(scratch: Path, probe: Path) -> laboratory.Room:
    return laboratory.Room(scratch=scratch, probe=probe)


@pytest.fixture(scope="module")
def target(host_probe, tmp_path_factory):
    """An exact guest, its snapshot in the cache that all share."""
    return QEMU(QEMU.Settings(exact=True), room(tmp_path_factory.mktemp("exact"), host_probe.path))


@pytest.fixture(scope="module")
def quietly(target):
    """A case, counted once for all tests that ask for it: what each counting must find again."""
    return functools.cache(lambda name: counted(target, name))


def counted(target, name: str) -> Observation:
    benchmark = BENCHMARKS.load(name)()
    observation = tried(benchmark, target, 2 if name == "timer.wake" else 0)
    assert list(benchmark.verify(observation)) == []
    return observation


def tried(benchmark, target, retries: int) -> Observation:
    """As a run does: of timer.wake, the only case in which a guest sleeps, 1 pair of 100 is invalid (decision 0006)."""
    try:
        return benchmark.run(target)
    except LabInvalid:
        if not retries:
            raise
        return tried(benchmark, target, retries - 1)


def instructions(seen: Observation) -> float:
    (measurement,) = seen.measurements
    assert (measurement.unit, measurement.clock, measurement.better) == ("instructions", "instructions", "lower")
    assert measurement.metric == "syscall.getpid.instructions"
    (figure,) = measurement.samples
    return figure


@pytest.mark.parametrize("name", SUITES["primitive"])
def test_every_case_is_counted_and_its_oracle_agrees(quietly, name):
    evidence = quietly(name).evidence
    assert evidence["statistic"] in {"mode", "minimum"}
    assert int(evidence["batches_at_figure"]) >= 1


@pytest.mark.parametrize("name", ["syscall.getpid", "ipc.unix_pingpong", "process.fork_exec"])
def test_a_busy_host_changes_no_digit(target, quietly, name):
    quiet = quietly(name)
    with every_core_busy():
        assert counted(target, name) == quiet


def test_one_instruction_more_in_the_loop_is_one_instruction_more_in_the_figure(target, quietly, tmp_path):
    planted = build(target.lab.cache, defines=["PLANTED=EXTRA_NOP"])
    other = QEMU(QEMU.Settings(exact=True), room(tmp_path, planted.path))
    assert round(instructions(counted(other, "syscall.getpid")) - instructions(quietly("syscall.getpid")), 9) == 1


def test_two_snapshots_built_apart_give_the_same_bytes(target, tmp_path, host_probe):
    """The guest freezes itself at an instruction of its own: even its memory is the same, to the last bit."""
    here = target.counter()
    fresh = exact.ensure(
        target.machine, cache_folder=tmp_path, supervisor=host_probe.path, timeout_s=120, log=lambda *_: None
    )
    assert fresh.ram != here.snapshot.ram
    assert hashed.memory_sha256(fresh.ram) == hashed.memory_sha256(here.snapshot.ram)
    apart = exact.Counter(target.machine, fresh, supervisor=host_probe.path, log=lambda *_: None)
    command = ["/init", *BENCHMARKS.load("ipc.unix_pingpong")().exact_arguments()]
    assert apart.run(command, timeout_s=60).stdout == here.run(command, timeout_s=60).stdout


def moved(here: exact.Counter, folder: Path, by_ns: int) -> exact.Counter:
    """The same guest, frozen with its clock elsewhere: in the state of QEMU 7.2, behind a name and a version."""
    content = bytearray(here.snapshot.state.read_bytes())
    at = content.index(b"\x0ctimer/icount") + 13 + 4
    (idle_ns,) = struct.unpack_from(">q", content, at)
    assert 0 < idle_ns < 20_000_000_000
    struct.pack_into(">q", content, at, idle_ns + by_ns)
    state = folder / "state"
    state.write_bytes(content)
    frozen = msgspec.structs.replace(here.snapshot, state=state)
    return exact.Counter(here.machine, frozen, supervisor=here.supervisor, log=here.log)


def test_whether_the_clock_moved_on_to_the_next_tick_when_the_machine_stopped_changes_no_byte(target, tmp_path):
    """QEMU may do so or not. Both are tried: a clock that is up to 4 ms before the tick."""
    here = target.counter()
    command = ["/init", *BENCHMARKS.load("syscall.getpid")().exact_arguments()]
    expected = here.run(command, timeout_s=60).stdout
    for by_ns in (-1_000_003, 1_000_003):
        try:
            seen = moved(here, tmp_path, by_ns).run(command, timeout_s=60).stdout
        except TargetFailed as error:
            assert "moved on too far" in str(error)  # it had moved on already
        else:
            if seen == expected:
                return
    pytest.fail("neither is the same")


def test_a_clock_that_moved_on_too_far_is_refused(target, tmp_path):
    with pytest.raises(TargetFailed, match="the clock moved on too far"):
        moved(target.counter(), tmp_path, 8_000_000).once(["/init", "exit", "0"], timeout_s=60)


def test_two_runs_that_differ_are_invalid_with_both_figures(target, monkeypatch):
    answers = iter([b"same\nfigure 321\n", b"same\nfigure 322\n"])

    def once(_self, _argv, *, stdin=b"", timeout_s):
        return Completed(exit_status=0, stdout=next(answers) + stdin, stderr=b"", elapsed_ns=int(timeout_s))

    monkeypatch.setattr(exact.Counter, "once", once)
    with pytest.raises(LabInvalid, match="figure 321 and figure 322"):
        target.counter().run(["/init", "exit", "0"], timeout_s=1)


def test_a_random_number_is_a_difference_that_two_clones_do_not_have_here(target):
    with target.start() as instance:
        first = instance.run(["/init", "cat", "/proc/sys/kernel/random/uuid"], timeout_s=60)
        again = instance.run(["/init", "cat", "/proc/sys/kernel/random/uuid"], timeout_s=60)
    assert first.exit_status == 0
    assert len(first.stdout) == 37
    assert first.stdout == again.stdout


def test_input_and_exit_status_pass_through(target):
    with target.start() as instance:
        assert instance.run(["/init", "cat"], stdin=b"\0\xff in", timeout_s=60).stdout == b"\0\xff in"
        assert instance.run(["/init", "exit", "42"], timeout_s=60).exit_status == 42


def test_a_command_that_never_ends_is_ended_and_one_that_is_too_long_is_refused(target):
    with pytest.raises(TargetFailed, match="silent"), target.start() as instance:
        instance.run(["/init", "hang"], timeout_s=0.5)
    with pytest.raises(TargetFailed, match="too long"), target.start() as instance:
        instance.run(["/init", "cat"], stdin=b"x" * 70_000, timeout_s=60)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"vcpus": 2}, "vcpus = 1"), ({"accel": "kvm"}, "kvm"), ({"start": "cold"}, "snapshot")],
)
def test_what_cannot_be_exact_is_refused_when_the_plan_is_read(settings, words):
    with pytest.raises(UsageError, match=words):
        QEMU.Settings(exact=True, **settings)


def test_an_exact_target_is_not_forked(target):
    assert isinstance(target, Forkable)
    for method in (target.image, lambda: target.cold().__enter__()):
        with pytest.raises(NotSupported, match="exact mode"):
            method()


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ({100: 198, 137: 2}, (100, "mode")),
        ({100: 1, 137: 2}, (137, "mode")),
        ({100: 1, 137: 1}, (100, "minimum")),
        ({90: 1, 100: 60, 137: 39}, (90, "minimum")),
        ({7: 1}, (7, "mode")),
    ],
)
def test_the_figure_is_that_of_most_batches_or_of_the_shortest(batches, expected):
    assert counted_batches.figure(batches) == expected


def of_batches(text: str, figure: float) -> list[str]:
    measurement = Measurement(
        metric="m", unit="instructions", better="lower", clock="instructions", iterations=100, samples=(figure,)
    )
    evidence = {"batch_instructions": text}
    return list(counted_batches.violations(Observation(measurements=(measurement,), evidence=evidence)))


def test_a_stored_figure_is_held_against_its_batches():
    assert of_batches("34596x198 36900x2", 345.96) == []
    assert "expected 345.96, found (345.95,)" in of_batches("34596x198 36900x2", 345.95)[0]
    for damaged in ("", "0x200", "34596x", "34596", "axb", "-5x3"):
        assert of_batches(damaged, 345.96) == ["no batch was counted, or one took no instruction"]
    nothing = Observation(measurements=(), evidence={"batch_instructions": "34596x198"})
    assert list(counted_batches.violations(nothing)) == ["no batch was counted, or one took no instruction"]


# ---- plans and runs ----

TWO = """
[targets.host]
[targets.a]
kind = "qemu"
exact = true
[targets.b]
kind = "qemu"
exact = true
arguments = "randomize_kstack_offset=off nolapic_timer"  # the second one: what takes half the time of its first start
[suites.s]
benchmarks = ["syscall.getpid"]
[run]
blocks = 2
quick = true
vary = ["system", "machine"]
limits = { load = 0 }
"""


def parsed(text: str) -> plan.Plan:
    return plan.parse(tomllib.loads(text), where="test")


def test_exact_cases_are_run_once_and_refer_to_exact_ones():
    made = parsed(TWO)
    assert made.exact == {"a", "b"}
    assert made.references == {"host": "host", "a": "a", "b": "a"}
    assert [sorted(case.target for case in made.schedule(block)) for block in (-1, 0, 1)] == [
        ["host"],
        ["a", "b", "host"],
        ["host"],
    ]


def test_a_ratio_of_instructions_to_time_is_refused():
    with pytest.raises(UsageError, match="never compared"):
        parsed(TWO.replace('arguments = "', 'reference = "host"\narguments = "'))


def test_the_flag_makes_every_target_exact_that_can_be(tmp_path):
    document = document_of(DEFAULT)
    chosen, left_out = plan.counted(document)
    assert list(chosen["targets"]) == ["linux"]
    assert left_out == ("host", "bwrap", "gvisor")
    with pytest.raises(UsageError, match=r"expected a target that can count instructions.*found host"):
        plan.counted(plan.only(document, targets=("host",), benchmarks=()))


def test_time_and_instructions_are_in_tables_of_their_own(tmp_path):
    """Also: a limit on noise that nothing could keep takes no exact figure away."""
    (tmp_path / "plan.toml").write_text(TWO)
    report = json.loads(cli("run", "--plan", "plan.toml", "--json", cwd=tmp_path).stdout)
    rows = {row["metric"]: row["cells"] for row in report["rows"]}
    assert rows["syscall.getpid"].keys() == {"host"}
    assert rows["syscall.getpid"]["host"]["status"] == "invalid"
    cells = rows["syscall.getpid.instructions"]
    assert cells.keys() == {"a", "b"}
    assert [cell["status"] for cell in cells.values()] == ["passed", "passed"]
    ratio = cells["b"]["comparison"]
    assert ratio["difference"]["estimate"] == cells["b"]["median"] - cells["a"]["median"]
    assert ratio["ratio"]["low"] == ratio["ratio"]["high"] == cells["b"]["median"] / cells["a"]["median"]
    assert ratio["difference"]["estimate"] < 0
    shown = cli("report", "last", cwd=tmp_path).stdout
    assert "Never compared with time" in " ".join(shown.split())
    assert " fewer (" in shown
