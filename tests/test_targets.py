"""The contract that every target keeps; each kind inherits all of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchproof.errors import NotSupported, TargetFailed, UsageError
from benchproof.model import Completed, Instance, Target
from benchproof.targets import KINDS
from benchproof.targets.fake import Fake
from conftest import why_unusable

BYTES = bytes(range(256)) * 40 + b"no newline at the end"


def descendants_of(marker: Path) -> list[str]:
    """Command lines of living processes that stand in or name a folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line, place = (folder / "cmdline").read_bytes(), str((folder / "cwd").readlink())
        except OSError:
            continue
        if str(marker).encode() in line or place.startswith(str(marker)):
            found.append(line.decode(errors="replace"))
    return found


class Contract:
    """Inherited by one class a kind; `settings` are the keys of its table in a plan."""

    kind: str
    settings: dict[str, Any] = {}  # noqa: RUF012 - overridden, never changed

    @pytest.fixture
    def target(self, lab) -> Target:
        if self.kind != "command" and (reason := why_unusable(self.kind)):
            pytest.skip(reason)
        kind = KINDS.load(self.kind)
        return kind(kind.Settings(**self.settings), lab)

    @pytest.fixture
    def instance(self, target):
        with target.start() as instance:
            yield instance

    def test_bytes_go_in_and_come_out_exactly(self, instance: Instance):
        done = instance.run(instance.cat, stdin=BYTES, timeout_s=60)
        assert (done.exit_status, done.stdout, done.stderr) == (0, BYTES, b"")

    def test_an_exit_status_is_data(self, instance: Instance):
        assert [instance.run([instance.probe, "exit", n], timeout_s=60).exit_status for n in ("0", "1", "42")] == [
            0,
            1,
            42,
        ]

    def test_death_by_signal_is_data_and_not_success(self, instance: Instance):
        status = instance.run([instance.probe, "crash"], timeout_s=60).exit_status
        assert status in {-signal.SIGSEGV, 128 + signal.SIGSEGV}  # bwrap and runsc say it as a shell does

    def test_standard_error_is_kept_apart(self, instance: Instance):
        done = instance.run([instance.probe, "nonsense"], timeout_s=60)
        assert done.exit_status == 64
        assert done.stdout == b""
        assert b"probe bench NAME" in done.stderr

    def test_a_missing_program_is_an_answer_and_no_crash_of_ours(self, instance: Instance):
        try:
            done = instance.run(["/no/such/program"], timeout_s=60)
        except TargetFailed as error:
            assert "no such file" in str(error).lower()  # runsc refuses before anything runs
        else:
            assert done.exit_status != 0
            assert re.search(rb"no such file|not found", done.stderr.lower())  # a shell says the second

    def test_a_timeout_ends_the_whole_tree_and_raises_in_time(self, target, lab):
        started_s = time.monotonic()
        with pytest.raises(TargetFailed, match=r"not end|silent"), target.start() as instance:
            instance.run([instance.probe, "hang"], timeout_s=0.5)
        assert time.monotonic() - started_s < 60  # it would hang for ever
        assert descendants_of(lab.scratch) == []

    def test_a_flood_of_output_ends_in_failure_not_in_memory(self, target):
        with pytest.raises(TargetFailed, match="16 MiB"), target.start() as instance:
            instance.run([instance.probe, "flood", str(200 << 20)], timeout_s=120)

    def test_a_file_that_is_put_in_comes_back_the_same(self, instance: Instance, tmp_path):
        source = tmp_path / "source"
        source.write_bytes(BYTES)
        path = instance.put(source, "a file")
        assert instance.run([*instance.cat, path], timeout_s=60).stdout == BYTES
        assert instance.get(path) == BYTES

    def test_a_file_that_is_not_there_cannot_be_got(self, instance: Instance):
        with pytest.raises(TargetFailed, match=r"(?i)no such file|cannot read"):
            instance.get("/tmp/benchproof-no-such-file")

    def test_facts_are_not_empty_and_name_machine_and_system(self, target):
        facts = target.facts()
        assert facts["machine"]["execution"] in {"native", "kvm", "tcg"}
        assert facts["machine"]["architecture"] == os.uname().machine
        assert facts["system"]["kernel"]
        assert facts["system"]["kind"] == self.kind
        assert all(isinstance(value, str) for section in facts.values() for value in section.values())

    def test_it_starts_again_after_a_crash(self, target):
        with pytest.raises(RuntimeError, match="crash of the caller"), target.start():
            raise RuntimeError("crash of the caller")
        with target.start() as instance:
            assert instance.run([instance.probe, "exit", "0"], timeout_s=60).exit_status == 0

    def test_two_instances_do_not_see_each_other_s_files(self, target, tmp_path):
        source = tmp_path / "secret"
        source.write_bytes(b"secret")
        with target.start() as one, target.start() as other:
            path = one.put(source, "secret")
            assert other.run([other.probe, "cat", path.replace("secret", "other")], timeout_s=60).stdout == b""

    def test_nothing_is_left_in_the_scratch_folder(self, target, lab):
        with target.start() as instance:
            instance.run([instance.probe, "exit", "0"], timeout_s=60)
        assert [path.name for path in lab.scratch.iterdir() if not path.name.startswith("initramfs-")] == []
        assert descendants_of(lab.scratch) == []


class TestHost(Contract):
    kind = "host"


class TestCommand(Contract):
    kind = "command"
    settings = {"command": ("env", "FOLDER={dir}", "{argv}")}  # noqa: RUF012


class TestBwrap(Contract):
    kind = "bwrap"


class TestGvisor(Contract):
    kind = "gvisor"


@pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed: apt-get install qemu-system-x86"
)
class TestQemu(Contract):
    kind = "qemu"


class TestFake(Contract):
    kind = "fake"

    @pytest.fixture
    def target(self) -> Target:
        return Fake(_like_the_probe, facts=_FACTS)


_FACTS = {
    "machine": {"execution": "native", "architecture": os.uname().machine},
    "system": {"kind": "fake", "kernel": "none"},
}


def _like_the_probe(argv: Sequence[str], stdin: bytes, files: dict[str, bytes]) -> Completed:
    """The probe's self-tests, written by hand."""
    command = list(argv)
    if command[:2] == ["/probe", "flood"]:
        raise TargetFailed("printed more than 16 MiB")
    ends = {
        "cat": (0, stdin if len(command) == 2 else files.get(command[-1], b""), b"", 1),
        "exit": (int(command[-1]) if command[-1].isdigit() else 0, b"", b"", 1),
        "crash": (-signal.SIGSEGV, b"", b"", 1),
        "hang": (0, b"", b"", 10**18),
        "nonsense": (64, b"", b"probe bench NAME", 1),
    }
    unknown = (127, b"", b"No such file", 1)
    status, out, err, elapsed_ns = ends.get(command[1], unknown) if command[0] == "/probe" else unknown
    return Completed(exit_status=status, stdout=out, stderr=err, elapsed_ns=elapsed_ns)


# ---- what is particular to one kind ----


def make(kind: str, lab, **settings: Any) -> Target:
    loaded = KINDS.load(kind)
    return loaded(loaded.Settings(**settings), lab)


def test_a_wrapper_that_is_not_installed_is_unsupported(lab):
    with pytest.raises(NotSupported, match="no-such-wrapper"):
        make("command", lab, command=("no-such-wrapper", "{argv}")).facts()


def test_a_sandbox_that_is_not_allowed_to_start_is_unsupported_in_its_own_words(lab):
    target = make("command", lab, command=("sh", "-c", "echo no rights >&2; exit 1", "{argv}"))
    with pytest.raises(NotSupported, match="no command runs in it here: no rights"):
        target.facts()


def test_a_wrapper_without_argv_is_refused():
    with pytest.raises(UsageError, match=r"exactly one of them '\{argv\}'"):
        KINDS.load("command").Settings(command=("env",))


def test_tools_that_are_missing_are_unsupported_with_the_way_to_get_them(lab, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    for kind, package in (("bwrap", "bubblewrap"), ("gvisor", "runsc"), ("qemu", "qemu-system-x86")):
        with pytest.raises(NotSupported) as caught:
            make(kind, lab).facts()
        assert package in caught.value.missing


@pytest.mark.skipif(not shutil.which("runsc"), reason="runsc is not installed")
def test_a_platform_that_runsc_does_not_know_fails_in_runsc_s_own_words(lab):
    target = make("gvisor", lab, platform="systrap")
    try:
        facts = target.facts()
    except TargetFailed as error:
        assert "platform" in str(error)
    else:
        assert facts["system"]["platform"] == "systrap"


def test_what_the_wrapper_started_and_left_is_ended_with_the_invocation(lab):
    """The child of `hang` leaves for a session of its own; the wrapper ends at once and leaves it behind."""
    target = make("command", lab, command=("sh", "-c", '"$@" & exit 0', "sh", "{argv}"))
    with target.start() as instance:
        assert instance.run([instance.probe, "hang"], timeout_s=30).exit_status == 0
        assert descendants_of(lab.scratch) == []
