"""A Linux guest in QEMU: the probe alone, or a root on a disk. Each invocation is a clone or a cold boot."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from benchproof import probe
from benchproof.errors import LabInvalid, NotSupported, TargetFailed, UsageError
from benchproof.footprint import disk_bytes, footprint
from benchproof.guest import disk, exact, initramfs, kernels, modules, roots, snapshot
from benchproof.guest import machine as machines
from benchproof.guest.architecture import ARCHITECTURES, X86_64, Architecture
from benchproof.guest.hardware import HOST_ADDRESS, emulator_version
from benchproof.guest.wire import Refused
from benchproof.model import Clock, Completed, Facts, Footprint, Lab
from benchproof.quantities import Duration
from benchproof.targets.consoles import Log, heard
from benchproof.targets.host import with_authority
from benchproof.targets.observed import observe, seen_within
from benchproof.targets.settings import Plugged, refuse_unreadable

_PUT_TIMEOUT_S = 120.0
_LEAST_MEMORY_BYTES = 16 << 20
_NOT_EXACT = "exact = false in the plan"
_MEMORY, _IN_MEMORY = "memory", "/tmp"  # noqa: S108 - a path inside the guest
_WORKSPACE = "/work"  # of a guest with a root on its disk


class _GuestInstance:
    """A guest that runs. A command that runs out of time takes the guest with it."""

    clock: Clock = "target"
    probe = machines.Machine.probe
    cat = (machines.Machine.probe, "cat")

    def __init__(self, target: Qemu, guest: machines.Guest, ram: Path | None, chain: disk.Chain) -> None:
        self._target = target
        self._guest = guest
        self._ram = ram  # the file that its memory began as
        self._chain = chain  # what its disk consists of
        self._lost = ""  # why no command can be run any more
        self.host_address = HOST_ADDRESS if target.machine.open_network else ""

    @property
    def phases(self) -> Mapping[str, int]:
        """When each phase of a boot ended, in ns since the request; empty for a clone, which did not boot."""
        return self._guest.phases

    @property
    def stages(self) -> Mapping[str, int]:
        """How long each part of the start of a clone took, in ns; empty for a boot."""
        return self._guest.stages

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        if self._lost:
            raise TargetFailed(f"the guest is of no use any more: {self._lost}")
        try:
            return self._guest.wire.run(argv, stdin=stdin, timeout_s=timeout_s)
        except Refused:  # the guest is well, it said so
            raise
        except TargetFailed as error:  # whatever came next on the wire would be of this command
            self._lost = str(error)
            raise

    def run_beside(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """A short command that must not wait for the one that runs."""
        return self._guest.wire.run_beside(argv, stdin=stdin, timeout_s=timeout_s)

    @property
    def pid(self) -> int:
        """Of the root of its processes."""
        return self._guest.program.pid

    def abort(self) -> None:
        """End the guest from another thread: what is asked of it meanwhile fails."""
        self._guest.program.stop()

    def put(self, source: Path, name: str) -> str:
        path = f"{self.workspace}/{name}"
        self._guest.wire.put(path, source.read_bytes(), timeout_s=_PUT_TIMEOUT_S)
        return path

    def get(self, path: str) -> bytes:
        return self._guest.wire.get(path, timeout_s=_PUT_TIMEOUT_S)

    @cached_property
    def workspace(self) -> str:
        """Where files are put: on the disk if it holds a file system, else in memory."""
        if self._target.settings.root:
            return _WORKSPACE
        if self._chain.own and f" {disk.FOLDER} ".encode() in self.get("/proc/mounts"):
            return disk.FOLDER
        return _IN_MEMORY

    @property
    def storage(self) -> str:
        """Where the files lie that its commands write."""
        return _MEMORY if self.workspace == _IN_MEMORY else "disk"

    def footprint(self) -> Footprint:
        return footprint(self.pid, self.files)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that exist for it alone."""
        return tuple(self._chain.own)

    def freeze(self) -> _Image:
        """Only what differs from the memory that the guest began with is written: see delta.py."""
        self._target.refuse_sleepless()
        with _new_file(self._target.lab.scratch) as state:
            frozen = snapshot.freeze(self._guest, self._ram, state, self._chain)
            return _Image(self._target, frozen, files=(state, *frozen.layers))


def _stored(storage: str) -> dict[str, str]:
    """What is kept in memory says so in every report, and is not compared with what is on a disk."""
    return {"storage": storage} | ({"storage_label": "memory-backed"} if storage == _MEMORY else {})


@contextlib.contextmanager
def _new_file(folder: Path) -> Iterator[Path]:
    """A file that stays if all goes well, as do those whose names begin like it. Raises LabInvalid if out of room."""
    path = folder / f"image-{secrets.token_hex(8)}"
    try:
        yield path
    except BaseException as error:
        for each in folder.glob(f"{path.name}*"):
            each.unlink()
        if isinstance(error, OSError):
            words = f"cannot write an image of the guest: {error.strerror}; make room or set TMPDIR"
            raise LabInvalid(words) from error
        raise


class _Image:
    """A frozen guest on disk; `files` are its own, and gone when it is deleted."""

    def __init__(self, target: Qemu, frozen: snapshot.Snapshot, *, files: tuple[Path, ...], kept: bool = False) -> None:
        self._target = target
        self._frozen = frozen
        self._kept = kept
        self.files = files

    @contextlib.contextmanager
    def start(self) -> Iterator[_GuestInstance]:
        with self._target.clone(self._frozen) as instance:
            yield instance

    def size_bytes(self) -> int:
        return disk_bytes(path for path in self.files if path.exists())

    def delete(self) -> None:
        if not self._kept:
            for path in self.files:
                path.unlink(missing_ok=True)


class _ExactInstance:
    """Every command runs in two clones of its own, which must agree: here the guest's clock counts instructions."""

    clock: Clock = "instructions"
    probe = machines.Machine.probe
    cat = (machines.Machine.probe, "cat")

    storage = _MEMORY

    def __init__(self, counter: exact.Counter) -> None:
        self._counter = counter

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        return self._counter.run(argv, stdin=stdin, timeout_s=timeout_s)

    def put(self, source: Path, name: str) -> str:
        raise self._clones_are_gone(f"put '{source.name}' in as '{name}'")

    def get(self, path: str) -> bytes:
        raise self._clones_are_gone(f"get '{path}'")

    def _clones_are_gone(self, wish: str) -> NotSupported:
        return NotSupported(f"cannot {wish} in exact mode: each command runs in a clone of its own", missing=_NOT_EXACT)


class Qemu:
    """Guests of one kernel on one machine."""

    class Settings(Plugged, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """`kernel`: a path, or `debian:PACKAGE`; `start`: a clone of a frozen guest; the machine: see `Plugged`.

        `disk`: how large an empty one is, or the path of an image to begin with, which is never written to.
        `root`: `debian`, built from packages, or the path of an image; `root_format`: what it is built as; `packages`:
        more of them, by name or as the path of a .deb; `disk` is then how large it is. `exact`: count instructions, see
        exact.py.
        """

        kernel: str = "debian:linux-image-cloud-amd64"
        start: Literal["snapshot", "cold"] = "snapshot"
        disk: str | float | None = None
        root: str = ""
        root_format: Literal["", "ext4", "erofs", "squashfs", "qcow2"] = ""
        packages: tuple[str, ...] = ()
        arguments: str = ""  # added to the kernel's command line
        start_timeout: Duration = Duration(60)

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.exact and self.start != "snapshot":
                raise UsageError('exact: expected start = "snapshot", a count is not exact otherwise')
            if self.exact and self.disk is not None:
                raise UsageError("exact: expected no disk, the host chooses when it answers")
            if self.root:
                self._refuse_bad_root()
            elif self.root_format or self.packages:
                key = "root_format" if self.root_format else "packages"
                raise UsageError(f"{key}: expected a root in the plan, such as root = '{roots.DEBIAN}', found none")
            if self.memory < _LEAST_MEMORY_BYTES:
                raise UsageError(f"memory: expected 16 MiB to 4 TiB, found {self.memory / 2**20:g} MiB")

        def _refuse_bad_root(self) -> None:
            if self.exact:
                raise UsageError("exact: expected no root on a disk, the host chooses when that answers")
            if self.packages and self.root != roots.DEBIAN:
                raise UsageError(f"packages: expected root = '{roots.DEBIAN}', an image stays as it is")
            if self.disk is not None and roots.size_bytes(self.disk) < roots.SMALLEST_BYTES:
                raise UsageError(f"disk: expected 64 MiB or more for a root, found '{self.disk}'")

        def refuse_missing(self) -> None:
            super().refuse_missing()
            if self.root:
                roots.refuse_wrong(self.root, form=self.root_format, packages=self.packages)
            elif self.disk is not None:
                disk.parse(self.disk)
            if not self.kernel.startswith(kernels.DEBIAN) and not Path(self.kernel).is_file():
                what = "a folder" if Path(self.kernel).is_dir() else "no such file"
                raise UsageError(
                    f"kernel: expected a kernel image or '{kernels.DEBIAN}PACKAGE', found {what}: '{self.kernel}'"
                )
            if not self.kernel.startswith(kernels.DEBIAN):
                refuse_unreadable("kernel", self.kernel)

    def __init__(self, settings: Settings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab

    @cached_property
    def kernel(self) -> kernels.Kernel:
        """Fetched at first use; it says of which architecture the guest is. Raises NotSupported."""
        if promised := kernels.promised_architecture(self.settings.kernel):
            emulator_version(self._played(ARCHITECTURES[promised]))  # nothing is fetched for one that is not here
        return kernels.find(self.settings.kernel, self.lab.cache)

    @cached_property
    def architecture(self) -> Architecture:
        """Of the guest. Raises NotSupported where exact mode has no way to freeze it."""
        found = self._played(ARCHITECTURES[self.kernel.architecture])
        if self.settings.exact and found.name != X86_64.name:
            raise NotSupported(
                f"exact mode freezes guests of x86_64 only, and this kernel is for {found.name}",
                missing=_NOT_EXACT,
            )
        return found

    def _played(self, architecture: Architecture) -> Architecture:
        """By the emulator that the plan names, if it does."""
        emulator = self.settings.emulator or architecture.emulator
        return msgspec.structs.replace(architecture, emulator=emulator)

    @cached_property
    def foreign_probe(self) -> probe.Probe | None:
        """The probe for a guest of another architecture than the host's. Raises NotSupported."""
        name = self.architecture.name
        if name == platform.machine():
            return None
        try:
            return probe.build(self.lab.cache, architecture=name)
        except OSError as error:
            words = f"cannot build a probe for {name}: the cache folder: {error.strerror}"
            raise NotSupported(words, missing="set XDG_CACHE_HOME to a folder that can be written") from error

    @cached_property
    def machine(self) -> machines.Machine:
        """The machine with the accelerator that works. Raises NotSupported where KVM was demanded and does not."""
        emulator_version(self.architecture)
        program = self.foreign_probe.path if self.foreign_probe else self.lab.probe
        archive = self.lab.scratch / f"initramfs-{id(self)}"
        plugged, below = self._disks()
        archive.write_bytes(initramfs.build(program.read_bytes(), self._modules()))
        hardware = msgspec.structs.replace(self.settings.hardware(self.architecture), disk=plugged, below=below)
        emulated = machines.Machine(
            **msgspec.structs.asdict(hardware),
            kernel=self.kernel.path,
            initramfs=archive,
            kernel_arguments=f"{self.architecture.kernel_arguments} {self.settings.arguments}".strip(),
            root=self.root.kind if self.root else "",
        )
        return emulated if self.kvm_trouble(emulated) else emulated.with_kvm()

    @cached_property
    def root(self) -> roots.Root | None:
        """What the guest goes into, built at first use; None: the initramfs is all. Raises NotSupported."""
        settings = self.settings
        if not settings.root:
            return None
        if settings.root == roots.DEBIAN and self.foreign_probe:
            raise NotSupported(
                f"a root is built of packages for {platform.machine()}, and this guest is {self.architecture.name}",
                missing="root = PATH of an image for it",
            )
        size_bytes = roots.DEFAULT_BYTES if settings.disk is None else roots.size_bytes(settings.disk)
        return roots.find(
            settings.root,
            form=settings.root_format or "ext4",
            size_bytes=size_bytes,
            packages=settings.packages,
            cache=self.lab.cache,
        )

    def _disks(self) -> tuple[disk.Disk | None, disk.Disk | None]:
        if self.root:
            return self.root.disk, self.root.below
        return (None if self.settings.disk is None else disk.parse(self.settings.disk)), None

    def _modules(self) -> dict[str, bytes]:
        """Those of the devices that this guest uses, by name; none for a kernel by path."""
        of_disk: tuple[str, ...] = modules.DISK if self.settings.disk is not None else ()
        if self.root:
            of_disk = modules.ROOT[self.root.kind]
        of_network = modules.NETWORK if self.settings.network == "host" else ()
        return kernels.module_files(self.kernel, (*of_disk, *of_network))

    def kvm_trouble(self, emulated: machines.Machine) -> str:
        """Why KVM is not used; empty if it is."""
        return self.settings.kvm_trouble(
            lambda: machines.kvm_verdict(emulated, supervisor=self.lab.probe, cache=self.lab.cache)
        )

    def facts(self) -> Facts:
        with heard(self.lab.log, patient=True) as log, self._started(log) as instance:
            observed, storage = observe(instance), instance.storage
        trouble = self.kvm_trouble(self.machine) if self.machine.accel == "tcg" else ""
        plugged = self.machine.facts(accel_reason=trouble)
        if on := self.machine.disk:
            plugged["disk_bytes"] = str(on.size_bytes)
            plugged |= {"disk_base_sha256": snapshot.base_sha256(on)} if on.base else {}
        if read_only := self.machine.below:
            plugged["disk_below_sha256"] = snapshot.base_sha256(read_only)
        found = {"machine": plugged, **seen_within(observed, **self._booted(), **_stored(storage))}
        network = "host" if self.settings.network == "host" else "none"
        return with_authority(found, seccomp="none", network=network, usual="none")

    def _booted(self) -> dict[str, str]:
        """What is booted on the machine, and how: of the system under test."""
        program = self.foreign_probe.facts if self.foreign_probe else {}
        return {
            "kind": "qemu",
            **self.kernel.facts,
            "initramfs_sha256": hashlib.sha256(self.machine.initramfs.read_bytes()).hexdigest(),
            "command": " ".join(self.machine.described().command(wire="FD", monitor="FD", layers=[Path("DISK")])),
            "start": self.settings.start,
            **(self.root.facts if self.root else {}),
            **{f"probe_{name}": value for name, value in program.items()},
        }

    @contextlib.contextmanager
    def start(self) -> Iterator[_GuestInstance | _ExactInstance]:
        with heard(self.lab.log) as log, self._started(log) as instance:
            yield instance

    @contextlib.contextmanager
    def _started(self, log: Log) -> Iterator[_GuestInstance | _ExactInstance]:
        if self.settings.exact:
            yield _ExactInstance(self.counter(log))
            return
        with self._cold(log) if self.settings.start == "cold" else self._restored(self._frozen(), log) as instance:
            yield instance

    @contextlib.contextmanager
    def cold(self) -> Iterator[_GuestInstance]:
        """Boots the guest."""
        self._refuse_exact()
        with heard(self.lab.log) as log, self._cold(log) as instance:
            yield instance

    @contextlib.contextmanager
    def _cold(self, log: Log) -> Iterator[_GuestInstance]:
        timeout_s = float(self.settings.start_timeout)
        with (
            disk.chain(self.machine.disk, self.lab.scratch) as chain,
            machines.boot(
                self.machine, supervisor=self.lab.probe, timeout_s=timeout_s, log=log, layers=chain.layers
            ) as guest,
        ):
            yield _GuestInstance(self, guest, None, chain)

    def image(self) -> _Image:
        """The snapshot of a guest that has just booted, in the cache."""
        self._refuse_exact()
        frozen = self._frozen()
        return _Image(self, frozen, files=tuple(filter(None, (frozen.ram, frozen.state, frozen.disk))), kept=True)

    def _refuse_exact(self) -> None:
        if self.settings.exact:
            raise NotSupported(
                "exact mode: a clone ends with its command, nothing else is done with it", missing=_NOT_EXACT
            )

    @contextlib.contextmanager
    def clone(self, frozen: snapshot.Snapshot) -> Iterator[_GuestInstance]:
        """A guest that goes on from there. Raises StartFailed."""
        with heard(self.lab.log) as log, self._restored(frozen, log) as instance:
            yield instance

    @contextlib.contextmanager
    def _restored(self, frozen: snapshot.Snapshot, log: Log) -> Iterator[_GuestInstance]:
        with (
            disk.chain(self.machine.disk, self.lab.scratch, cached=frozen.disk, inherited=frozen.layers) as chain,
            snapshot.restored(self.machine, frozen, supervisor=self.lab.probe, log=log, layers=chain.layers) as guest,
        ):
            yield _GuestInstance(self, guest, frozen.ram, chain)

    def counter(self, log: Log | None = None) -> exact.Counter:
        """Where commands are counted in exact mode. Raises NotSupported, StartFailed."""
        return exact.Counter(self.machine, self._frozen(), supervisor=self.lab.probe, log=log or self.lab.log)

    def refuse_sleepless(self) -> None:
        """Raises NotSupported where a guest of this architecture cannot be frozen."""
        if not self.architecture.freezes:
            raise NotSupported(
                f"a frozen {self.architecture.name} guest does not wake up", missing='start = "cold" in the plan'
            )

    def _frozen(self) -> snapshot.Snapshot:
        self.refuse_sleepless()
        ensure = exact.ensure if self.settings.exact else snapshot.ensure
        return ensure(
            self.machine,
            cache_folder=self.lab.cache,
            supervisor=self.lab.probe,
            timeout_s=float(self.settings.start_timeout),
            log=self.lab.log,
        )
