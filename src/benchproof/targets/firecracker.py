"""A Linux guest in Firecracker, driven by its own API: the probe is the guest's only program, as in QEMU.

The agent speaks over the only serial port, which is the standard input and output of the process; the kernel has no
console. Each clone is a process of its own that maps the memory of the image, copy on write.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from benchproof import process
from benchproof.errors import NotSupported, StartFailed, TargetFailed
from benchproof.footprint import disk_bytes, footprint
from benchproof.guest import initramfs, kernels
from benchproof.guest.wire import Wire
from benchproof.model import Clock, Completed, Facts, Footprint, Lab
from benchproof.quantities import Duration, Size
from benchproof.service.firecracker import Vmm
from benchproof.targets.observed import observe, seen_within, tool_version
from benchproof.targets.settings import Pinned

_KVM = "/dev/kvm"
_PROBE = "/init"
_ARGUMENTS = "reboot=k panic=1 pci=off quiet console=ttynull BENCHPROOF_WIRE=/dev/ttyS0"
_PUT_TIMEOUT_S = 120.0
_LOOK_S = 0.0005
_MISSING = "put `firecracker` of https://github.com/firecracker-microvm/firecracker/releases into a folder of PATH"


class FirecrackerInstance:
    """A guest that runs."""

    clock: Clock = "target"
    probe = _PROBE
    cat: ClassVar[tuple[str, ...]] = (_PROBE, "cat")

    def __init__(self, target: Firecracker, program: process.Supervised, vmm: Vmm, wire: Wire, folder: Path) -> None:
        self._target = target
        self._program = program
        self._vmm = vmm
        self._wire = wire
        self._folder = folder

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        return self._wire.run(argv, stdin=stdin, timeout_s=timeout_s)

    def put(self, source: Path, name: str) -> str:
        path = f"/tmp/{name}"  # noqa: S108 - a path inside the guest
        self._wire.put(path, source.read_bytes(), timeout_s=_PUT_TIMEOUT_S)
        return path

    def get(self, path: str) -> bytes:
        return self._wire.get(path, timeout_s=_PUT_TIMEOUT_S)

    def footprint(self) -> Footprint:
        return footprint(self._program.pid, (self._folder,))

    def freeze(self) -> FirecrackerImage:
        """All of its memory is written."""
        base = self._target.lab.scratch / f"image-{secrets.token_hex(8)}"
        image = FirecrackerImage(self._target, (base.with_suffix(".state"), base.with_suffix(".memory")))
        try:
            self._vmm.freeze(state=image.files[0], memory=image.files[1])
        except BaseException:
            image.delete()
            raise
        return image


class FirecrackerImage:
    """State and memory of a guest, as files."""

    def __init__(self, target: Firecracker, files: tuple[Path, Path], *, kept: bool = False) -> None:
        self._target = target
        self._kept = kept
        self.files = files

    @contextlib.contextmanager
    def start(self) -> Iterator[FirecrackerInstance]:
        with self._target.launched() as (program, vmm, wire, folder):
            vmm.restore(state=self.files[0], memory=self.files[1])
            wire.freshen(timeout_s=self._target.start_timeout_s)
            yield FirecrackerInstance(self._target, program, vmm, wire, folder)

    def size_bytes(self) -> int:
        return disk_bytes(path for path in self.files if path.exists())

    def delete(self) -> None:
        if not self._kept:
            for path in self.files:
                path.unlink(missing_ok=True)


class Firecracker:
    """Guests of one kernel."""

    class Settings(Pinned, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """`kernel`: a path, or `debian:PACKAGE`; `firecracker`: the program; `arguments`: more for the kernel."""

        kernel: str = "debian:linux-image-cloud-amd64"
        firecracker: str = "firecracker"
        vcpus: int = 1
        memory: Size = Size(256 << 20)
        arguments: str = ""
        start_timeout: Duration = Duration(60)

    def __init__(self, settings: Settings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab
        self._image: FirecrackerImage | None = None

    @property
    def start_timeout_s(self) -> float:
        """For a guest to serve."""
        return float(self.settings.start_timeout)

    @cached_property
    def version(self) -> str:
        """Of the program. Raises NotSupported without it, and without KVM."""
        found = tool_version(self.settings.firecracker, "--version", missing=_MISSING)
        if not os.access(_KVM, os.R_OK | os.W_OK):
            raise NotSupported(f"Firecracker needs {_KVM}, which this user cannot open", missing="a host with KVM")
        return found

    @cached_property
    def _kernel(self) -> kernels.Kernel:
        return kernels.find(self.settings.kernel, self.lab.cache)

    @cached_property
    def _initramfs(self) -> Path:
        archive = self.lab.scratch / f"initramfs-{id(self)}"
        archive.write_bytes(initramfs.build(self.lab.probe.read_bytes()))
        return archive

    def facts(self) -> Facts:
        version = self.version
        with self.cold() as instance:
            observed = observe(instance)
        machine = {
            "execution": "kvm",
            "vcpus": str(self.settings.vcpus),
            "memory_bytes": str(int(self.settings.memory)),
        }
        declared = {"kind": "firecracker", "version": version, "arguments": self._arguments, **self._kernel.facts}
        return {"machine": machine, **seen_within(observed, **declared)}

    @property
    def _arguments(self) -> str:
        return f"{_ARGUMENTS} {self.settings.arguments}".strip()

    def start(self) -> contextlib.AbstractContextManager[FirecrackerInstance]:
        return self.image().start()

    @contextlib.contextmanager
    def cold(self) -> Iterator[FirecrackerInstance]:
        """Boots the guest."""
        with self.launched() as (program, vmm, wire, folder):
            vmm.configure(
                vcpus=self.settings.vcpus,
                memory_mib=int(self.settings.memory) >> 20,
                kernel=self._kernel.path,
                initramfs=self._initramfs,
                arguments=self._arguments,
            )
            vmm.start()
            try:
                wire.await_hello(timeout_s=self.start_timeout_s)
                wire.freshen(timeout_s=self.start_timeout_s)
            except TargetFailed as error:
                raise StartFailed(f"the guest did not serve: {error}") from error
            yield FirecrackerInstance(self, program, vmm, wire, folder)

    def image(self) -> FirecrackerImage:
        """Kept for this run."""
        if self._image is None:
            with self.cold() as instance:
                self._image = FirecrackerImage(self, instance.freeze().files, kept=True)
        return self._image

    @contextlib.contextmanager
    def launched(self) -> Iterator[tuple[process.Supervised, Vmm, Wire, Path]]:
        """A process that was asked for nothing yet. Raises NotSupported, StartFailed."""
        assert self.version  # or it raised
        program = shutil.which(self.settings.firecracker)
        with contextlib.ExitStack() as life:
            folder = Path(life.enter_context(tempfile.TemporaryDirectory(dir=self.lab.scratch, prefix="vmm-")))
            ours, theirs = (life.enter_context(each) for each in socket.socketpair())
            words = [str(program), "--api-sock", str(folder / "api"), "--id", "benchproof"]
            started = life.enter_context(
                process.Supervised(
                    words, supervisor=self.lab.probe, stdin=theirs.fileno(), cpus=self.settings.cpu_numbers
                )
            )
            complaints = process.Tail(started.stderr)
            pump = threading.Thread(target=_pump, args=(started.stdout.fileno(), theirs), daemon=True)
            pump.start()
            life.callback(pump.join)
            life.callback(lambda: self.lab.log("firecracker", complaints.text()))
            life.callback(started.stop)
            vmm = life.enter_context(contextlib.closing(self._listening(folder / "api", started)))
            yield started, vmm, Wire(ours), folder

    def _listening(self, path: Path, program: process.Supervised) -> Vmm:
        deadline_s = time.monotonic() + self.start_timeout_s
        vmm = Vmm(path)
        while True:
            try:
                vmm.version()
            except TargetFailed as error:
                if (status := program.wait(0)) is not None:
                    raise StartFailed(f"Firecracker ended with status {status} before it listened") from error
                if time.monotonic() > deadline_s:
                    raise StartFailed(f"Firecracker does not listen: {error}") from error
                time.sleep(_LOOK_S)
            else:
                return vmm


def _pump(source: int, sink: socket.socket) -> None:
    """What the guest's serial port says, to the wire; until the process ends, or nobody listens any more."""
    with contextlib.suppress(OSError):
        while chunk := os.read(source, 1 << 16):
            sink.sendall(chunk)
