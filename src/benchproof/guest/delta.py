"""The state of a running guest, no more of it than a clone needs: the pages that changed since it started.

A clone maps the memory file of its snapshot privately, so QEMU puts all its memory into the state that it writes. But
a stream need not hold every page: what is not in it stays, at the other end, as the file has it. So the stream is
filtered on its way to the disk. Format: QEMU's migration/savevm.c (sections) and migration/ram.c (pages).
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchproof.errors import TargetFailed

_MAGIC = b"QEVM\0\0\0\3"
_START, _PART, _END, _FOOTER = 1, 2, 3, 0x7E
_RAM_SECTION = b"\x03ram" + struct.pack(">II", 0, 4)  # its name, instance and version
_HEADER_LIMIT_BYTES = 4096
_PAGE_BYTES = 4096
_ZERO, _TOTAL, _PAGE, _EOS, _CONTINUE = 0x02, 0x04, 0x08, 0x10, 0x20
_ZEROES = bytes(_PAGE_BYTES)
_CHUNK_BYTES = 1 << 20


def write(stream: IO[bytes], out: IO[bytes], *, base: Path | None) -> None:
    """Copy a migration stream without the pages of main memory that are as in the file `base` (None: all zero).

    Raises TargetFailed if the stream is not built as expected.
    """
    with _mapped(base) as memory:
        _Filter(stream, out, memory).copy()


@contextlib.contextmanager
def _mapped(base: Path | None) -> Iterator[mmap.mmap | None]:
    if base is None:
        yield None
        return
    with base.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        yield memory


class _Filter:
    def __init__(self, stream: IO[bytes], out: IO[bytes], memory: mmap.mmap | None) -> None:
        self.stream = stream
        self.out = out
        self.memory = memory
        self.ram = b""  # the largest block is the main memory
        self.block = b""  # whose pages come now
        self.written_block = b""  # as the other end believes it

    def copy(self) -> None:
        section = self._head()
        kind = _START
        while kind in {_START, _PART, _END}:
            self._pages()
            footer = self._read(5)
            if footer != bytes([_FOOTER]) + section:
                raise _strange("footer", footer)
            self.out.write(footer)
            if kind == _END:
                break
            self.written_block = b""
            (kind,) = head = self._read(1)
            if kind not in {_PART, _END}:
                raise _strange("section", head)
            self.out.write(head + self._read(4))
        while chunk := self.stream.read(_CHUNK_BYTES):
            self.out.write(chunk)

    def _head(self) -> bytes:
        """Everything up to the first page; returns the number of the memory's section."""
        head = self._read(len(_MAGIC))
        while not head.endswith(_RAM_SECTION):
            if not head.startswith(_MAGIC) or len(head) > _HEADER_LIMIT_BYTES:
                raise _strange("start", head[:80])
            head += self._read(1)
        self.out.write(head)
        section = head[-len(_RAM_SECTION) - 4 : -len(_RAM_SECTION)]
        if head[-len(_RAM_SECTION) - 5] != _START:
            raise _strange("section", head[-len(_RAM_SECTION) - 5 :])
        return section

    def _pages(self) -> None:
        while True:
            record = self._read(8)
            (word,) = struct.unpack(">Q", record)
            address, flags = word & ~(_PAGE_BYTES - 1), word & (_PAGE_BYTES - 1)
            if flags == _EOS:
                self.out.write(record)
                return
            if flags == _TOTAL:
                self._blocks(record, address)
            elif flags & ~_CONTINUE in {_PAGE, _ZERO}:
                self._page(address, flags)
            else:
                raise _strange("record", record)

    def _blocks(self, record: bytes, total_bytes: int) -> None:
        """The names, sizes and addresses of all blocks of memory."""
        self.out.write(record)
        largest_bytes = 0
        while total_bytes > 0:
            length = self._read(1)
            name, rest = self._read(length[0]), self._read(16)
            self.out.write(length + name + rest)
            (size_bytes,) = struct.unpack(">Q", rest[:8])
            if size_bytes > largest_bytes:
                self.ram, largest_bytes = name, size_bytes
            total_bytes -= size_bytes

    def _page(self, address: int, flags: int) -> None:
        if not flags & _CONTINUE:
            self.block = self._read(self._read(1)[0])
        content = self._read(_PAGE_BYTES if flags & _PAGE else 1)
        if content == b"\0" and flags & _ZERO:
            whole = _ZEROES
        elif flags & _PAGE:
            whole = content
        else:
            raise _strange("page", content)
        if self.block == self.ram and self._known(address) == whole:
            return
        same = self.block == self.written_block
        self.out.write(struct.pack(">Q", address | (flags & ~_CONTINUE) | (_CONTINUE if same else 0)))
        if not same:
            self.out.write(bytes([len(self.block)]) + self.block)
            self.written_block = self.block
        self.out.write(content)

    def _known(self, address: int) -> bytes:
        return _ZEROES if self.memory is None else self.memory[address : address + _PAGE_BYTES]

    def _read(self, size: int) -> bytes:
        data = self.stream.read(size)
        if len(data) != size:
            raise TargetFailed(f"QEMU's state is cut: expected {size} bytes more, found {len(data)}")
        return data


def _strange(what: str, found: bytes) -> TargetFailed:
    return TargetFailed(f"QEMU's state is not in the expected form: {what} {found.hex()}")
