"""What the host plugs together for a guest, whatever is then booted on it: the section `machine` of an envelope.

Two systems compare only where all of this is the same. What is booted, and what it sees, is no part of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Self

import msgspec

from benchproof import pinning
from benchproof.errors import NotSupported
from benchproof.guest.architecture import X86_64, Architecture
from benchproof.guest.disk import Disk
from benchproof.model import Frozen

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
OVERSUBSCRIBED = "oversubscribed: functional only"
NETWORK = "network"  # as QEMU's monitor calls it
HOST_ADDRESS = "10.0.2.2"  # by which a guest with an open network reaches the host's 127.0.0.1
CARD = "/sys/class/net/eth0/address"  # in the guest
_CARD = f"virtio-net-pci,netdev={NETWORK}"
# One nanosecond of guest time is one guest instruction; idle time is skipped. Nothing in the machine is random, and
# nothing of the host's time reaches it.
_EXACT = {
    "-icount": "shift=0,sleep=off",
    "-rtc": "base=2026-01-01,clock=vm",
    "-seed": "1",
    "-device": "pvpanic",
}
# What is stated elsewhere in a plan, or what our own channels to QEMU and its supervision rest on.
_OURS = {
    "-accel": "accel",
    "-enable-kvm": "accel",
    "-machine": "machine",
    "-M": "machine",
    "-cpu": "cpu",
    "-smp": "vcpus",
    "-m": "memory",
    "-kernel": "the kernel's setting",
    "-initrd": "initrd",
    "-append": "arguments",
    "-icount": "exact",
    "-display": "",
    "-nographic": "",
    "-curses": "",
    "-serial": "",
    "-mon": "",
    "-monitor": "",
    "-qmp": "",
    "-sandbox": "",
    "-daemonize": "",
    "-incoming": "",
    "-runas": "",
    "-S": "",
    "-s": "",
}


class Hardware(Frozen, frozen=True, kw_only=True):
    """A machine without what is booted on it."""

    accel: str  # kvm | tcg
    cpu: str  # empty: the emulator's own choice
    vcpus: int
    memory_mib: int
    machine: str = ""  # empty: the usual one of the architecture
    architecture: Architecture = X86_64
    options: tuple[str, ...] = ()  # more words for QEMU, from the plan
    network: bool = False  # plugs a card; what is behind it is the guest alone, see ports.py
    open_network: bool = False  # behind the card is what this host reaches, and the host itself
    cpus: tuple[int, ...] = ()  # of the host, which QEMU may use; empty: all that we may
    exact: bool = False  # the guest's clock counts its instructions
    disk: Disk | None = None
    below: Disk | None = None  # another one, read only: what the first one's content lies above

    @property
    def machine_type(self) -> str:
        """As `-machine` takes it; empty for the emulator's own choice."""
        return self.machine or self.architecture.machine

    def words(
        self,
        *,
        console: str,
        second: str,
        monitor: str,
        machine_options: str = "",
    ) -> list[str]:
        """The command line but for what is booted and for the disk. The serial ports and the monitor are chardevs."""
        options = {
            "-display": "none",
            "-sandbox": SANDBOX,
            "-accel": self.accel + (",thread=single" if self.exact else ""),
            "-machine": self.machine_type + machine_options,
            "-cpu": self.cpu,
            "-smp": str(self.vcpus),
            "-m": str(self.memory_mib),
        }
        channels = {
            f"{console},id=console": ("-serial", "chardev:console"),
            f"{second},id=wire": self.architecture.wire,
            f"{monitor},id=monitor": ("-mon", "chardev=monitor,mode=control"),
        }
        return [
            *(self.architecture.emulator, "-nodefaults", "-no-user-config"),
            *(word for option in options.items() if option[1] for word in option),
            *(word for option in (_EXACT if self.exact else {}).items() for word in option),
            *(word for channel, use in channels.items() if use for word in ("-chardev", channel, *use)),
            *self.architecture.debug_exit,
            *self._network_words(),
            *self.options,
        ]

    def _network_words(self) -> tuple[str, ...]:
        if not self.network:
            return ()
        behind = "" if self.open_network else ",restrict=on"
        return ("-netdev", f"user,id={NETWORK}{behind}", "-device", _CARD)

    def with_kvm(self) -> Self:
        """The same machine, run by KVM on the host's own processor unless the plan names another."""
        usual = self.cpu == self.architecture.cpu
        return msgspec.structs.replace(self, accel="kvm", cpu="host" if usual else self.cpu)

    def facts(self, *, accel_reason: str) -> dict[str, str]:
        """The section `machine`. `accel_reason`: why it is emulated. Raises NotSupported if QEMU is not installed."""
        found = {
            "execution": self.accel,
            "emulator": emulator_version(self.architecture),
            "architecture": self.architecture.name,
            "accel": self.accel,
            "accel_reason": accel_reason if self.accel == "tcg" else "",
            "machine": self.machine_type or "the emulator's default",
            "cpu": self.cpu or "the emulator's default",
            "vcpus": str(self.vcpus),
            "memory_mib": str(self.memory_mib),
            "devices": "; ".join(self.devices()),
            "cpu_set": pinning.written(self.cpus),
            "cpu_set_label": OVERSUBSCRIBED if self.is_oversubscribed() else "",
        }
        return {fact: value for fact, value in found.items() if value}

    def devices(self) -> list[str]:
        """What the guest can see beyond the machine type, in the order in which it is plugged in."""
        found = (
            "serial port",
            "second serial port" if self.architecture.wire else "",
            *self.architecture.debug_exit[1:],
            "virtio-blk-pci" if self.disk else "",
            "virtio-blk-pci, read only" if self.below else "",
            _CARD.partition(",")[0] if self.network else "",
            _EXACT["-device"] if self.exact else "",
            " ".join(self.options),
        )
        return [device for device in found if device]

    def is_oversubscribed(self) -> bool:
        """Fewer of the host's CPUs than the guest has: it works, but says nothing of speed-up."""
        return len(self.cpus or os.sched_getaffinity(0)) < self.vcpus


def refused_option(options: Sequence[str]) -> str:
    """Why these words cannot be handed to QEMU; empty if they can."""
    for word in options:
        plain = word[1:] if word.startswith("--") else word
        if plain in _OURS:
            instead = f"it is stated by {_OURS[plain]}" if _OURS[plain] else "benchproof needs it for itself"
            return f"'{word}' is not to be given: {instead}"
    return ""


def emulator_version(architecture: Architecture = X86_64) -> str:
    """First line of `--version`. Raises NotSupported if QEMU is not installed, or does not answer."""
    if not shutil.which(architecture.emulator):
        missing = f"apt-get install {architecture.package}"
        raise NotSupported(f"{architecture.emulator} is not installed", missing=missing)
    try:
        done = subprocess.run(
            [architecture.emulator, "--version"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
        raise NotSupported(f"'{architecture.emulator} --version' does not answer: {error}") from error
    return (done.stdout.splitlines() or [""])[0]
