"""What a kernel image is, read from its own header, and how it becomes one that QEMU starts soonest.

QEMU starts an uncompressed x86-64 `vmlinux` by its PVH note much sooner than a `bzImage`, which would unpack itself
under emulation, and QEMU 7.2 takes an arm64 or riscv64 `Image` only uncompressed; so a payload is unpacked here, once.
Formats: the kernel's Documentation/arch/x86/boot.rst, Documentation/arch/arm64/booting.rst,
Documentation/arch/riscv/boot-image-header.rst, and drivers/firmware/efi/libstub/zboot-header.S.
"""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator

from benchproof.errors import NotSupported
from benchproof.model import Frozen

ELF = b"\x7fELF"
_SETUP, _SETUP_AT, _SETUP_END = b"HdrS", 0x202, 0x268
_OLDEST_SETUP = 0x20C  # boot protocol 2.12 (Linux 3.8): it tells where the payload lies and whether it has 64 bits
_RUNS_64_BITS = 1
_ZBOOT, _ZBOOT_AT = b"zimg", 4
_FLAT = {b"ARM\x64": "aarch64", b"RSC\x05": "riscv64"}  # at offset 56 of an `Image`
_FLAT_AT, _FLAT_END = 56, 64
_X86_MACHINES = {3, 62}
_MACHINES = {
    3: "i386",
    20: "powerpc",
    21: "powerpc64",
    22: "s390",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
}
_PT_NOTE, _PVH = 4, 18  # PVH is XEN_ELFNOTE_PHYS32_ENTRY
_LZ4, _ZSTD, _XZ, _GZIP = b"\x02\x21\x4c\x18", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"\x1f\x8b"
_TOOLS = {_LZ4: "lz4", _ZSTD: "zstd"}  # what the standard library cannot unpack
_TIMEOUT_S = 600.0
_WAY_OUT = "set kernel to a bzImage or vmlinux (x86-64) or an Image (arm64, riscv64)"


class Image(Frozen, frozen=True):
    """An image that QEMU can boot."""

    content: bytes
    architecture: str  # as `uname -m` says it
    form: str  # vmlinux | bzImage | Image


def bootable(image: bytes) -> Image:
    """The quickest bootable form of a kernel image. Raises NotSupported, saying what was found instead."""
    if image.startswith(ELF):
        return _elf(image)
    if image[_SETUP_AT : _SETUP_AT + len(_SETUP)] == _SETUP and len(image) >= _SETUP_END:
        return _bzimage(image)
    if image[_ZBOOT_AT : _ZBOOT_AT + len(_ZBOOT)] == _ZBOOT and len(image) >= _FLAT_END:
        offset, size = struct.unpack_from("<II", image, 8)
        return _flat(_whole(image, offset, size))
    return _flat(image)


def unpack(packed: bytes) -> bytes | None:
    """What is in an LZ4, ZSTD, XZ or GZIP stream; None: none of these, or its tool is missing. Raises NotSupported."""
    try:
        if packed.startswith(_XZ):
            return _finished(lzma.LZMADecompressor(), packed)
        if packed.startswith(_GZIP):
            return _finished(zlib.decompressobj(wbits=31), packed)
    except (lzma.LZMAError, zlib.error, EOFError) as error:
        raise _damaged(str(error)) from error
    tool = next((tool for magic, tool in _TOOLS.items() if packed.startswith(magic)), None)
    return _piped(tool, packed) if tool and shutil.which(tool) else None


def _finished(stream: lzma.LZMADecompressor | zlib._Decompress, packed: bytes) -> bytes:
    """What follows the stream is not our concern, but the stream has to end."""
    content = stream.decompress(packed)
    if not stream.eof:
        raise EOFError("it ends too early")
    return content


def _piped(tool: str, packed: bytes) -> bytes:
    """The kernel appends four bytes, the size of the content, which upset the tools; so without them first."""
    for size in (len(packed) - 4, len(packed)):
        done = subprocess.run(
            [tool, "-d", "-c"], input=packed[:size], capture_output=True, timeout=_TIMEOUT_S, check=False
        )
        if done.returncode == 0:
            return done.stdout
    words = done.stderr.decode(errors="replace").split()
    raise _damaged(f"{tool} says: {' '.join(words)}"[:200])


def _elf(image: bytes) -> Image:
    machine = int.from_bytes(image[18:20], "little")
    found = _MACHINES.get(machine, f"machine {machine}")
    if machine not in _X86_MACHINES:
        beside = " (QEMU starts the Image that is built beside it)" if found in {"aarch64", "riscv"} else ""
        raise NotSupported(
            f"the kernel image is an ELF file for {found}; expected one for x86_64{beside}", missing=_WAY_OUT
        )
    if not _has_pvh_note(image):
        raise NotSupported(
            "the kernel image is an ELF file without a PVH note, by which QEMU would start it",
            missing="name its bzImage, or a vmlinux built with CONFIG_PVH=y",
        )
    return Image(content=image, architecture="x86_64", form="vmlinux")


def _bzimage(image: bytes) -> Image:
    """Its payload, if QEMU can start that; else the image as it is."""
    (version,) = struct.unpack_from("<H", image, 0x206)
    (flags,) = struct.unpack_from("<H", image, 0x236)
    if version < _OLDEST_SETUP or not flags & _RUNS_64_BITS:
        raise NotSupported("the kernel image is a bzImage of 32 bits; expected one of 64 bits", missing=_WAY_OUT)
    offset, size = struct.unpack_from("<II", image, 0x248)
    payload = _whole(image, ((image[0x1F1] or 4) + 1) * 512 + offset, size)
    content = unpack(payload)
    if content is None:
        return Image(content=image, architecture="x86_64", form="bzImage")
    expected = int.from_bytes(payload[-4:], "little")
    if len(content) != expected:
        raise _damaged(f"expected {expected} bytes in its payload, found {len(content)}")
    if not content.startswith(ELF) or not _has_pvh_note(content):
        return Image(content=image, architecture="x86_64", form="bzImage")
    return Image(content=content, architecture="x86_64", form="vmlinux")


def _flat(image: bytes) -> Image:
    """An `Image`, compressed or not."""
    content = (unpack(image) if image[:4].startswith((_GZIP, *_TOOLS)) or image.startswith(_XZ) else None) or image
    architecture = _FLAT.get(content[_FLAT_AT:_FLAT_END][:4])
    if architecture is None:
        what = f"{len(image)} bytes that begin with {image[:8].hex(' ')}" if image else "an empty file"
        raise NotSupported(
            f"the kernel image is neither an ELF file nor a bzImage nor an arm64 or riscv64 Image: found {what}",
            missing=_WAY_OUT,
        )
    return Image(content=content, architecture=architecture, form="Image")


def _whole(image: bytes, start: int, size: int) -> bytes:
    if start + size > len(image) or size < 4:
        raise _damaged(f"its header promises {start + size} bytes, found {len(image)}")
    return image[start : start + size]


def _damaged(how: str) -> NotSupported:
    return NotSupported(f"the kernel image is damaged or cut: {how}", missing="fetch or build it again")


def _has_pvh_note(image: bytes) -> bool:
    notes = [(start, size) for kind, start, size in _segments(image) if kind == _PT_NOTE]
    return any(each == (b"Xen\0", _PVH) for start, size in notes for each in _named(image, start, size))


def _segments(image: bytes) -> Iterator[tuple[int, int, int]]:
    """(type, start, size) of each program header of an ELF file of 32 or 64 bits."""
    wide = image[4:5] == b"\x02"
    try:
        (table,) = struct.unpack_from("<Q" if wide else "<I", image, 32 if wide else 28)
        entry_size, count = struct.unpack_from("<HH", image, 54 if wide else 42)
        for number in range(count):
            entry = table + number * entry_size
            kind, start, size = struct.unpack_from("<I4xQ16xQ" if wide else "<II8xI", image, entry)
            if start + size > len(image):
                raise _damaged(f"a segment ends at byte {start + size} of {len(image)}")
            yield kind, start, size
    except (struct.error, OverflowError) as error:
        raise _damaged("its program headers are not in the file") from error


def _named(image: bytes, start: int, size: int) -> Iterator[tuple[bytes, int]]:
    """(name, type) of each note."""
    position, end = start, min(start + size, len(image) - 12)
    while position < end:
        name_size, content_size, kind = struct.unpack_from("<III", image, position)
        yield image[position + 12 : position + 12 + name_size], kind
        position += 12 + -(-name_size // 4) * 4 + -(-content_size // 4) * 4
