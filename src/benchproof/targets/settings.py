"""The keys of a plan that several kinds of targets share, with their checks, and what follows from them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from benchproof import pinning
from benchproof.errors import NotSupported, UsageError
from benchproof.guest import ports
from benchproof.guest.architecture import Architecture
from benchproof.guest.hardware import Hardware, refused_option
from benchproof.model import Frozen
from benchproof.protocol import faults, grammar
from benchproof.quantities import Duration, Size

_SMALLEST_BYTES, _LARGEST_BYTES = 1 << 20, 1 << 42


class Pinned(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`cpus`: the host's CPUs that the target is confined to, such as `0,1` or `2-5`; empty: all that we may use."""

    cpus: str = ""

    def __post_init__(self) -> None:
        pinning.parse(self.cpus)

    @property
    def cpu_numbers(self) -> tuple[int, ...]:
        """Of the host, in the order of the plan; none: not pinned."""
        return pinning.parse(self.cpus)

    def refuse_missing(self) -> None:
        """Raises UsageError for what this machine does not have. A plan that was run may be read elsewhere."""
        pinning.refuse_missing(self.cpu_numbers)


class Plugged(Pinned, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The machine that QEMU plays. Empty: what is usual for the architecture; `accel`: auto tries KVM.

    `emulator`: a `qemu-system-*`, or its path; `machine` and `cpu` as its options of that name take them; `options`:
    more words for it; `network`: a card, with nobody behind it, or "host" and all that the host reaches. Where as many
    `cpus` are given as `vcpus`, each has its own.
    """

    vcpus: int = 1
    memory: Size = Size(256 << 20)
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    emulator: str = ""
    machine: str = ""
    cpu: str = ""
    options: tuple[str, ...] = ()
    network: bool | Literal["none", "host"] = False
    exact: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.vcpus <= 255:
            raise UsageError(f"vcpus: expected 1 to 255, found {self.vcpus}")
        if not _SMALLEST_BYTES <= self.memory <= _LARGEST_BYTES:
            raise UsageError(f"memory: expected 1 MiB to 4 TiB, found {self.memory / 2**20:g} MiB")
        if self.exact and self.vcpus != 1:
            raise UsageError("exact: expected vcpus = 1, a count is not exact otherwise")
        if self.exact and self.accel == "kvm":
            raise UsageError('exact: expected accel = "tcg" (or none), found "kvm", which cannot count instructions')
        if self.exact and self.has_card:
            raise UsageError("exact: expected no network, the host chooses when it answers")
        if trouble := refused_option(self.options):
            raise UsageError(f"options: {trouble}")

    def refuse_missing(self) -> None:
        super().refuse_missing()
        if os.sep in self.emulator and not shutil.which(self.emulator):
            raise UsageError(f"emulator: expected a program, found none: '{self.emulator}'")

    @property
    def has_card(self) -> bool:
        """Whether a network card is plugged in, whoever is behind it."""
        return self.network not in {False, "none"}

    def hardware(self, architecture: Architecture) -> Hardware:
        """The emulated machine that is asked for."""
        return Hardware(
            accel="tcg",
            cpu=self.cpu or architecture.cpu,
            vcpus=self.vcpus,
            memory_mib=int(self.memory) >> 20,
            machine=self.machine,
            architecture=architecture,
            options=self.options,
            network=self.has_card,
            open_network=self.network == "host",
            cpus=self.cpu_numbers,
            exact=self.exact,
        )

    def kvm_trouble(self, verdict: Callable[[], str]) -> str:
        """Why KVM is not used, which may be its `verdict` on this guest; empty if it is. Raises NotSupported."""
        if self.exact:
            return "exact mode counts the instructions of an emulated guest"
        if self.accel == "tcg":
            return 'the plan says accel = "tcg"'
        trouble = verdict()
        if trouble and self.accel == "kvm":
            raise NotSupported(trouble, missing='a host where KVM boots guests, or accel = "tcg" in the plan')
        return trouble


def refuse_unreadable(key: str, name: str) -> None:
    """Raises UsageError for a file that this user may not read, as kernels in /boot are on some systems."""
    if not os.access(name, os.R_OK):
        raise UsageError(
            f"{key}: expected a file that this user may read, found one that only others may: '{name}'; have it copied "
            "into a folder of yours and name that (benchproof never asks for more rights)"
        )


MACHINE = Plugged.__struct_fields__  # the keys of a plan that two targets on one machine share


class KernelSettings(Plugged, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`image`: whatever `-kernel` takes; `arguments`: its command line, to which `select` adds ours.

    `ends`: by the trailer (then it may go on), or it has to power off, or to end QEMU with `exit_status`. `linger`:
    how long it is listened to after the trailer. `timeout`: for a start to its end. `tolerate`: patterns of lines
    that are no faults. `build`: what reports say of it beside its name. `forward`: ports of the guest. The machine:
    see `Plugged`; docs/kernels.md has all of it.
    """

    image: str
    initrd: str = ""
    arguments: str = ""
    select: bool = True
    shared: bool = False
    grammar: str | dict[str, Any] = "benchproof"
    names: dict[str, str] = msgspec.field(default_factory=dict)
    ends: Literal["line", "power-off", "debug-exit"] = "line"
    exit_status: int = 33
    linger: Duration = Duration(0.05)
    timeout: Duration = Duration(60)
    tolerate: tuple[str, ...] = ()
    build: str = ""
    reboot: bool = False
    forward: tuple[ports.Forward, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        grammar.of(self.grammar)
        grammar.refuse_bad_names(self.names)
        try:
            faults.find(b"", self.tolerate)
        except UsageError as error:
            raise UsageError(f"tolerate: {error}") from error
        if not 0 <= self.exit_status <= 255:
            raise UsageError(f"exit_status: expected 0 to 255, found {self.exit_status}")
        if not self.timeout > 0:
            raise UsageError("timeout: expected more than 0 s")
        if self.exact and self.forward:
            raise UsageError("exact: expected no forward, the host chooses when it answers")

    def refuse_missing(self) -> None:
        super().refuse_missing()
        for key, name in (("image", self.image), *((("initrd", self.initrd),) if self.initrd else ())):
            path = Path(name)
            if not path.is_file() or not path.stat().st_size:
                what = "a folder" if path.is_dir() else "an empty file" if path.is_file() else "no such file"
                raise UsageError(f"{key}: expected a file that QEMU can boot, found {what}: '{name}'")
            refuse_unreadable(key, name)
