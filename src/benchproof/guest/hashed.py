"""Is a file of the cache what was written? Each is hashed once for as long as it is the same to the file system.

A guest's memory is mostly holes: where only its data is hashed, with the place of each block, the first start of a run
does not wait a second for each 256 MiB of nothing. What was written to a hole is data, so it is noticed all the same.
"""

from __future__ import annotations

import errno
import hashlib
import os
from functools import cache
from pathlib import Path

_BLOCK_BYTES = 64 << 10
_NOTHING = bytes(_BLOCK_BYTES)


def sha256(path: Path) -> str:
    """Raises OSError."""
    return _of_file(path, *_identity(path))


def memory_sha256(path: Path) -> str:
    """Of its length and its blocks that are not zero, however many of the others are holes. Raises OSError."""
    return _of_memory(path, *_identity(path))


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@cache
def _of_file(path: Path, *_identity: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _of_memory(path: Path, *_identity: int) -> str:
    with path.open("rb", buffering=0) as file:
        found = hashlib.sha256(b"%d\n" % os.fstat(file.fileno()).st_size)
        at = _data_from(file.fileno(), 0)
        while at is not None:
            at -= at % _BLOCK_BYTES
            block = os.pread(file.fileno(), _BLOCK_BYTES, at)
            if block != _NOTHING[: len(block)]:
                found.update(b"%d %d\n" % (at, len(block)))
                found.update(block)
            at = _data_from(file.fileno(), at + _BLOCK_BYTES)
        return found.hexdigest()


def _data_from(descriptor: int, at: int) -> int | None:
    """Where the next data is; a file system without holes says that all is data."""
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None
