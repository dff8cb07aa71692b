"""disk.*: on every target, and every oracle shown to fail. The place where a figure was made is in its name."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof import runner
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import InvocationError
from benchproof.model import Failed, Invalid, Outcome, Passed, Target, Unsupported
from benchproof.quantities import Size
from benchproof.targets import KINDS
from conftest import lab_in, planted_probe, why_unusable

WRITES = ("disk.sequential_write", "disk.random_write")
READS = ("disk.sequential_read", "disk.random_read", "disk.queued_read")
DISK = WRITES + READS


def tiny(name: str, **changes: Any) -> Any:
    """The benchmark with as little work as it can do."""
    kind = BENCHMARKS.load(name)
    small = {"size": Size(1 << 20), "block": Size(64 << 10)} if "sequential" in name else {"size": Size(1 << 20)}
    return kind(**(small | ({} if "sequential" in name else {"operations": 120}) | changes))


def outcome(benchmark: Any, target: Target) -> Outcome:
    try:
        return runner.judge(benchmark, benchmark.run(target))
    except InvocationError as error:
        return runner.outcome_of(error)


class Started:
    """A target that is started already: a guest boots once for all its benchmarks."""

    def __init__(self, kind: str, instance: Any) -> None:
        self.kind = kind
        self._instance = instance

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
        yield Started(request.param, instance)


@pytest.fixture(scope="module")
def host(host_probe, tmp_path_factory) -> Target:
    kind = KINDS.load("host")
    return kind(kind.Settings(), lab_in(tmp_path_factory.mktemp("host"), host_probe.path))


def planted(fault: str, folder: Path) -> Target:
    built = planted_probe(fault)
    kind = KINDS.load("host")
    target: Target = kind(kind.Settings(), lab_in(folder, built.path))
    return target


def on_a_disk(target: Target) -> bool:
    return tiny("disk.random_read").run(target).evidence["storage"] == "disk"


@pytest.mark.parametrize("name", DISK)
def test_the_tiny_size_passes_on_every_target(started, name):
    found = outcome(tiny(name), started)
    if (name, started.kind) == ("disk.queued_read", "gvisor"):  # its ring knows no reads
        assert isinstance(found, Unsupported)
        assert found.reason.startswith("a read by io_uring")
        return
    if isinstance(found, Invalid):  # a busy host; a run tries it again, too
        found = outcome(tiny(name), started)
    assert isinstance(found, Passed), found
    stems = {each.metric.removeprefix(f"{name}.") for each in found.measurements}
    kinds = {stem.rpartition("_")[2] if "latency" not in stem else "latency" for stem in stems}
    assert kinds >= {"throughput", "rate", "latency"}


def test_a_file_system_in_memory_is_said_in_every_metric(host, tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for name in DISK:
            observation = tiny(name, folder=folder).run(host)
            assert observation.evidence["storage"] == "memory"
            assert observation.evidence["filesystem"] == "tmpfs"
            assert all(each.metric.startswith(f"{name}.memory_") for each in observation.measurements)
        assert list(Path(folder).iterdir()) == []


def test_the_file_system_and_its_device_are_told(host):
    evidence = tiny("disk.sequential_write").run(host).evidence
    mounts = Path("/proc/self/mountinfo").read_text()
    assert f" - {evidence['filesystem']} {evidence['device']} " in mounts
    assert evidence["mounted"] == "rw"
    assert evidence["filesystem"] in evidence["mechanism"]


@pytest.mark.parametrize(("fsync", "words"), [("none", "no fsync"), ("end", "at the end"), ("each", "after each")])
def test_the_policy_of_fsync_is_in_parameters_and_mechanism(host, fsync, words):
    observation = tiny("disk.random_write", fsync=fsync, operations=3).run(host)
    assert words in observation.evidence["mechanism"]
    assert (int(observation.evidence["sync_ns"]) > 0) == (fsync == "end")
    assert list(tiny("disk.random_write", fsync=fsync).verify(observation)) != []  # other operations than asked for


@pytest.mark.parametrize("name", READS)
def test_a_cold_cache_is_proved_or_the_figure_is_called_warm(host, name):
    if not on_a_disk(host):
        pytest.skip("the scratch folder is not on a disk")
    cold = tiny(name, direct="off", cache="cold").run(host)
    assert (cold.evidence["cache"], cold.evidence["resident_start"]) == ("cold", "0")
    assert int(cold.evidence["resident_end"]) > 0  # the same look at the cache can also see pages
    assert all(not each.metric.startswith(f"{name}.warm_") for each in cold.measurements)
    warm = tiny(name, direct="off", cache="warm").run(host)
    assert int(warm.evidence["resident_start"]) >= (1 << 20) // 4096
    assert all(each.metric.startswith(f"{name}.warm_") for each in warm.measurements)


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("fault", ["KEEP_CACHE", "CACHE_LIE"])
def test_a_cache_that_is_kept_or_lied_about_is_never_called_cold(tmp_path, name, fault):
    target = planted(fault, tmp_path)
    observation = tiny(name, direct="off").run(target)
    assert observation.evidence["cache"] == "warm"
    assert all(each.metric.startswith((f"{name}.warm_", f"{name}.memory_")) for each in observation.measurements)
    refused = outcome(tiny(name, direct="off", cache="cold"), target)
    assert isinstance(refused, Unsupported)
    assert "a cold cache is not proved" in refused.reason


@pytest.mark.parametrize("name", DISK)
@pytest.mark.parametrize("fault", ["SKIP_WORK", "WRONG_ANSWER"])
def test_every_oracle_notices_skipped_work_and_wrong_bytes(tmp_path, name, fault):
    found = outcome(tiny(name), planted(fault, tmp_path))
    assert isinstance(found, Failed), found
    assert any("pages_wrong" in violation for violation in found.violations)


@pytest.mark.parametrize(
    ("fault", "name", "words"),
    [
        ("SKIP_WORK", "disk.sequential_write", "holes"),
        ("SKIP_WORK", "disk.random_write", "pages_wrong"),
        ("SHORT_READ", "disk.sequential_read", "bytes_moved"),
        ("SHORT_READ", "disk.random_read", "returned something else"),
        ("REPEAT_OFFSET", "disk.random_read", "distinct_offsets"),
        ("REPEAT_OFFSET", "disk.random_write", "distinct_offsets"),
        ("SHORT_READ", "disk.queued_read", "returned something else"),
        ("REPEAT_OFFSET", "disk.queued_read", "distinct_offsets"),
    ],
)
def test_each_planted_fault_is_named(tmp_path, fault, name, words):
    found = outcome(tiny(name), planted(fault, tmp_path))
    assert isinstance(found, Failed), found
    assert any(words in violation for violation in found.violations), found.violations


def test_what_cannot_be_kept_is_compared_on_the_clock_and_that_is_another_mechanism(host, tmp_path):
    benchmark = tiny("disk.sequential_read", direct="off")
    kept, compared = benchmark.run(host), benchmark.run(planted("NO_ROOM", tmp_path))
    for observation, when in ((kept, "after the timed calls"), (compared, "in the clock")):
        assert list(benchmark.verify(observation)) == []
        assert observation.evidence["compared"] == when
    assert compared.evidence["mechanism"] == f"{kept.evidence['mechanism']}, compared in the clock"
    assert int(compared.evidence["sampled_ns"]) > sum(map(float, compared.measurements[2].samples))


def test_figures_that_do_not_follow_from_the_calls_are_violations(host):
    benchmark = tiny("disk.random_write")
    good = benchmark.run(host)
    assert list(benchmark.verify(good)) == []
    shorter = str(int(good.evidence["sampled_ns"]) // 2)
    bad = msgspec.structs.replace(good, evidence=good.evidence | {"sampled_ns": shorter})
    assert any("the calls took" in violation for violation in benchmark.verify(bad))
    none = msgspec.structs.replace(good, measurements=())
    assert any("expected the time of each of 120 calls" in violation for violation in benchmark.verify(none))


def test_requests_that_were_not_queued_or_that_do_not_fit_into_their_time_are_violations(host):
    benchmark = tiny("disk.queued_read", depth=8)
    good = benchmark.run(host)
    assert list(benchmark.verify(good)) == []
    assert (good.evidence["in_flight"], good.evidence["compared"]) == ("8", "after the timed calls")
    assert "8 at once" in good.evidence["mechanism"]
    for changes, words in (
        ({"in_flight": "1"}, "in_flight"),
        ({"answered": "119"}, "answered"),
        ({"sampled_ns": str(int(good.evidence["sampled_ns"]) // 50)}, "do not fit into"),
    ):
        bad = msgspec.structs.replace(good, evidence=good.evidence | changes)
        assert any(words in violation for violation in benchmark.verify(bad)), changes


@pytest.mark.parametrize("depth", [0, 1025])
def test_a_queue_of_no_depth_or_without_end_is_refused(depth):
    with pytest.raises(ValueError, match="depth: expected 1 to 1024 requests at once"):
        tiny("disk.queued_read", depth=depth)


def test_no_room_is_one_clear_line_and_unsupported(started):
    """In a guest of 256 MiB, /tmp holds half of that; elsewhere there may be room."""
    if started.kind != "qemu":
        return
    found = outcome(tiny("disk.sequential_write", size=Size(1 << 30), block=Size(1 << 20), folder="/tmp"), started)
    assert isinstance(found, Unsupported)
    assert found.reason.startswith("no space: 1073741824 bytes are asked for in /tmp (tmpfs), ")
    assert "size" in found.missing


def test_a_folder_that_is_not_there_is_named(host):
    found = outcome(tiny("disk.random_read", folder="/nowhere/at/all"), host)
    assert isinstance(found, Unsupported)
    assert "/nowhere/at/all" in found.reason


def test_what_a_killed_probe_left_is_removed_and_what_another_holds_is_not(host, tmp_path):
    (tmp_path / "benchproof-disk-1-left").write_bytes(b"x")
    held = tmp_path / "benchproof-disk-2-held"
    with held.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert isinstance(outcome(tiny("disk.random_read", folder=str(tmp_path)), host), Passed)
        assert [path.name for path in tmp_path.iterdir()] == [held.name]


def test_the_data_cannot_be_compressed_and_no_two_pages_are_equal(host_probe, tmp_path):
    """The file of a probe that is stopped before it ends; the folder is ours."""
    words = ["--dir", str(tmp_path), "--size", str(8 << 20), "--block", "65536", "--iterations", "128", "--seed", "5"]
    argv = [host_probe.path, "bench", "disk.sequential_write", *words, "--samples", "1", "--warmups", "0"]
    copies = b""
    with subprocess.Popen([*argv, "--sync", "2", "--direct", "0"], stdout=subprocess.DEVNULL) as program:
        while program.poll() is None and len(copies) < 2 << 20:
            for path in tmp_path.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    copies = path.read_bytes()
            time.sleep(0.001)
        program.wait(60)
    pages = [copies[at : at + 4096] for at in range(0, len(copies), 4096)]
    assert len(pages) >= 2
    assert len(set(pages)) == len(pages)
    assert all(one[32:] != other[32:] for one, other in itertools.pairwise(pages))
    assert len(zlib.compress(copies, 9)) > 0.99 * len(copies)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"block": Size(1000)}, "multiple of 4 KiB"),
        ({"size": Size(100_000)}, "whole blocks"),
        ({"size": Size(1 << 33)}, "up to 4 GiB"),
        ({"folder": "here"}, "begins with '/'"),
        ({"cache": "warm", "direct": "on"}, "beside direct"),
        ({"size": Size(1 << 30), "block": Size(4096)}, "larger blocks"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        tiny("disk.sequential_read", **changes)


def test_insisting_on_o_direct_where_it_is_not_done_is_unsupported(started):
    found = outcome(tiny("disk.random_read", direct="on"), started)
    if isinstance(found, Unsupported):
        assert "O_DIRECT" in found.reason
    else:
        assert isinstance(found, Passed)
        plain = {f"disk.random_read.{name}" for name in ("rate", "memory_rate")}
        assert found.measurements[0].metric in plain
