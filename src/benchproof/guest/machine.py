"""A QEMU machine: its command line, its process, and whether KVM really boots a guest here."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from benchproof.errors import NotSupported, StartFailed, TargetFailed
from benchproof.guest import kvm
from benchproof.guest.architecture import X86_64
from benchproof.guest.disk import DEVICE
from benchproof.guest.hardware import CARD, Hardware
from benchproof.guest.monitor import Monitor
from benchproof.guest.wire import Wire
from benchproof.process import Supervised, Tail

_FREEZES_ITSELF = ("-action", "panic=pause")  # by its pvpanic device
_EXACT_KERNEL_ARGUMENTS = "norandmaps random.trust_cpu=off BENCHPROOF_EXACT=1"
_ROOT_ARGUMENT = "BENCHPROOF_ROOT="
_NETWORK_ARGUMENT = "BENCHPROOF_NETWORK=1"  # for the agent: see configure_card in agent.c
_DRIVERS = "virtio_pci and virtio_blk built into the kernel, or a kernel of Debian's: debian:PACKAGE"
_CARD_DRIVERS = "virtio_pci and virtio_net built into the kernel, or a kernel of Debian's: debian:PACKAGE"
_CONSOLE_FLOOD_BYTES = 64 << 20
_LAST_WORDS = re.compile(rb"Kernel panic[^\r\n]*|Out of memory[^\r\n]*|Oops[^\r\n]*|probe: [^\r\n]*")
_COMPLAINT = re.compile(rb"^qemu-(?![^\r\n]*: warning: )[^\r\n]+", re.MULTILINE)
_BLOCK_NODE = re.compile(rb'-blockdev {"node-name": "(\w+)".*?}: ')

Log = Callable[[str, bytes], None]


class Machine(Hardware, frozen=True, kw_only=True):
    """A machine with Linux on it; together with kernel and initramfs, all that makes the guest.

    Where it is exact, the guest freezes itself: see exact.py.
    """

    probe: ClassVar[str] = "/init"  # where the probe lies in the initramfs

    kernel: Path
    initramfs: Path
    kernel_arguments: str = X86_64.kernel_arguments
    root: str = ""  # kind of the file system that the guest goes into: see enter_root in agent.c; empty: the initramfs

    def command(
        self,
        *,
        wire: str,
        monitor: str,
        ram: str = "",
        restored: bool = False,
        request: str = "",
        layers: Sequence[Path] = (),
    ) -> list[str]:
        """The command line. `wire` and `monitor` are descriptors of sockets; `ram` is a file that holds the memory.

        A machine that is `restored` maps that file copy-on-write and waits for its state. An exact one finds its work
        in the file `request`. Its disk has `layers`, the last of which is written to; without any it has no disk.
        """
        memory = (
            f"memory-backend-file,id=ram,size={self.memory_mib}M,mem-path={ram},share={'off' if restored else 'on'}"
        )
        options = {
            "-kernel": str(self.kernel),
            "-initrd": str(self.initramfs),
            "-append": " ".join(filter(None, (self.kernel_arguments, *self._arguments_of_ours()))),
        }
        if ram:
            options["-object"] = memory
        if request:
            options["-fw_cfg"] = f"name=opt/benchproof/command,file={request}"
        return [
            *self.words(
                console="file,path=/dev/stdout",
                second=f"socket,fd={wire}",
                monitor=f"socket,fd={monitor}",
                machine_options=",memory-backend=ram" if ram else "",
            ),
            *("-no-reboot", *(_FREEZES_ITSELF if self.exact else ())),
            *(word for option in options.items() for word in option),
            *(self.disk.options(layers) if self.disk and layers else ()),
            *(self.below.read_only() if self.below else ()),
            *(("-incoming", "defer") if restored else ()),
        ]

    def _arguments_of_ours(self) -> tuple[str, ...]:
        root = f"{_ROOT_ARGUMENT}{self.root}" if self.root else ""
        return _EXACT_KERNEL_ARGUMENTS if self.exact else "", _NETWORK_ARGUMENT if self.open_network else "", root

    def described(self) -> Machine:
        """The same machine without the paths of this host, for the envelope; the files are there by their hashes."""
        disks = {"disk": self.disk and self.disk.described(), "below": self.below and self.below.described()}
        return msgspec.structs.replace(self, kernel=Path("KERNEL"), initramfs=Path("INITRAMFS"), **disks)


class Guest:
    """A QEMU that runs: the wire to its agent, its monitor, and what it says of itself."""

    def __init__(self, program: Supervised, wire: socket.socket, monitor: socket.socket, requested_ns: int) -> None:
        self.program = program
        self.requested_ns = requested_ns  # on the monotonic clock
        self.stages: dict[str, int] = {}  # of a clone: how long each took, in ns
        self.phases: dict[str, int] = {}  # of a boot: when each ended, in ns since the request
        self.wire = Wire(wire)
        self.monitor = Monitor(monitor)
        self.console = Tail(program.stdout)
        self.complaints = Tail(program.stderr)


@contextlib.contextmanager
def launched(
    machine: Machine,
    *,
    supervisor: Path,
    log: Log,
    ram: str = "",
    restored: bool = False,
    request: str = "",
    layers: Sequence[Path] = (),
    options: Sequence[str] = (),
) -> Iterator[Guest]:
    """Start QEMU; leaving the context ends it. A TargetFailed that passes gets the guest's last words.

    `options` are more words for QEMU that change nothing in the guest.
    """
    requested_ns = time.monotonic_ns()
    with contextlib.ExitStack() as stack:
        ours, theirs = zip(*(map(stack.enter_context, socket.socketpair()) for _ in range(2)), strict=True)
        wire, monitor = (str(each.fileno()) for each in theirs)
        argv = machine.command(wire=wire, monitor=monitor, ram=ram, restored=restored, request=request, layers=layers)
        argv += options
        argv[0] = shutil.which(argv[0]) or argv[0]  # by the PATH of our user, as its version is asked and it is hashed
        descriptors = [each.fileno() for each in theirs]
        program = stack.enter_context(Supervised(argv, supervisor=supervisor, pass_fds=descriptors, cpus=machine.cpus))
        for each in theirs:
            each.close()
        guest = Guest(program, ours[0], ours[1], requested_ns)
        try:
            guest.monitor.pin(machine.cpus, vcpus=machine.vcpus)
            yield guest
            _refuse_crash(program)
        except TargetFailed as error:
            program.stop()
            raise type(error)(_with_last_words(str(error), guest)) from error
        finally:
            program.stop()
            log("console", guest.console.text())
            if complaints := guest.complaints.text():  # also waits for its reader, before the stream is closed
                log("qemu", complaints)
    if guest.console.size_bytes > _CONSOLE_FLOOD_BYTES:
        raise TargetFailed(f"the guest flooded its console with {guest.console.size_bytes >> 20} MiB")


@contextlib.contextmanager
def boot(
    machine: Machine, *, supervisor: Path, timeout_s: float, log: Log, ram: str = "", layers: Sequence[Path] = ()
) -> Iterator[Guest]:
    """Boot a guest until its agent serves; leaving the context ends it. Raises StartFailed with its last words.

    Raises NotSupported if the guest is to have a disk or a network and does not find it.
    """
    with launched(machine, supervisor=supervisor, log=log, ram=ram, layers=layers) as guest:
        _await_agent(guest, timeout_s)
        if layers and guest.wire.run([machine.probe, "cat", DEVICE, "0"], timeout_s=timeout_s).exit_status:
            raise NotSupported(f"this kernel has no driver for the guest's disk: no {DEVICE}", missing=_DRIVERS)
        if machine.open_network and guest.wire.run([machine.probe, "cat", CARD, "0"], timeout_s=timeout_s).exit_status:
            raise NotSupported(
                f"this kernel has no driver for the guest's network card: no {CARD}", missing=_CARD_DRIVERS
            )
        yield guest


def _await_agent(guest: Guest, timeout_s: float) -> None:
    try:
        init_began_ns = guest.wire.await_hello(timeout_s=timeout_s)
        ends_ns = {"firmware": guest.console.first_ns, "kernel": init_began_ns, "init": time.monotonic_ns()}
        guest.wire.freshen(timeout_s=timeout_s)
        ends_ns["ready"] = time.monotonic_ns()
        guest.phases = {phase: end_ns - guest.requested_ns for phase, end_ns in ends_ns.items()}
    except TargetFailed as error:
        status = guest.program.wait(0.2)  # a machine that ended closes the wire a little before it can be waited for
        late = f"did not serve within {timeout_s:g} s ({error})"
        raise StartFailed(
            f"the guest {late if status is None else f'ended before it served (exit status {status})'}"
        ) from error


def _refuse_crash(program: Supervised) -> None:
    """A number and then a crash is a crash."""
    if program.wait(0) is not None:
        raise TargetFailed("the guest ended by itself")


def _with_last_words(message: str, guest: Guest) -> str:
    found = _LAST_WORDS.search(guest.console.text()) or _COMPLAINT.search(guest.complaints.text())
    words = _BLOCK_NODE.sub(rb"\1 of the disk: ", found[0]) if found else b""
    return f"{message}: {words[:200].decode(errors='replace').strip()}" if words else message


def kvm_verdict(machine: Machine, *, supervisor: Path, cache: Path) -> str:
    """Empty if KVM boots this very guest, else why not."""
    command = machine.described().command(wire="", monitor="")
    return kvm.verdict(
        machine, image=machine.kernel, command=command, boots=lambda: _try_kvm(machine, supervisor), cache=cache
    )


def _try_kvm(machine: Machine, supervisor: Path) -> str:
    try:
        with boot(machine.with_kvm(), supervisor=supervisor, timeout_s=kvm.TIMEOUT_S, log=lambda *_: None):
            return ""
    except TargetFailed as error:
        return str(error).partition(" (")[0]
