"""Writes a `newc` cpio archive whose only program is the probe, as `/init`. The same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

MODULES = "lib/modules"  # where the probe looks for them
_FOLDER, _PROGRAM, _FILE, _CHARACTER_DEVICE = 0o040755, 0o100755, 0o100644, 0o020600
_CONSOLE = (5, 1)
_NONE: Mapping[str, bytes] = MappingProxyType({})


def build(probe: bytes, modules: Mapping[str, bytes] = _NONE) -> bytes:
    """The archive. Format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

    `modules` are kernel modules by file name; the probe loads them in the order of their names when it starts.
    """
    entries = [
        _entry("dev", mode=_FOLDER, inode=1),
        _entry("dev/console", mode=_CHARACTER_DEVICE, inode=2, device=_CONSOLE),
        _entry("init", mode=_PROGRAM, inode=3, content=probe),
    ]
    if modules:
        folders = [(name, _FOLDER, b"") for name in ("lib", MODULES)]
        files = [(f"{MODULES}/{name}", _FILE, content) for name, content in modules.items()]
        more = enumerate([*folders, *files], start=4)
        entries += [_entry(name, mode=mode, inode=inode, content=content) for inode, (name, mode, content) in more]
    return b"".join([*entries, _entry("TRAILER!!!", mode=0, inode=0)])


def _entry(name: str, *, mode: int, inode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    path = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
    return _padded(b"070701" + _hex(fields) + path) + _padded(content)


def _hex(fields: Iterable[int]) -> bytes:
    return b"".join(b"%08x" % field for field in fields)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
