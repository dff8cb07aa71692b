"""A run as one file to send: a gzip'd tar of plain files, and how it is unpacked from a stranger's hands.

Only headers of plain files and of the two folders of a run are known here: no links, devices, sparse files, extended
headers or long names, each of which is a way to write elsewhere or to take all memory. A run is packed by hand with
`tar --format=ustar -C RUN -cz .`
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from pathlib import Path
from typing import IO

from benchproof.errors import StoreError
from benchproof.model import Frozen
from benchproof.store import bundle

FOLDERS = ("logs", "objects")
_BLOCK = tarfile.BLOCKSIZE
_CHUNK_BYTES = 1 << 20
_MEMBER = re.compile(r"(?:(?:logs|objects)/)?\w[\w.-]{0,199}", re.ASCII)


class Room(Frozen, frozen=True, kw_only=True):
    """How much of everything a packed run may have."""

    packed_bytes: int = 64 << 20
    unpacked_bytes: int = 1 << 30
    files: int = 20_000


def pack(run: Path, into: IO[bytes]) -> None:
    """The same bytes for the same run, always. Raises StoreError where it holds what cannot be sent."""
    if odd := bundle.strangers(run):
        raise StoreError(f"'{run}' is damaged: {odd[0].relative_to(run)} is neither a file nor a folder of a run")
    with (
        gzip.GzipFile(fileobj=into, mode="wb", filename="", mtime=0) as out,
        tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path in sorted([*bundle.members(run), run / bundle.MANIFEST]):
            member = tarfile.TarInfo(path.relative_to(run).as_posix())
            member.size = path.stat().st_size
            try:
                with path.open("rb") as file:
                    archive.addfile(member, file)
            except ValueError as error:  # a name of over 100 characters
                raise StoreError(f"'{run}': {member.name[:60]}...: {error}") from error


def unpack(packed: IO[bytes], folder: Path, room: Room) -> None:
    """Into a folder that does not exist yet. Raises StoreError; what was written until then is the caller's to remove.

    Every file is made by this call, in a folder made by this call: there is nothing to follow or to overwrite.
    """
    for made in (folder, *(folder / name for name in FOLDERS)):
        made.mkdir()
    with gzip.GzipFile(fileobj=packed) as stream:
        source = _Source(stream, room)
        try:
            while member := source.member():
                _write(folder, member, source)
            source.refuse_more()
        except (EOFError, OSError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise StoreError(f"expected a whole gzip'd tar of a run, found {error}") from error


class _Source:
    """The unpacked bytes, counted."""

    def __init__(self, stream: gzip.GzipFile, room: Room) -> None:
        self._stream = stream
        self._room = room
        self._bytes_left = room.unpacked_bytes
        self._files_left = room.files

    def take(self, size_bytes: int) -> bytes:
        """Exactly as many. Raises StoreError."""
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            raise StoreError(f"expected at most {self._room.unpacked_bytes} bytes unpacked, found more")
        content = self._stream.read(size_bytes)
        if len(content) != size_bytes:
            raise StoreError("expected a whole tar, found one that is cut off")
        return content

    def member(self) -> tarfile.TarInfo | None:
        """The next plain file, whose content comes next; None at the end. Raises StoreError."""
        while (header := self.take(_BLOCK)) != bytes(_BLOCK):
            self._files_left -= 1
            if self._files_left < 0:
                raise StoreError(f"expected at most {self._room.files} files, found more")
            try:
                member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
            except (tarfile.HeaderError, UnicodeDecodeError) as error:
                raise StoreError(f"expected a tar of plain files, found a header that is none: {error}") from error
            if not _is_folder(member):
                _refuse_odd(member)
                return member
        return None

    def refuse_more(self) -> None:
        """Behind the end there are zeros, as many as a tape would like."""
        while rest := self._stream.read(min(_CHUNK_BYTES, self._bytes_left + 1)):
            self._bytes_left -= len(rest)
            if rest.strip(b"\0") or self._bytes_left < 0:
                raise StoreError("expected nothing behind the end of the tar, found more")


def _is_folder(member: tarfile.TarInfo) -> bool:
    plain = member.name.removeprefix("./").rstrip("/")
    return member.type == tarfile.DIRTYPE and member.size == 0 and plain in {"", ".", *FOLDERS}


def _refuse_odd(member: tarfile.TarInfo) -> None:
    """Raises StoreError for what no run holds."""
    name = member.name[:100]
    if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
        kinds = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a FIFO"}
        found = kinds.get(member.type, "a folder" if member.type == tarfile.DIRTYPE else f"type {member.type!r}")
        raise StoreError(f"'{name}': expected a plain file (tar --format=ustar), found {found}")
    if not _MEMBER.fullmatch(member.name.removeprefix("./")):
        raise StoreError(f"'{name}': expected the name of a file of a run, such as logs/0001-stderr.txt")
    if member.size < 0:
        raise StoreError(f"'{name}': expected a size, found {member.size}")


def _write(folder: Path, member: tarfile.TarInfo, source: _Source) -> None:
    path = folder / member.name.removeprefix("./")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise StoreError(f"'{member.name[:100]}': expected each file once, found it twice") from error
    with os.fdopen(descriptor, "wb") as file:
        left = member.size
        while left:
            content = source.take(min(left, _CHUNK_BYTES))
            file.write(content)
            left -= len(content)
    source.take(-member.size % _BLOCK)
