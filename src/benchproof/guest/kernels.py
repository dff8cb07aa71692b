"""Kernels by name: a path, or `debian:PACKAGE[=VERSION]`, which apt fetches as a file; nothing is installed.

What was fetched or unpacked is kept in the cache by the hash of the image that it came from, and is used again only
while every file still has the hash that its record says; else it is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from benchproof.errors import NotSupported
from benchproof.guest import debian, hashed, images, modules
from benchproof.model import Frozen

DEBIAN = "debian:"


class Kernel(Frozen, frozen=True, kw_only=True):
    """An image that QEMU can boot, and where it came from."""

    path: Path
    architecture: str  # as `uname -m` says it
    modules: tuple[Path, ...] = ()  # what a guest may load, in this order; none for a kernel by path
    facts: dict[str, str]


class _Record(Frozen, frozen=True):
    """What the cache must still hold for this kernel to be used again."""

    kernel: Kernel
    hashes: dict[str, str]  # path -> sha256
    kept: tuple[str, ...] = ()  # the modules that were looked for in its package


def find(name: str, cache: Path) -> Kernel:
    """The kernel of that name, fetched and unpacked at first use. Raises NotSupported, saying how to get it."""
    try:
        return _debian(name.removeprefix(DEBIAN), cache) if name.startswith(DEBIAN) else _named(Path(name), cache)
    except OSError as error:
        what = f"'{error.filename}': " if error.filename else ""
        raise NotSupported(
            f"cannot get the kernel '{name}': {what}{error.strerror}",
            missing="a kernel that can be read, and room in a cache folder (XDG_CACHE_HOME) that can be written",
        ) from error


def promised_architecture(name: str) -> str:
    """That of a Debian kernel, by the name of its package, before it is fetched; empty where only the image tells."""
    return debian.ARCHITECTURES.get(debian.named_architecture(name), "") if name.startswith(DEBIAN) else ""


def module_files(kernel: Kernel, wanted: Iterable[str] = modules.DISK) -> dict[str, bytes]:
    """Name -> content of the wanted modules, in the order in which they load; for `initramfs.build`."""
    return _numbered(modules.needed(kernel.modules, wanted))


def _named(path: Path, cache: Path) -> Kernel:
    """An image that QEMU can boot as it is stays where it is; what is unpacked from it is kept."""
    packed = path.read_bytes()
    digest = hashlib.sha256(packed).hexdigest()
    folder = cache / "kernels" / digest
    record = folder / "record.json"
    if found := _recorded(record, kept=()):
        return found
    image = images.bootable(packed)
    kernel = Kernel(
        path=path if image.content == packed else _write(folder / image.form, image.content),
        architecture=image.architecture,
        facts={"kernel_image_sha256": digest, "kernel_form": image.form},
    )
    if kernel.path != path:
        _remember(record, kernel, kept=())
    return kernel


def _debian(wanted: str, cache: Path) -> Kernel:
    """A meta-package means what it meant when it was fetched, for as long as the cache lives."""
    record = cache / "kernels" / f"{wanted}.json"
    if "/" not in wanted and (found := _recorded(record)):
        return found
    with _only_one(cache), tempfile.TemporaryDirectory(prefix="benchproof-kernel-") as name:
        if "/" not in wanted and (found := _recorded(record)):  # somebody else fetched it while we waited
            return found
        folder = Path(name)
        archive = debian.fetch(wanted, folder=folder, cache=cache)
        image = debian.unpack(archive, folder / "files")
        kernel = _kept(
            image, modules.needed((folder / "files").rglob("*.ko*"), modules.KEPT), package=archive.stem, cache=cache
        )
        _remember(record, kernel)
    return kernel


def _kept(image: Path, needed: dict[str, bytes], *, package: str, cache: Path) -> Kernel:
    """The kernel of an unpacked package, kept in the cache."""
    packed = image.read_bytes()
    digest = hashlib.sha256(packed).hexdigest()
    folder = cache / "kernels" / digest
    bootable = images.bootable(packed)
    return Kernel(
        path=_write(folder / bootable.form, bootable.content),
        architecture=bootable.architecture,
        modules=tuple(_write(folder / "modules" / name, content) for name, content in _numbered(needed).items()),
        facts={"kernel_package": package, "kernel_image_sha256": digest, "kernel_form": bootable.form},
    )


def _numbered(ordered: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{number:02}-{name}.ko": content for number, (name, content) in enumerate(ordered.items())}


def _recorded(record: Path, *, kept: tuple[str, ...] = modules.KEPT) -> Kernel | None:
    """The kernel of a record whose files are still what they were; None for anything else."""
    try:
        found = msgspec.json.decode(record.read_bytes(), type=_Record, dec_hook=lambda kind, text: kind(text))
        files = (found.kernel.path, *found.kernel.modules)
        whole = found.kept == kept and found.hashes == {str(path): hashed.sha256(path) for path in files}
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found.kernel if whole else None


def _remember(record: Path, kernel: Kernel, *, kept: tuple[str, ...] = modules.KEPT) -> None:
    hashes = {str(path): hashed.sha256(path) for path in (kernel.path, *kernel.modules)}
    _write(record, msgspec.json.encode(_Record(kernel=kernel, hashes=hashes, kept=kept), enc_hook=str))


@contextlib.contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Two that want a kernel at once fetch it once, and apt's private lists have one writer."""
    (cache / "apt").mkdir(parents=True, exist_ok=True)
    with (cache / "apt" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        draft.write_bytes(content)
        return draft.rename(path)
