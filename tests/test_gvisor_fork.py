"""gVisor sandboxes that are frozen and cloned, with the real `runsc`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchproof.errors import NotSupported, StartFailed, TargetFailed
from benchproof.model import Forkable, ForkableInstance, Lab, Target
from benchproof.targets.gvisor import Gvisor
from conftest import lab_in, why_unusable
from test_targets import BYTES, Contract, descendants_of, make

TIMEOUT_S = 60
GONE_WITHIN_S = 5


def save(instance: ForkableInstance, path: str, content: bytes) -> None:
    assert instance.run([instance.probe, "save", path], stdin=content, timeout_s=TIMEOUT_S).exit_status == 0


def read(instance: ForkableInstance, path: str, *limit: str) -> bytes:
    done = instance.run([instance.probe, "cat", path, *limit], timeout_s=TIMEOUT_S)
    assert done.exit_status == 0, done.stderr
    return done.stdout


def alive(pids) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def program(pid: int) -> bytes:
    """Empty for a process that has ended: the stubs of a sandbox come and go."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return b""


@pytest.fixture
def gvisor(lab) -> Forkable:
    if reason := why_unusable("gvisor"):
        pytest.skip(reason)
    target = make("gvisor", lab)
    assert isinstance(target, Forkable)
    return target


class Clones:
    """A target whose start is a clone, to hold it to the contract of all targets."""

    def __init__(self, target: Gvisor) -> None:
        self.lab = target.lab
        self.facts = target.facts
        self.start = target.image().start


@pytest.fixture(scope="module")
def clones(host_probe, tmp_path_factory) -> Clones:
    """One image for all tests of the contract."""
    if reason := why_unusable("gvisor"):
        pytest.skip(reason)
    return Clones(Gvisor(Gvisor.Settings(), lab_in(tmp_path_factory.mktemp("scratch"), host_probe.path)))


class TestClone(Contract):
    kind = "gvisor"

    @pytest.fixture
    def target(self, clones) -> Target:
        return clones

    @pytest.fixture
    def lab(self, clones) -> Lab:
        return clones.lab

    def test_nothing_is_left_in_the_scratch_folder(self, target, lab):
        """But the image, which is the target's for the whole run."""
        mounts = Path("/proc/self/mountinfo").read_text()
        for _ in range(5):
            with target.start() as instance:
                assert instance.run([instance.probe, "exit", "0"], timeout_s=TIMEOUT_S).exit_status == 0
                held = instance.footprint()
            assert (alive(held.processes), [path for path in held.files if path.exists()]) == ([], [])
        assert [path.name.partition("-")[0] for path in lab.scratch.iterdir()] == ["image"]
        assert descendants_of(lab.scratch) == []
        assert Path("/proc/self/mountinfo").read_text() == mounts


def test_what_was_written_is_in_every_clone_and_what_a_clone_writes_is_its_own(gvisor, tmp_path):
    with gvisor.cold() as original, ExitStack() as life:
        (tmp_path / "put").write_bytes(BYTES)
        paths = ["/tmp/inside", "/work/inside", original.put(tmp_path / "put", "put")]
        for path in paths[:2]:
            save(original, path, BYTES)
        image = original.freeze()
        clones = [life.enter_context(image.start()) for _ in range(3)]
        everyone = [original, *clones]  # the original goes on
        for path in paths:
            assert [read(each, path) for each in everyone] == [BYTES] * 4
        for number, each in enumerate(everyone):
            for path in paths:
                save(each, path, b"%d" % number)
        for path in paths:
            assert [read(each, path) for each in everyone] == [b"0", b"1", b"2", b"3"]
        assert [each.get(paths[2]) for each in everyone] == [b"0", b"1", b"2", b"3"]
        assert read(original, "/proc/1/stat").startswith(b"1 (probe)")


def test_a_clone_can_be_frozen_and_an_image_outlives_what_it_was_made_of(gvisor):
    with gvisor.image().start() as clone:
        save(clone, "/tmp/generation", b"one")
        image = clone.freeze()
    with image.start() as grandchild:
        assert read(grandchild, "/tmp/generation") == b"one"
        image.delete()
        assert read(grandchild, "/tmp/generation") == b"one"


def test_clones_do_not_repeat_random_numbers(gvisor):
    with gvisor.cold() as original:
        read(original, "/dev/urandom", "32")
        image = original.freeze()
        with image.start() as one, image.start() as other:
            drawn = [read(each, "/dev/urandom", "32") for each in (original, one, other) for _ in range(2)]
    assert len(set(drawn)) == 6
    assert {len(each) for each in drawn} == {32}


def test_a_footprint_names_processes_of_the_sandbox_and_counts_memory_and_disk(gvisor, tmp_path):
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    with gvisor.cold() as instance:
        before = instance.footprint()
        instance.put(tmp_path / "large", "large")
        after = instance.footprint()
        names = {program(pid) for pid in after.processes}
    assert {b"runsc-sandbox", b"runsc-gofer"} <= names
    assert after.disk_bytes - before.disk_bytes >= 3 << 20
    assert after.memory_bytes > 1 << 20


def test_an_image_takes_room_until_it_is_deleted_and_twice_is_no_error(gvisor):
    with gvisor.cold() as original:
        image = original.freeze()
    assert image.size_bytes() == sum(path.stat().st_blocks * 512 for path in image.files) > 0
    image.delete()
    image.delete()
    assert (image.size_bytes(), image.folder.exists()) == (0, False)
    with pytest.raises(StartFailed, match="is damaged"), image.start():
        pass


def test_the_image_of_a_target_is_made_once_and_kept(gvisor):
    image = gvisor.image()
    image.delete()
    assert gvisor.image() is image
    with image.start() as clone:
        assert clone.run([clone.probe, "exit", "7"], timeout_s=TIMEOUT_S).exit_status == 7


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: b"x" * len(content), lambda content: content[: len(content) // 2]],
    ids=["empty", "other", "cut"],
)
def test_a_damaged_image_fails_to_start_in_runsc_s_own_words(gvisor, lab, damage):
    with gvisor.cold() as original:
        image = original.freeze()
    checkpoint = image.folder / "checkpoint.img"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(StartFailed, match=r"runsc restore: .*restor"), image.start():
        pass
    assert descendants_of(lab.scratch) == []


def test_after_a_command_that_did_not_end_nothing_of_the_sandbox_is_left(gvisor, lab):
    with gvisor.cold() as instance:
        held = instance.footprint()
        with pytest.raises(TargetFailed, match="did not end"):
            instance.run([instance.probe, "hang"], timeout_s=1)
        assert alive(held.processes) == []
        for attempt in (instance.freeze, instance.footprint, lambda: instance.run(["any"], timeout_s=TIMEOUT_S)):
            with pytest.raises(TargetFailed, match="the sandbox was ended"):
                attempt()
    assert list(lab.scratch.iterdir()) == []


def test_a_program_that_is_not_there_ends_with_127_and_the_sandbox_goes_on(gvisor):
    with gvisor.cold() as instance:
        for name, why in (("nowhere", "no such file"), ("/bin/sh", "no such file"), ("/work", "permission denied")):
            done = instance.run([name, "word"], timeout_s=TIMEOUT_S)
            assert (done.exit_status, done.stdout) == (127, b"")
            assert done.stderr.decode().startswith(f"probe: cannot execute '{name}': {why}")
        assert instance.run([*instance.cat], stdin=b"word", timeout_s=TIMEOUT_S).stdout == b"word"


def test_a_sandbox_that_died_is_a_failure_and_no_exit_status(gvisor):
    with gvisor.cold() as instance:
        (sentry,) = (pid for pid in instance.footprint().processes if program(pid) == b"runsc-sandbox")
        os.kill(sentry, signal.SIGKILL)
        with pytest.raises(TargetFailed, match="runsc exec: "):
            instance.run([instance.probe, "exit", "0"], timeout_s=TIMEOUT_S)


def test_a_runsc_that_cannot_checkpoint_is_unsupported_in_its_own_words(lab, tmp_path):
    if reason := why_unusable("gvisor"):
        pytest.skip(reason)
    wrapper = tmp_path / "runsc-wrapper"
    wrapper.write_text(
        '#!/bin/sh\ncase "$*" in *\\ checkpoint\\ *) echo "no such thing here" >&2; exit 128;; esac\nexec runsc "$@"\n'
    )
    wrapper.chmod(0o755)
    with pytest.raises(NotSupported, match="runsc checkpoint: no such thing here"):
        make("gvisor", lab, runsc=str(wrapper)).image()
    assert list(lab.scratch.iterdir()) == []
    with make("gvisor", lab, runsc=str(wrapper)).cold() as instance:
        with pytest.raises(NotSupported):
            instance.freeze()
        assert instance.run([instance.probe, "exit", "3"], timeout_s=TIMEOUT_S).exit_status == 3


OWNER = """
import sys, time
from pathlib import Path
from benchproof.laboratory import Room
from benchproof.targets.gvisor import Gvisor

lab = Room(scratch=Path(sys.argv[1]), probe=Path(sys.argv[2]))
with Gvisor(Gvisor.Settings(), lab).image().start() as instance:
    print(*instance.footprint().processes, flush=True)
    instance.run([instance.probe, "hang"], timeout_s=1000)
"""


def test_an_owner_that_is_killed_leaves_no_sandbox_behind(gvisor, lab):
    words = [sys.executable, "-c", OWNER, str(lab.scratch), str(lab.probe)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as owner:
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert alive(pids)
        owner.kill()
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while (alive(pids) or descendants_of(lab.scratch)) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert (alive(pids), descendants_of(lab.scratch)) == ([], [])
    assert str(lab.scratch) not in Path("/proc/self/mountinfo").read_text()
