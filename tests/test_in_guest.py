"""rootfs.* and startup.command: on every target, and every oracle shown to fail; the suite `guest`."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof import runner, suites
from benchproof.analysis.cells import LACKING
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import InvocationError, NotSupported
from benchproof.model import Failed, Invalid, Outcome, Passed, Target, Unsupported
from benchproof.quantities import Size
from benchproof.targets import KINDS
from conftest import lab_in, planted_probe, why_unusable

ROOTFS = ("rootfs.sequential_read", "rootfs.random_read")


def tiny(name: str, **changes: Any) -> Any:
    """The benchmark with as little work as it can do."""
    small: dict[str, Any] = {"samples": 2, "cold_samples": 2} if name.startswith("startup") else {"size": Size(2 << 20)}
    small |= {"operations": 200} if name == "rootfs.random_read" else {}
    return BENCHMARKS.load(name)(**(small | changes))


def outcome(benchmark: Any, target: Target) -> Outcome:
    try:
        return runner.judge(benchmark, benchmark.run(target))
    except InvocationError as error:
        return runner.outcome_of(error)


class Started:
    """A target that is started already, with some files put into it."""

    def __init__(self, kind: str, instance: Any, folder: str) -> None:
        self.kind = kind
        self.instance = instance
        self.folder = folder

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        yield self.instance


@pytest.fixture(scope="module", params=["host", "bwrap", "gvisor", "qemu"])
def started(request, host_probe, tmp_path_factory) -> Iterator[Started]:
    if reason := why_unusable(request.param):
        pytest.skip(reason)
    kind = KINDS.load(request.param)
    files = tmp_path_factory.mktemp("files")
    target = kind(kind.Settings(), lab_in(tmp_path_factory.mktemp(request.param), host_probe.path))
    with target.start() as instance:
        size = 5000 if request.param == "qemu" else (1 << 20) + 5000  # its wire takes a second for so much
        for name in ("one", "two"):
            (files / name).write_bytes(os.urandom(size))
            path = instance.put(files / name, name)
        yield Started(request.param, instance, str(Path(path).parent))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """Files on the host, as a root file system might have them."""
    path = tmp_path_factory.mktemp("root")
    (path / "below").mkdir()
    for name in ("one", "below/two"):
        (path / name).write_bytes(os.urandom((1 << 20) + 5000))
    (path / "small").write_bytes(b"x")
    (path / "below" / "link").symlink_to("/etc")
    return str(path)


def on_host(path: Path, folder: Path) -> Target:
    kind = KINDS.load("host")
    target: Target = kind(kind.Settings(), lab_in(folder, path))
    return target


@pytest.fixture(scope="module")
def host(host_probe, tmp_path_factory) -> Target:
    return on_host(host_probe.path, tmp_path_factory.mktemp("host"))


def planted(fault: str, folder: Path) -> Target:
    return on_host(planted_probe(fault).path, folder)


# ---- rootfs ----


@pytest.mark.parametrize("name", ROOTFS)
def test_files_are_read_twice_and_are_the_same_on_every_target(started, name):
    if started.kind == "qemu":  # it has nothing but what was put into its /tmp, which is too little
        assert isinstance(outcome(tiny(name, folder=started.folder), started), Unsupported)
        return
    benchmark = tiny(name, folder=started.folder)
    found = outcome(benchmark, started)
    if isinstance(found, Invalid):
        found = outcome(benchmark, started)
    assert isinstance(found, Passed), found
    metrics = {each.metric for each in found.measurements}
    assert any(metric.endswith("throughput") for metric in metrics)
    if started.kind == "gvisor":  # nobody can look at its cache
        assert all(metric.startswith(f"{name}.warm_") for metric in metrics)


@pytest.mark.parametrize("name", ROOTFS)
def test_a_root_without_files_is_unsupported_with_the_way_to_get_one(started, name):
    if started.kind != "qemu":
        return
    for empty in ("/usr", "/sys/module"):
        found = outcome(tiny(name, folder=empty), started)
        assert isinstance(found, Unsupported)
        assert 'root = "debian"' in found.missing


@pytest.mark.parametrize("name", ROOTFS)
def test_the_state_of_the_cache_is_proved_or_told(host, folder, name):
    cold = tiny(name, folder=folder, cache="cold")
    found = outcome(cold, host)
    if isinstance(found, Unsupported):
        pytest.skip(found.reason)
    assert all("warm_" not in each.metric for each in found.measurements)
    warm = tiny(name, folder=folder, cache="warm").run(host)
    assert int(warm.evidence["resident_start"]) >= 512
    assert all(each.metric.startswith(f"{name}.warm_") for each in warm.measurements)


@pytest.mark.parametrize("name", ROOTFS)
@pytest.mark.parametrize("fault", ["KEEP_CACHE", "CACHE_LIE"])
def test_a_cache_that_is_kept_or_lied_about_is_never_called_cold(tmp_path, folder, name, fault):
    target = planted(fault, tmp_path)
    assert tiny(name, folder=folder).run(target).evidence["cache"] == "warm"
    refused = outcome(tiny(name, folder=folder, cache="cold"), target)
    assert isinstance(refused, Unsupported)
    assert "a cold cache is not proved" in refused.reason


@pytest.mark.parametrize(
    ("fault", "name", "words"),
    [
        ("SKIP_WORK", "rootfs.sequential_read", "hash_second"),
        ("WRONG_ANSWER", "rootfs.sequential_read", "hash_second"),
        ("SHORT_READ", "rootfs.sequential_read", "bytes_read"),
        ("SKIP_WORK", "rootfs.random_read", "pages_wrong"),
        ("WRONG_ANSWER", "rootfs.random_read", "pages_wrong"),
        ("SHORT_READ", "rootfs.random_read", "bytes_read"),
        ("REPEAT_OFFSET", "rootfs.random_read", "distinct_offsets"),
    ],
)
def test_each_planted_fault_of_reading_is_named(tmp_path, folder, fault, name, words):
    found = outcome(tiny(name, folder=folder), planted(fault, tmp_path))
    assert isinstance(found, Failed), found
    assert any(words in violation for violation in found.violations), found.violations


def test_another_list_of_files_has_another_hash(host, folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    (copy / "one").unlink()
    hashes = [
        tiny("rootfs.sequential_read", folder=where).run(host).evidence["list_crc32"] for where in (folder, str(copy))
    ]
    assert hashes[0] != hashes[1]


# ---- startup ----


def starts_itself(started: Started, **changes: Any) -> Any:
    return tiny("startup.command", command=(started.instance.probe, "cat", "/proc/self/comm"), expect=".+", **changes)


def test_a_program_is_started_on_every_target(started):
    found = outcome(starts_itself(started), started)
    assert isinstance(found, Passed), found
    metrics = {each.metric: each for each in found.measurements}
    assert len(metrics["startup.command.warm_latency"].samples) == 2
    if started.kind in {"gvisor", "qemu"}:  # no way to look; the program lies in memory
        assert "startup.command.cold_latency" not in metrics


def test_a_cold_start_is_one_whose_files_were_not_in_the_cache(host, tmp_path, host_probe):
    """A program that nobody else runs, on a disk."""
    program = shutil.copy(host_probe.path, tmp_path / "program")
    benchmark = tiny("startup.command", command=(str(program), "exit", "7"), exit_status=7, expect="")
    observation = benchmark.run(host)
    if observation.evidence["storage"] != "disk":
        pytest.skip("the scratch folder is not on a disk")
    assert observation.evidence["cold"] == "proved"
    assert list(benchmark.verify(observation)) == []
    assert {each.metric for each in observation.measurements} == {
        "startup.command.cold_latency",
        "startup.command.warm_latency",
    }
    lied = observation.evidence | {"resident_before_cold": "3"}
    found = list(benchmark.verify(msgspec.structs.replace(observation, evidence=lied)))
    assert any("called cold" in violation for violation in found)


@pytest.mark.parametrize("fault", ["KEEP_CACHE", "CACHE_LIE"])
def test_a_start_with_a_warm_or_unseen_cache_is_never_called_cold(tmp_path, fault, host_probe):
    program = shutil.copy(host_probe.path, tmp_path / "program")
    command = {"command": (str(program), "cat", "/proc/self/comm"), "expect": ".+"}
    target = planted(fault, tmp_path / "lab")
    found = outcome(tiny("startup.command", **command), target)
    assert isinstance(found, Passed), found
    assert {each.metric for each in found.measurements} == {"startup.command.warm_latency"}
    refused = outcome(tiny("startup.command", cache="cold", **command), target)
    assert isinstance(refused, Unsupported)
    assert "not proved" in refused.reason


def test_a_program_in_use_is_timed_warm_alone(host):
    """Its C library is that of everything that runs here."""
    found = tiny("startup.command", command=("/bin/sh", "-c", "echo $((6*7))")).run(host)
    assert [each.metric for each in found.measurements] == ["startup.command.warm_latency"]
    assert found.evidence["cold"].startswith("not proved: the cache keeps '/")
    assert found.evidence[LACKING].startswith("no cold_latency: the cache keeps '/")
    assert 'root = "debian"' in found.evidence[LACKING]
    assert bytes.fromhex(found.evidence["output.0"]) == b"42\n"


@pytest.mark.parametrize("fault", ["SKIP_WORK", "WRONG_ANSWER"])
def test_a_program_that_was_not_run_or_said_something_else_fails(tmp_path, fault):
    found = outcome(tiny("startup.command", command=("/bin/echo", "42")), planted(fault, tmp_path))
    assert isinstance(found, Failed), found
    assert any("expected output '42'" in violation for violation in found.violations)


def test_a_program_that_crashes_at_once_is_not_a_fast_start(host):
    benchmark = tiny("startup.command", command=("/bin/sh", "-c", "echo 42; echo no such module >&2; exit 3"))
    found = outcome(benchmark, host)
    assert isinstance(found, Failed)
    assert any("ended with 3, not 0: no such module" in violation for violation in found.violations)
    killed = outcome(tiny("startup.command", command=("/bin/sh", "-c", "echo 42; kill -9 $$")), host)
    assert isinstance(killed, Failed)
    assert any("ended with -9" in violation for violation in killed.violations)


def test_output_that_changes_from_start_to_start_is_held_against_what_is_expected(host):
    clock = ("/bin/sh", "-c", "date +%N")
    assert isinstance(outcome(tiny("startup.command", command=clock, expect=r"\d{9}"), host), Passed)
    found = outcome(tiny("startup.command", command=clock, expect="7"), host)
    assert isinstance(found, Failed)


def test_a_flood_of_output_is_bounded_and_fails(host, host_probe):
    found = outcome(tiny("startup.command", command=(str(host_probe.path), "flood", "900000"), expect="f+"), host)
    assert isinstance(found, Failed)
    assert any("900000 bytes" in violation for violation in found.violations)
    too_much = outcome(tiny("startup.command", command=(str(host_probe.path), "flood", "90000000"), expect="f+"), host)
    assert isinstance(too_much, Failed)


def test_a_command_that_is_not_there_is_unsupported_with_the_way(started):
    found = outcome(tiny("startup.command", command=("no-such-program", "--version")), started)
    assert isinstance(found, Unsupported)
    assert found.reason == "no-such-program is not in this target"
    assert 'root = "debian"' in found.missing


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": ()}, "1 to 64 words"),
        ({"expect": "("}, "regular expression"),
        ({"samples": 0}, "at least 1"),
        ({"exit_status": 300}, "0 to 255"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        tiny("startup.command", **changes)


# ---- a guest with a root file system on its disk ----


@pytest.fixture(scope="module")
def debian(host_probe, tmp_path_factory) -> Iterator[Started]:
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("QEMU is not installed")
    kind = KINDS.load("qemu")
    lab = lab_in(tmp_path_factory.mktemp("debian"), host_probe.path)
    target = kind(kind.Settings(accel="tcg", root="debian", memory=512 << 20), lab)
    try:
        assert target.root
    except NotSupported as error:
        pytest.skip(str(error))
    with target.start() as instance:
        yield Started("qemu", instance, "/usr")


def test_a_guest_with_a_disk_has_figures_of_a_disk(debian):
    names = ("disk.random_write", "disk.sequential_read")
    for name in names:
        small = {"size": Size(1 << 20)} | ({"operations": 50} if "random" in name else {})
        found = outcome(BENCHMARKS.load(name)(**small), debian)
        assert isinstance(found, Passed), found
        assert found.measurements[0].metric in {f"{name}.rate", f"{name}.throughput"}  # neither buffered nor in memory


def test_the_root_of_a_guest_is_read_cold(debian):
    found = outcome(tiny("rootfs.random_read", cache="cold"), debian)
    assert isinstance(found, Passed), found
    assert found.measurements[0].metric == "rootfs.random_read.rate"


def test_python_starts_cold_in_a_guest_where_nobody_else_uses_its_libraries(debian):
    quick = ("python3", "-I", "-S", "-c", "print(6*7)")  # without its site: an emulated start takes seconds
    benchmark = tiny("startup.command", samples=1, cold_samples=1, command=quick)
    observation = benchmark.run(debian)
    assert list(benchmark.verify(observation)) == []
    assert observation.evidence["cold"] == "proved"
    assert int(observation.evidence["files"]) >= 3  # the program, its loader and its library at least


# ---- the suite ----


def test_the_suite_asks_for_python_and_node():
    asked = suites.benchmarks_of({"mine": {"benchmarks": ["guest"]}}, "the plan")
    commands = [each.command[0] for each in asked if each.definition.name == "startup.command"]
    assert commands == ["python3", "node"]
    assert {each.definition.name for each in asked} >= {"disk.sequential_write", *ROOTFS}
