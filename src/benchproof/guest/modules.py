"""Which modules of a kernel a guest with a disk, a root on it or a network needs, and in which order they load."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchproof.errors import NotSupported
from benchproof.guest import images

DISK = ("virtio_pci", "virtio_blk")
NETWORK = ("virtio_pci", "virtio_net")
ROOT = {  # kind of file system -> what mounts it, and what lies above one that is read only
    "ext4": (*DISK, "crc32c_generic", "ext4"),
    "erofs": (*DISK, "crc32c_generic", "ext4", "erofs", "overlay"),
    "squashfs": (*DISK, "crc32c_generic", "ext4", "squashfs", "overlay"),
}
KEPT = tuple(
    dict.fromkeys((*DISK, *NETWORK, *(name for names in ROOT.values() for name in names)))
)  # of a package, with all that they depend on
_NUMBERED = re.compile(r"^\d+-")


def needed(files: Iterable[Path], wanted: Iterable[str]) -> dict[str, bytes]:
    """Name -> content of the wanted modules among `files` and all that they depend on, each behind what it needs.

    A module that is not there is built into the kernel, or the kernel has none of the kind. Raises NotSupported.
    """
    found = {_name(path): path for path in sorted(files)}
    loaded: dict[str, bytes] = {}
    for name in wanted:
        _load(name, found, loaded)
    return loaded


def _load(name: str, found: dict[str, Path], loaded: dict[str, bytes]) -> None:
    if name in loaded or name not in found:
        return
    packed = found.pop(name).read_bytes()  # popped: two that need each other end here
    content = packed if packed.startswith(images.ELF) else images.unpack(packed)
    if content is None:
        raise NotSupported(f"cannot unpack the kernel module '{name}'", missing="apt-get install zstd lz4")
    for dependency in dependencies(content):
        _load(dependency, found, loaded)
    loaded[name] = content


def dependencies(module: bytes) -> list[str]:
    """The names in `depends=` of the section `.modinfo`. Raises NotSupported."""
    for entry in _section(module, b".modinfo").split(b"\0"):
        if entry.startswith(b"depends="):
            return [_plain(name) for name in entry.removeprefix(b"depends=").decode().split(",") if name]
    return []


def _section(elf: bytes, wanted: bytes) -> bytes:
    """The content of a section of an ELF file of 64 bits; empty if there is none of that name."""
    try:
        sections = list(_sections(elf))
        (index,) = struct.unpack_from("<H", elf, 62)
        _, names_at, _ = sections[index]
    except (struct.error, OverflowError, IndexError) as error:
        raise NotSupported("a kernel module is damaged", missing="fetch the kernel's package again") from error
    for name, start, size in sections:
        if elf[names_at + name :].startswith(wanted + b"\0"):
            return elf[start : start + size]
    return b""


def _sections(elf: bytes) -> Iterator[tuple[int, int, int]]:
    """(offset of the name, start, size) of each section."""
    (table,) = struct.unpack_from("<Q", elf, 40)
    entry_size, count = struct.unpack_from("<HH", elf, 58)
    for number in range(count):
        yield struct.unpack_from("<I20xQQ", elf, table + number * entry_size)


def _name(path: Path) -> str:
    return _plain(_NUMBERED.sub("", path.name.partition(".ko")[0]))


def _plain(name: str) -> str:
    """A file may say virtio-rng where the kernel says virtio_rng."""
    return name.replace("-", "_")
