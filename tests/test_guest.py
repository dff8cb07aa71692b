"""Guests that misbehave: real QEMU, kernels written for the purpose, and a wire that is not fooled."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchproof import plan, process, runner
from benchproof.errors import LabInvalid, NotSupported, StartFailed, TargetFailed, UsageError
from benchproof.guest import initramfs, kernels, kvm, machine
from benchproof.guest.wire import Wire
from benchproof.model import Failed
from benchproof.quantities import Duration
from benchproof.store import bundle
from benchproof.targets import KINDS
from benchproof.verify import verify
from conftest import why_unusable

# ---- the wire ----


def frame(kind: bytes, payload: bytes) -> bytes:
    head = b"BPw1" + kind + struct.pack("<I", len(payload))
    return head + payload + struct.pack("<I", zlib.crc32(head[4:] + payload))


HELLO = frame(b"H", b"benchproof-agent 1")
EXIT_0 = frame(b"X", struct.pack("<i", 0))


class Guest:
    """Answers with fixed bytes, whatever it is asked, then closes or stays silent."""

    def __init__(self, answer: bytes, *, close: bool = True) -> None:
        self.ours, self.theirs = socket.socketpair()
        threading.Thread(target=self._say, args=(answer, close), daemon=True).start()

    def _say(self, answer: bytes, close: object) -> None:
        with contextlib.suppress(OSError):  # the host may have hung up
            self.theirs.sendall(answer)
            if close:
                self.theirs.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Wire:
        return Wire(self.ours)

    def __exit__(self, *_: object) -> None:
        self.ours.close()
        self.theirs.close()


def test_a_good_answer_is_taken():
    with Guest(HELLO + frame(b"1", b"out") + frame(b"2", b"err") + frame(b"1", b"put") + EXIT_0) as wire:
        wire.await_hello(timeout_s=5)
        done = wire.run(["/x"], timeout_s=5)
    assert (done.exit_status, done.stdout, done.stderr) == (0, b"output", b"err")


LIES = {
    "a wrong magic": (b"BPw2" + EXIT_0[4:], "no frame"),
    "a wrong length": (EXIT_0[:5] + struct.pack("<I", 2**31) + EXIT_0[9:], "no frame"),
    "a wrong checksum": (EXIT_0[:-1] + bytes([EXIT_0[-1] ^ 1]), "checksum does not fit"),
    "a cut frame": (EXIT_0[:-2], "gone"),
    "nothing": (b"", "gone"),
    "an unknown type": (frame(b"?", b""), "out of turn"),
    "a short exit status": (frame(b"X", b"\0"), "out of turn"),
    "an error in words": (frame(b"E", b"flood: more than 16 MiB"), "refused: flood"),
    "kernel log lines": (b"[    1.0] Kernel panic - not syncing", "no frame"),
}


def test_a_file_without_end_is_not_taken_in():
    with pytest.raises(TargetFailed, match="more than 33 MiB"), Guest(frame(b"1", b"f" * 65536) * 600) as wire:
        wire.get("/x", timeout_s=60)


@pytest.mark.parametrize(("answer", "words"), LIES.values(), ids=LIES)
def test_a_lying_guest_is_a_failure(answer, words):
    with pytest.raises(TargetFailed, match=words), Guest(answer) as wire:
        wire.run(["/x"], timeout_s=5)


def test_a_silent_guest_is_a_failure_and_no_hang():
    with pytest.raises(TargetFailed, match="fell silent"), Guest(b"", close=False) as wire:
        wire.run(["/x"], timeout_s=0.2)


def test_a_flooding_guest_is_cut_off():
    with pytest.raises(TargetFailed, match="more than 33 MiB"), Guest(frame(b"1", b"f" * 65536) * 600) as wire:
        wire.run(["/x"], timeout_s=60)


def test_a_guest_that_takes_nothing_is_a_failure_and_no_hang():
    with pytest.raises(TargetFailed, match=r"does not take|silent"), Guest(b"", close=False) as wire:
        wire.put("/x", b"x" * 10_000_000, timeout_s=0.3)


class Attentive:
    """Answers as `says` tells it: a frame that came -> the bytes that go back."""

    def __init__(self, says: Callable[[bytes, bytes], bytes]) -> None:
        self.ours, self.theirs = socket.socketpair()
        threading.Thread(target=self._serve, args=(says,), daemon=True).start()

    def _serve(self, says: Callable[[bytes, bytes], bytes]) -> None:
        with contextlib.suppress(OSError), self.theirs.makefile("rb") as coming:
            while head := coming.read(9):
                payload = coming.read(struct.unpack("<I", head[5:])[0])
                coming.read(4)
                self.theirs.sendall(says(head[4:5], payload))

    def __enter__(self) -> Wire:
        return Wire(self.ours)

    def __exit__(self, *_: object) -> None:
        for each in (self.ours, self.theirs):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


BESIDE_0 = frame(b"x", struct.pack("<i", 0))


def test_what_runs_beside_a_command_is_answered_before_it_and_apart_from_it():
    def says(kind: bytes, payload: bytes) -> bytes:
        """The long command ends when the short one has."""
        if kind == b"d":
            return frame(b"a", b"")
        return b"" if kind == b"R" else frame(b"3", b"short") + BESIDE_0 + frame(b"1", b"long") + EXIT_0

    with Attentive(says) as wire, ThreadPoolExecutor(1) as other:
        long = other.submit(wire.run, ["/long"], timeout_s=30)
        short = wire.run_beside(["/short"], stdin=b"x" * 3000, timeout_s=30)
        assert (short.stdout, long.result().stdout) == (b"short", b"long")


def test_an_answer_beside_a_command_that_nobody_waits_for_is_a_failure():
    with pytest.raises(TargetFailed, match="'3' out of turn"), Guest(frame(b"3", b"x") + EXIT_0) as wire:
        wire.run(["/x"], timeout_s=5)


def test_silence_beside_a_command_ends_neither_the_command_nor_is_a_late_answer_taken():
    late = threading.Event()

    def says(kind: bytes, payload: bytes) -> bytes:
        if kind == b"R":
            late.wait(30)
            return frame(b"3", b"late") + BESIDE_0 + EXIT_0
        return b""

    with Attentive(says) as wire, ThreadPoolExecutor(1) as other:
        long = other.submit(wire.run, ["/long"], timeout_s=30)
        with pytest.raises(TargetFailed, match="fell silent"):
            wire.run_beside(["/short"], timeout_s=0.2)
        with pytest.raises(TargetFailed, match="any more: the guest fell silent"):
            wire.run_beside(["/short"], timeout_s=30)
        late.set()
        assert long.result().exit_status == 0


def test_a_real_guest_does_a_short_command_beside_one_that_never_ends(lab):
    if reason := why_unusable("qemu"):
        pytest.skip(reason)
    kind = KINDS.load("qemu")
    target = kind(kind.Settings(accel="tcg"), lab)
    ended = pytest.raises(TargetFailed, match="ended by itself")  # by us, and this is how it is told
    with ended, target.start() as guest, ThreadPoolExecutor(1) as other:
        assert guest.run_beside([guest.probe, "cat"], stdin=b"alone", timeout_s=60).stdout == b"alone"
        endless = other.submit(guest.run, [guest.probe, "idle"], timeout_s=300)
        try:
            for size in (10, 3000):
                assert guest.run_beside(guest.cat, stdin=b"x" * size, timeout_s=60).stdout == b"x" * size
            assert guest.run_beside([guest.probe, "exit", "7"], timeout_s=60).exit_status == 7
            with pytest.raises(TargetFailed, match="refused: flood"):
                guest.run_beside([guest.probe, "flood", str(17 << 20)], timeout_s=60)
            assert guest.run_beside(guest.cat, stdin=b"after", timeout_s=60).stdout == b"after"
            assert not endless.done()
        finally:
            guest.abort()
        assert isinstance(endless.exception(), TargetFailed)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_whatever_crash_the_wire(noise):
    with Guest(noise) as wire, pytest.raises(TargetFailed):
        wire.run(["/x"], timeout_s=5)


# ---- kernels and initramfs ----


def test_the_initramfs_is_one_that_cpio_reads(tmp_path):
    archive = initramfs.build(b"probe")
    assert archive == initramfs.build(b"probe")
    assert archive.startswith(b"070701")
    assert len(archive) % 4 == 0
    names = [name for name in (b"dev", b"dev/console", b"init", b"TRAILER!!!") if name + b"\0" in archive]
    assert len(names) == 4


@pytest.mark.parametrize("setting", ["/no/such/kernel", "/etc"])
def test_a_kernel_that_is_no_file_is_refused_before_anything_runs(setting):
    with pytest.raises(
        UsageError, match=f"kernel: expected a kernel image.*found (no such file|a folder): '{setting}'"
    ):
        KINDS.load("qemu").Settings(kernel=setting).refuse_missing()


def test_an_image_that_is_no_kernel_is_unsupported_in_words(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"not a kernel" * 1000)
    with pytest.raises(NotSupported, match="neither an ELF file nor a bzImage"):
        kernels.find(str(image), tmp_path)


@pytest.mark.parametrize("name", ["debian:no-such-package-at-all", "debian:../../etc/passwd", "debian:--help"])
def test_a_package_that_cannot_be_fetched_is_unsupported(name, tmp_path):
    with pytest.raises(NotSupported):
        kernels.find(name, tmp_path)
    assert list((tmp_path / "kernels").glob("*")) == []


# ---- guests that boot badly ----

needs_qemu = pytest.mark.skipif("not __import__('shutil').which('qemu-system-x86_64')", reason="QEMU is not installed")

START = """
.section .note.Xen, "a", @note
.align 4
.long 4, 4, 18
.asciz "Xen"
.long _start
.text
.globl _start
_start: cli
"""
SAY = "mov ${byte}, %al\n mov ${port}, %dx\n outb %al, %dx\n"
COM1, COM2 = 0x3F8, 0x2F8
FOR_EVER = "1: jmp 1b\n"


@pytest.fixture
def bare(tmp_path):
    """Assembles a kernel that does just this and that QEMU boots by its PVH note."""

    def build(code: str) -> Path:
        source, image = tmp_path / "kernel.S", tmp_path / "kernel.elf"
        source.write_text(START + code)
        script = tmp_path / "link.ld"
        script.write_text(
            "ENTRY(_start) PHDRS { text PT_LOAD FLAGS(7); note PT_NOTE FLAGS(4); } SECTIONS { . = 0x100000; "
            ".note.Xen : { *(.note.Xen) } :text :note .text : { *(.text) } :text /DISCARD/ : { *(*) } }"
        )
        flags = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", f"-Wl,-T,{script}"]
        subprocess.run(["cc", *flags, "-o", image, source], check=True)
        return image

    return build


def boot_error(lab, kernel: Path, seconds: float = 3) -> StartFailed:
    kind = KINDS.load("qemu")
    target = kind(kind.Settings(kernel=str(kernel), accel="tcg", start_timeout=Duration(seconds)), lab)
    with pytest.raises(StartFailed) as caught, target.start():
        pass
    return caught.value


@needs_qemu
def test_a_guest_that_never_boots_is_failed_within_its_time(lab, bare):
    assert "did not serve within 1 s" in str(boot_error(lab, bare(FOR_EVER), seconds=1))
    assert [name for name, _ in lab.logs] == ["console"]


@needs_qemu
def test_a_guest_that_floods_its_console_costs_bounded_memory_and_keeps_head_and_tail(lab, bare):
    letter = SAY.format(byte=ord("f"), port=COM1)
    boot_error(lab, bare(SAY.format(byte=ord("A"), port=COM1) + f"2: {letter} jmp 2b\n"))
    (console,) = (content for name, content in lab.logs if name == "console")
    assert console.startswith(b"A")
    assert len(console) <= (256 << 10) + 100


@needs_qemu
def test_a_guest_that_lies_on_the_wire_is_failed(lab, bare):
    lie = "".join(SAY.format(byte=byte, port=COM2) for byte in b"BPw1H\xff\xff\xff\xff")
    assert "no frame of the wire" in str(boot_error(lab, bare(lie + FOR_EVER), seconds=10))


@needs_qemu
def test_a_guest_that_resets_at_once_is_failed_and_not_waited_for(lab, bare):
    error = boot_error(lab, bare("mov $0xfe, %al\n mov $0x64, %dx\n outb %al, %dx\n" + FOR_EVER), seconds=60)
    assert "ended before it served" in str(error)


@needs_qemu
def test_a_panic_is_failed_with_the_kernel_s_own_words(lab):
    kind = KINDS.load("qemu")
    target = kind(kind.Settings(arguments="rdinit=/no/such/init init=/no/such/init", accel="tcg"), lab)
    with pytest.raises(StartFailed, match="Kernel panic - not syncing"), target.start():
        pass
    assert any(b"Kernel panic" in content for _, content in lab.logs)


@needs_qemu
def test_a_guest_that_crashes_in_the_middle_of_a_command_is_failed(lab):
    kind = KINDS.load("qemu")
    target = kind(kind.Settings(accel="tcg"), lab)
    with pytest.raises(TargetFailed, match="the guest is gone"), target.start() as instance:
        instance.run([instance.probe, "save", "/proc/sysrq-trigger"], stdin=b"b", timeout_s=60)  # it resets itself
    assert any(b"sysrq: Resetting" in content for _, content in lab.logs)


@needs_qemu
@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("<4>WARNING: CPU: 0 PID: 1 at kernel/planted.c:1 planted+0x1/0x2", TargetFailed),
        ("<1>BUG: unable to handle page fault for address: 0000000000000001", TargetFailed),
        ("<0>watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [init:1]", LabInvalid),
        ("<4>x[12]: segfault at 0 ip 0000000000000000 sp 00007ffd00000000 error 14", None),
        ("<4>planted, and no complaint", None),
    ],
)
def test_a_right_answer_beside_a_complaint_of_the_kernel_is_none(lab, line, error):
    kind = KINDS.load("qemu")
    target = kind(kind.Settings(accel="tcg"), lab)
    with contextlib.ExitStack() as stack:
        if error:
            stack.enter_context(pytest.raises(error, match=re.escape(line[3:40])))
        with target.start() as instance:
            done = instance.run([instance.probe, "save", "/dev/kmsg"], stdin=f"{line}\n".encode(), timeout_s=60)
            assert done.exit_status == 0
    assert line[3:].encode() in lab.logs[-1][1]


def test_a_number_followed_by_a_crash_is_a_crash(host_probe):
    with process.Supervised(["true"], supervisor=host_probe.path) as program:
        program.wait(30)
        with pytest.raises(TargetFailed, match="ended by itself"):
            machine._refuse_crash(program)


@needs_qemu
def test_kvm_that_is_demanded_and_does_not_work_is_unsupported(lab, bare, monkeypatch):
    monkeypatch.setattr(kvm, "TIMEOUT_S", 1.0)  # this image never serves, under whatever accelerator
    kind = KINDS.load("qemu")
    lab.cache = lab.scratch / "cache"
    target = kind(kind.Settings(kernel=str(bare(FOR_EVER)), accel="kvm"), lab)
    with pytest.raises(NotSupported, match="kvm") as caught:
        target.facts()
    assert "tcg" in caught.value.missing


@needs_qemu
def test_a_run_goes_on_without_the_guest_that_does_not_boot(tmp_path, bare, host_probe):
    broken = {"kind": "qemu", "kernel": str(bare(FOR_EVER)), "accel": "tcg", "start_timeout": "1 s"}
    document = {"targets": {"host": {}, "broken": broken}, "suites": {"s": {"benchmarks": ["syscall.getpid"]}}}
    wanted = plan.parse(document, where="test", quick=True, blocks=1)

    class Silent:
        def planned(self, invocations): ...
        def note(self, message): ...
        def done(self, block, target, benchmark, outcome): ...

    with runner.begin(wanted, tmp_path / "home", host_probe, Silent()) as session:
        results = list(session.run())
        session.close()
    run = bundle.load(session.out.path)
    assert [type(r.outcome).__name__ for r in run.results if r.target == "host"] == ["Passed"]
    (failed,) = (r for r in results if r.target == "broken")
    assert isinstance(failed.outcome, Failed)
    assert verify(run.path).problems == ()
