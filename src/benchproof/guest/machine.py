"""A QEMU machine: its command line, its process, and whether KVM really boots a guest here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from benchproof.errors import NotSupported, StartFailed, TargetFailed
from benchproof.guest.wire import Wire
from benchproof.model import Frozen
from benchproof.process import Supervised, Tail

EMULATOR = "qemu-system-x86_64"
# The console is for the kernel's own words. The rest shortens the start: no self-tests of crypto code, no timer
# calibration against a clock that emulation makes slow. An oops is a panic, and a panic ends QEMU (-no-reboot).
KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet oops=panic panic=-1 nokaslr random.trust_cpu=on no_timer_check lpj=10000000 cryptomgr.notests"
)
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_KVM_TIMEOUT_S = 10.0
_CONSOLE_FLOOD_BYTES = 64 << 20
_LAST_WORDS = re.compile(rb"Kernel panic[^\r\n]*|Out of memory[^\r\n]*|Oops[^\r\n]*|probe: [^\r\n]*")


class Machine(Frozen, frozen=True):
    """What is plugged together; together with kernel and initramfs, all that makes the guest."""

    kernel: Path
    initramfs: Path
    accel: str  # kvm | tcg
    cpu: str
    vcpus: int
    memory_mib: int
    machine: str = "pc,acpi=off"
    kernel_arguments: str = KERNEL_ARGUMENTS

    def command(self, wire: str) -> list[str]:
        """The command line; `wire` is the descriptor of the socket to the agent."""
        return [
            *(
                EMULATOR,
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
                "-sandbox",
                _SANDBOX,
            ),
            *("-accel", self.accel, "-machine", self.machine, "-cpu", self.cpu),
            *("-smp", str(self.vcpus), "-m", str(self.memory_mib)),
            *("-kernel", str(self.kernel), "-initrd", str(self.initramfs), "-append", self.kernel_arguments),
            *("-chardev", "file,id=console,path=/dev/stdout", "-serial", "chardev:console"),
            *("-chardev", f"socket,id=wire,fd={wire}", "-serial", "chardev:wire"),
        ]

    def with_kvm(self) -> Machine:
        """The same machine, run by KVM on the host's own processor."""
        return msgspec.structs.replace(self, accel="kvm", cpu="host")

    def described(self) -> Machine:
        """The same machine without the paths of this host, for the envelope; the files are there by their hashes."""
        return msgspec.structs.replace(self, kernel=Path("KERNEL"), initramfs=Path("INITRAMFS"))


@contextlib.contextmanager
def boot(machine: Machine, *, supervisor: Path, timeout_s: float, log: Callable[[str, bytes], None]) -> Iterator[Wire]:
    """Boot a guest until its agent serves; leaving the context ends it. Raises StartFailed with its last words."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = machine.command(str(theirs.fileno()))
        with Supervised(argv, supervisor=supervisor, pass_fds=[theirs.fileno()]) as program:
            theirs.close()
            console, complaints = Tail(program.stdout), Tail(program.stderr)
            wire = Wire(ours)
            try:
                _await_agent(wire, program, timeout_s)
                yield wire
                _refuse_crash(program)
            except TargetFailed as error:
                program.stop()
                raise type(error)(_with_last_words(str(error), console, complaints)) from error
            finally:
                program.stop()
                log("console", console.text())
                if complaints.size_bytes:
                    log("qemu", complaints.text())
    if console.size_bytes > _CONSOLE_FLOOD_BYTES:
        raise TargetFailed(f"the guest flooded its console with {console.size_bytes >> 20} MiB")


def _await_agent(wire: Wire, program: Supervised, timeout_s: float) -> None:
    try:
        wire.await_hello(timeout_s=timeout_s)
    except TargetFailed as error:
        status = program.wait(0.2)  # a machine that ended closes the wire a little before it can be waited for
        how = (
            f"did not serve within {timeout_s:g} s ({error})"
            if status is None
            else f"ended before it served (exit status {status})"
        )
        raise StartFailed(f"the guest {how}") from error


def _refuse_crash(program: Supervised) -> None:
    """A number and then a crash is a crash."""
    if program.wait(0) is not None:
        raise TargetFailed("the guest ended by itself")


def _with_last_words(message: str, console: Tail, complaints: Tail) -> str:
    found = _LAST_WORDS.search(console.text()) or re.search(rb"qemu[^\r\n]+", complaints.text())
    return f"{message}: {found[0][:200].decode(errors='replace').strip()}" if found else message


def emulator_version() -> str:
    """First line of `--version`. Raises NotSupported if QEMU is not installed."""
    if not shutil.which(EMULATOR):
        raise NotSupported(f"{EMULATOR} is not installed", missing="apt-get install qemu-system-x86")
    return subprocess.run(
        [EMULATOR, "--version"], capture_output=True, text=True, check=True, timeout=30
    ).stdout.splitlines()[0]


def kvm_verdict(machine: Machine, *, supervisor: Path, cache: Path) -> str:
    """Empty if KVM boots this very guest, else why not. `/dev/kvm` can exist and still never boot anything.

    Tried once per boot of this host, emulator and kernel, under a deadline; the verdict is kept in the cache.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be opened" if Path("/dev/kvm").exists() else "there is no /dev/kvm"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text()
    kernel = machine.kernel.stat()
    key = hashlib.sha256(
        f"{boot_id}{emulator_version()}{machine.command('')}{kernel.st_size}{kernel.st_mtime_ns}".encode()
    ).hexdigest()
    verdict = cache / "kvm" / f"{key}.json"
    if not verdict.exists():
        verdict.parent.mkdir(parents=True, exist_ok=True)
        _replace(verdict, msgspec.json.encode(_try_kvm(machine, supervisor)))
    return msgspec.json.decode(verdict.read_bytes(), type=str)


def _try_kvm(machine: Machine, supervisor: Path) -> str:
    try:
        with boot(
            machine.with_kvm(),
            supervisor=supervisor,
            timeout_s=_KVM_TIMEOUT_S,
            log=lambda _name, _content: None,
        ):
            return ""
    except TargetFailed as error:
        return f"/dev/kvm did not boot this guest within {_KVM_TIMEOUT_S:g} s: {str(error).partition(' (')[0]}"


def _replace(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).rename(path)
