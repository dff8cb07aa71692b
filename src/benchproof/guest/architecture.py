"""How QEMU plays a machine of each architecture, and what the guest calls its devices there."""

from __future__ import annotations

from pathlib import PurePath

import msgspec

from benchproof.model import Frozen

# The console is for the kernel's own words, its warnings too (what is less urgent would slow the start); an early one,
# ahead of `quiet`, tells when the kernel begins. The rest shortens the start: no self-tests of crypto code. An oops
# is a panic, and a panic ends QEMU (-no-reboot).
_EVERYWHERE = "quiet loglevel=5 oops=panic panic=-1 nokaslr random.trust_cpu=on"
_PCI_SERIAL = ("-device", "pci-serial,chardev=wire")


class Architecture(Frozen, frozen=True, kw_only=True):
    """One row of the table below."""

    name: str  # as `uname -m` says it
    emulator: str
    package: str  # Debian's, that brings the emulator
    machine: str
    cpu: str  # under emulation
    wire: tuple[str, ...]  # plugs the chardev `wire`, the second serial port
    kernel_arguments: str  # for a Linux kernel
    debug_exit: tuple[str, ...] = ()  # plugs what a guest ends QEMU by, with a status of its own
    freezes: bool = True  # a clone of a frozen guest goes on


X86_64 = Architecture(
    name="x86_64",
    emulator="qemu-system-x86_64",
    package="qemu-system-x86",
    machine="pc",  # with ACPI: its clocks are the reference without which the TSC is often not usable
    cpu="max",
    wire=("-serial", "chardev:wire"),
    # no timer calibration against a clock that emulation makes slow
    kernel_arguments=(
        f"console=ttyS0 earlyprintk=ttyS0,115200 {_EVERYWHERE} no_timer_check lpj=10000000 cryptomgr.notests"
    ),
    debug_exit=("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
)
AARCH64 = Architecture(
    name="aarch64",
    emulator="qemu-system-aarch64",
    package="qemu-system-arm",
    machine="virt,gic-version=max",  # version 2 of the interrupt controller ends at 8 processors
    cpu="max,pauth-impdef=on",  # the architected algorithm of pointer authentication makes emulation 4 times slower
    wire=_PCI_SERIAL,  # the machine has one serial port of its own, a PL011
    kernel_arguments=f"console=ttyAMA0 earlycon {_EVERYWHERE} cryptomgr.notests BENCHPROOF_WIRE=/dev/ttyS0",
)
RISCV64 = Architecture(
    name="riscv64",
    emulator="qemu-system-riscv64",
    package="qemu-system-misc opensbi",
    freezes=False,  # QEMU 7.2: the timer of a clone never fires
    machine="virt",
    cpu="rv64",
    wire=_PCI_SERIAL,
    kernel_arguments=f"console=ttyS0 earlycon {_EVERYWHERE} cryptomgr.notests BENCHPROOF_WIRE=/dev/ttyS1",
)
_I386 = msgspec.structs.replace(X86_64, name="i386", emulator="qemu-system-i386")
_ARM = msgspec.structs.replace(AARCH64, name="arm", emulator="qemu-system-arm", machine="virt", cpu="max")
_RISCV32 = msgspec.structs.replace(RISCV64, name="riscv32", emulator="qemu-system-riscv32", cpu="rv32")
ARCHITECTURES = {each.name: each for each in (X86_64, AARCH64, RISCV64)}
_EMULATED = {each.emulator: each for each in (*ARCHITECTURES.values(), _I386, _ARM, _RISCV32)}
_PREFIX = "qemu-system-"


def emulated_by(program: str) -> Architecture:
    """What a `qemu-system-*`, by name or by path, plays. One that is not known plays its own default machine.

    Such a guest has the first serial port of that machine, and ends by itself or by what its plan's options plug in.
    """
    name = PurePath(program).name
    known = _EMULATED.get(name, _EMULATED.get(name.removesuffix("-microvm")))
    if known:
        return msgspec.structs.replace(known, emulator=program)
    return Architecture(
        name=name.removeprefix(_PREFIX),
        emulator=program,
        package="qemu-system",
        machine="",
        cpu="",
        wire=(),
        kernel_arguments="",
    )
