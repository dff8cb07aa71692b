"""The disk of a guest: layers of copy-on-write, of which one guest writes to the topmost.

At the bottom lies the user's image, if there is one; it is never written to. A layer is a qcow2 file that names no
other: on what it lies, QEMU is told at each start. So a layer that is frozen can have several names. Every guest and
every image has hard links of its own to the layers that it needs, and a layer is gone with the last of them; only the
layer of a cached snapshot is used where it is. Format: QEMU's docs/interop/qcow2.txt.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchproof.errors import LabInvalid, UsageError
from benchproof.guest.monitor import Monitor
from benchproof.model import Frozen
from benchproof.quantities import Size

DEVICE, FOLDER = "/dev/vda", "/disk"  # in the guest; the folder is where it is mounted if it holds a file system
SMALLEST_BYTES, LARGEST_BYTES = 1 << 20, 4 << 40
_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_VERSION_2_BYTES = 72
_EXTERNAL_DATA = 1 << 2  # of the incompatible features
_SECTOR_BYTES = 512
_CLUSTER_BITS = 16
_CLUSTER_BYTES = 1 << _CLUSTER_BITS
_L1_ENTRY_BYTES = _CLUSTER_BYTES // 8 * _CLUSTER_BYTES  # what one entry of the first table maps


class Disk(Frozen, frozen=True):
    """What a guest finds as its disk."""

    size_bytes: int
    base: Path | None = None  # None: it is empty
    form: str = ""  # of the base: raw or qcow2
    sha256: str = ""  # of the base, where whoever made it knows

    def described(self) -> Disk:
        """The same disk without the path of its base."""
        return msgspec.structs.replace(self, base=self.base and Path("BASE"), sha256="")

    def read_only(self) -> list[str]:
        """QEMU's arguments for its base alone, which nobody writes to."""
        assert self.base is not None
        node = _node("below", self.base, self.form, below=None, read_only=True)
        return ["-blockdev", json.dumps(node), "-device", "virtio-blk-pci,drive=below,rerror=report"]

    def options(self, layers: Sequence[Path]) -> list[str]:
        """QEMU's arguments for this disk with `layers` on its base; the last of them is written to."""
        nodes = [] if self.base is None else [_node("base", self.base, self.form, below=None, read_only=True)]
        for number, layer in enumerate(layers):
            below = str(nodes[-1]["node-name"]) if nodes else None
            read_only = number < len(layers) - 1
            nodes.append(_node(f"layer{number}", layer, "qcow2", below=below, read_only=read_only))
        # a host whose disk is full gives the guest an error, where QEMU would stop the guest and wait
        device = f"virtio-blk-pci,drive=layer{len(layers) - 1},werror=report,rerror=report"
        return [*(word for node in nodes for word in ("-blockdev", json.dumps(node))), "-device", device]


def parse(setting: str | float) -> Disk:
    """`64 MiB`, or the path of an image, raw or qcow2. Raises UsageError."""
    try:
        size_bytes = float(Size.parse(setting))
    except ValueError:
        return _image(Path(str(setting)))
    if not SMALLEST_BYTES <= size_bytes <= LARGEST_BYTES or size_bytes % _SECTOR_BYTES:
        raise UsageError(f"disk: expected 1 MiB to 4 TiB in sectors of {_SECTOR_BYTES} bytes, found '{setting}'")
    return Disk(size_bytes=int(size_bytes))


def _image(path: Path) -> Disk:
    expected = "disk: expected a size such as '64 MiB', or a raw or qcow2 image"
    try:
        mode = path.stat().st_mode  # looked at before it is opened: to open a pipe is to wait
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise UsageError(f"{expected}, found {what}: '{path}'")
        with path.open("rb") as file:
            head, size_bytes = file.read(_HEADER.size), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise UsageError(f"{expected}, found '{path}': {error.strerror}") from error
    form = "qcow2" if head.startswith(_MAGIC) else "raw"
    if form == "qcow2":
        size_bytes = _virtual_size_bytes(head, size_bytes, path)
    if not 0 < size_bytes <= LARGEST_BYTES:
        raise UsageError(f"disk: expected an image of more than 0 bytes and at most 4 TiB, found '{path}'")
    sectors = -(-size_bytes // _SECTOR_BYTES)
    return Disk(size_bytes=sectors * _SECTOR_BYTES, base=path.absolute(), form=form)


def _virtual_size_bytes(head: bytes, file_bytes: int, path: Path) -> int:
    """What the header of a qcow2 image promises. Raises UsageError for one that we do not take, or that is damaged."""
    version = int.from_bytes(head[4:8], "big")
    if len(head) < _VERSION_2_BYTES:
        raise UsageError(f"disk: the qcow2 image '{path}' is cut in its header")
    if version == 2:  # the rest of the header came with version 3
        head = head[:_VERSION_2_BYTES]
    fields = _HEADER.unpack(head.ljust(_HEADER.size, b"\0"))
    _, _, backing, _, cluster_bits, size_bytes, encryption, _, table, counts, _, _, _, incompatible, *_ = fields
    whole = 9 <= cluster_bits <= 21 and 0 < table < file_bytes and 0 < counts < file_bytes
    if version not in {2, 3} or not whole:
        raise UsageError(f"disk: the qcow2 image '{path}' is damaged, cut, or of an unknown version")
    if encryption or backing or incompatible & _EXTERNAL_DATA:
        trouble = "is encrypted" if encryption else "needs another file" if backing else "has its data elsewhere"
        raise UsageError(f"disk: the qcow2 image '{path}' {trouble}; make a plain one: qemu-img convert -O qcow2")
    return int(size_bytes)


def create(path: Path, size_bytes: int) -> None:
    """An empty layer: header, table and block of reference counts, first table of the mapping, a cluster each."""
    entries = -(-size_bytes // _L1_ENTRY_BYTES)
    counts, block, table = (number * _CLUSTER_BYTES for number in (1, 2, 3))
    head = (_MAGIC, 3, 0, 0, _CLUSTER_BITS, size_bytes, 0, entries, table, counts, 1, 0, 0)
    features = (0, 0, 0, 4, _HEADER.size)  # none; a reference count has 2**4 bits
    with path.open("xb") as file:
        file.write(_HEADER.pack(*head, *features))
        file.seek(counts)
        file.write(struct.pack(">Q", block))
        file.seek(block)
        file.write(struct.pack(">4H", 1, 1, 1, 1))
        file.truncate(4 * _CLUSTER_BYTES)


def seal(layer: Path) -> None:
    """It is never written to again."""
    layer.chmod(0o400)


class Chain:
    """The layers of one guest that runs, from the lowest: those in a cache, those inherited, those of its own."""

    def __init__(self, disk: Disk | None, folder: Path, cached: Path | None, inherited: Sequence[Path]) -> None:
        self.cached = cached
        self._disk = disk
        self._folder = folder
        self._inherited = link(inherited, folder / "inherited")
        self._number = 0
        self.own: list[Path] = []  # what this guest has written, the last one is being written to
        if disk:
            self.own.append(self._create(disk))

    @property
    def layers(self) -> list[Path]:
        """All of them, as they are to be given to QEMU."""
        return [*([self.cached] if self.cached else []), *self._inherited, *self.own]

    def freeze(self, monitor: Monitor, name: Path) -> tuple[Path, ...]:
        """Give a guest that is stopped a new layer; returns links, named after `name`, to those that may be shared.

        Raises TargetFailed, LabInvalid.
        """
        if not self._disk:
            return ()
        below = f"layer{len(self.layers) - 1}"
        top = self._create(self._disk)
        node = _node(f"layer{len(self.layers)}", top, "qcow2", below=None, read_only=False)
        monitor.execute("blockdev-add", **node)
        monitor.execute("blockdev-snapshot", node=below, overlay=node["node-name"])
        frozen = [*self._inherited, *self.own]
        seal(frozen[-1])
        self.own.append(top)
        return link(frozen, name)

    def _create(self, disk: Disk) -> Path:
        path = self._folder / f"layer{self._number}"
        self._number += 1
        with _written():
            create(path, disk.size_bytes)
        return path


@contextlib.contextmanager
def chain(
    disk: Disk | None, scratch: Path, *, cached: Path | None = None, inherited: Sequence[Path] = ()
) -> Iterator[Chain]:
    """Layers for a guest that starts; leaving the context removes its names for them. Raises LabInvalid."""
    if disk is None:
        yield Chain(None, scratch, None, ())
        return
    with tempfile.TemporaryDirectory(dir=scratch, prefix="disk-") as folder:
        yield Chain(disk, Path(folder), cached, inherited)


def link(layers: Sequence[Path], name: Path) -> tuple[Path, ...]:
    """More names for the same files: `NAME-0` and so on. All of them, or none. Raises LabInvalid."""
    made: list[Path] = []
    try:
        with _written():
            for number, layer in enumerate(layers):
                path = name.with_name(f"{name.name}-{number}")
                os.link(layer, path)
                made.append(path)
    except BaseException:
        for path in made:
            path.unlink()
        raise
    return tuple(made)


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LabInvalid(f"cannot keep a layer of a guest's disk: {error.strerror}") from error


def _node(name: str, path: Path, form: str, *, below: str | None, read_only: bool) -> dict[str, Any]:
    """A block node of QEMU; `backing` is said even where there is none, or QEMU would look into the file for one."""
    node = {"node-name": name, "driver": form, "read-only": read_only}
    file = {"driver": "file", "filename": str(path)}
    return node | {"file": file} | ({} if form == "raw" else {"backing": below})
