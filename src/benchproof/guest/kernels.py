"""Kernel images: a path, or `debian:PACKAGE`, which apt fetches as a file; nothing is installed.

QEMU starts an uncompressed `vmlinux` by its PVH note much sooner than a `bzImage`, which would unpack itself under
emulation; so the payload is unpacked here, once, with the machine's own tools. Where it cannot be, the image is
booted as it is.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import msgspec

from benchproof.errors import NotSupported
from benchproof.model import Frozen

DEBIAN = "debian:"
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+~:-]+")
_ELF, _SETUP_MAGIC, _SETUP_MAGIC_AT = b"\x7fELF", b"HdrS", 0x202
_SETUP_END = 0x268
_UNPACKERS = {  # first bytes of the payload -> the program that unpacks it
    b"\x02\x21\x4c\x18": ["lz4", "-d"],
    b"\x28\xb5\x2f\xfd": ["zstd", "-d"],
    b"\xfd7zXZ": ["xz", "-d", "--single-stream"],
    b"\x1f\x8b": ["gzip", "-d"],
}
_TIMEOUT_S = 600.0


class Kernel(Frozen, frozen=True):
    """An image that QEMU can boot, and where it came from."""

    path: Path
    facts: dict[str, str]


def find(name: str, cache: Path) -> Kernel:
    """The kernel of that name, fetched and unpacked at first use. Raises NotSupported, saying how to get it."""
    if name.startswith(DEBIAN):
        return _debian(name.removeprefix(DEBIAN), cache)
    image = Path(name).read_bytes()
    digest = hashlib.sha256(image).hexdigest()
    return Kernel(path=_bootable(Path(name), image, cache / "kernels" / digest), facts={"kernel_image_sha256": digest})


def _debian(package: str, cache: Path) -> Kernel:
    record = cache / "kernels" / f"{package}.json"  # a meta-package means what it meant when it was fetched
    if record.exists():
        kernel = msgspec.json.decode(record.read_bytes(), type=Kernel, dec_hook=lambda kind, text: kind(text))
        if kernel.path.exists():
            return kernel
    if not _PACKAGE.fullmatch(package):
        raise NotSupported(f"'{package}' is not the name of a Debian package")
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        raise NotSupported(
            "Debian kernels are fetched with apt, which is not here",
            missing='set kernel = "PATH" in the plan',
        )
    image_package = _image_package(package)
    with tempfile.TemporaryDirectory(prefix="benchproof-kernel-") as folder:
        archive = _download(image_package, Path(folder))
        image = _unpack(archive, Path(folder))
        digest = hashlib.sha256(image.read_bytes()).hexdigest()
        path = _bootable(image, image.read_bytes(), cache / "kernels" / digest)
        version = archive.name.removesuffix(".deb")
    kernel = Kernel(path=path, facts={"kernel_package": version, "kernel_image_sha256": digest})
    _write(record, msgspec.json.encode(kernel, enc_hook=str))
    return kernel


def _image_package(package: str) -> str:
    """A meta-package such as linux-image-cloud-amd64 depends on the package that holds the image."""
    listing = _tool(["apt-cache", "depends", package], missing=f"apt-get update; then look: apt-cache show {package}")
    found = re.findall(r"Depends: (linux-image-\d\S+)", listing.decode())
    return found[0] if found else package


def _download(package: str, folder: Path) -> Path:
    _tool(["apt-get", "download", package], cwd=folder, missing=f"apt-get update; apt-get download {package}")
    return next(folder.glob("*.deb"))


def _unpack(archive: Path, folder: Path) -> Path:
    _tool(["dpkg-deb", "-x", str(archive), str(folder / "files")], missing="a whole package: fetch it again")
    images = sorted((folder / "files" / "boot").glob("vmlinu[xz]-*"))
    if not images:
        raise NotSupported(f"{archive.name} holds no boot/vmlinuz-*", missing="name a linux-image package")
    return images[0]


def _bootable(origin: Path, image: bytes, folder: Path) -> Path:
    if image.startswith(_ELF):
        return origin if origin.parent.name != "boot" else _write(folder / "vmlinux", image)
    unpacked = folder / "vmlinux"
    if not unpacked.exists():
        payload = _payload(image)
        vmlinux = _decompress(payload) if payload else None
        if vmlinux is None:
            return _write(folder / "bzImage", image)
        _write(unpacked, vmlinux)
    return unpacked


def _payload(image: bytes) -> bytes | None:
    """The compressed kernel in a bzImage, by its setup header (Documentation/arch/x86/boot.rst)."""
    if image[_SETUP_MAGIC_AT : _SETUP_MAGIC_AT + 4] != _SETUP_MAGIC or len(image) < _SETUP_END:
        raise NotSupported(
            "the kernel image is neither an ELF file nor a bzImage", missing="name a vmlinux or a bzImage"
        )
    setup_sectors = image[0x1F1] or 4
    offset, size = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return image[start : start + size]


def _decompress(payload: bytes) -> bytes | None:
    """The ELF file within, or None where the tool is missing. What follows the stream is not our concern."""
    for magic, command in _UNPACKERS.items():
        if payload.startswith(magic) and shutil.which(command[0]):
            done = subprocess.run([*command, "-c"], input=payload, capture_output=True, timeout=_TIMEOUT_S, check=False)
            if done.stdout.startswith(_ELF):  # exit status: the four bytes of size at the end upset each tool
                return done.stdout
    return None


def _tool(command: list[str], *, missing: str, cwd: Path | None = None) -> bytes:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotSupported(f"'{' '.join(command)}' failed: {words[-1] if words else done.returncode}", missing=missing)
    return done.stdout


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        draft.write_bytes(content)
        return draft.rename(path)
