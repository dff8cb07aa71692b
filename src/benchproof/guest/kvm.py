"""Whether KVM really boots a guest here: `/dev/kvm` can exist and still never boot anything."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchproof.guest.hardware import Hardware, emulator_version

TIMEOUT_S = 10.0


def verdict(hardware: Hardware, *, image: Path, command: Sequence[str], boots: Callable[[], str], cache: Path) -> str:
    """Empty if KVM boots this very guest, else why not: what `boots` says of a try with it.

    Tried once per boot of this host, emulator, image and command line; the verdict is kept in the cache.
    """
    if hardware.architecture.name != platform.machine():
        there, here = hardware.architecture.name, platform.machine()
        return f"KVM runs guests of the host's own architecture, {here}, not {there}"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be opened" if Path("/dev/kvm").exists() else "there is no /dev/kvm"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text()
    kernel = image.stat()
    parts = [boot_id, emulator_version(hardware.architecture), *command, kernel.st_size, kernel.st_mtime_ns]
    kept = cache / "kvm" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()}.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=str)
    trouble = boots()
    found = f"/dev/kvm did not boot this guest within {TIMEOUT_S:g} s: {trouble}" if trouble else ""
    with contextlib.suppress(OSError):  # a cache that cannot be written: it is tried again next time
        kept.parent.mkdir(parents=True, exist_ok=True)
        _replace(kept, msgspec.json.encode(found))
    return found


def _replace(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).rename(path)
