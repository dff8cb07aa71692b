"""Files beneath a folder that a sandbox can write to: nothing it puts there leads us out of it.

Each part of a path is opened by itself, from the folder before it, and no symbolic link is followed: a link that is
put in place while we walk is refused like one that was there before. FIFOs and devices are refused, not waited for.
`read` and `write` are for a whole file, and raise what the system says; the rest is for who walks by himself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from benchproof.errors import UsageError

DRAFT = ".benchproof-draft-"  # what is being written has such a name, until it is whole and renamed
_LONGEST_PATH = 4096
_DEEPEST = 64
_CHUNK_BYTES = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read(root: Path, inside: PurePosixPath, *, limit_bytes: int) -> bytes:
    """The content of `root/inside`. Raises OSError: ELOOP for a link, EINVAL for no file, EFBIG for one too large."""
    with _opened(root, _folders_of(inside)) as within:
        descriptor = os.open(inside.name, _PLAIN, dir_fd=within)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(inside))
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(inside))
    return content


def write(root: Path, inside: PurePosixPath, content: bytes, *, mode: int) -> None:
    """Put `content` at `root/inside`, whole or not at all; what was there is replaced, never written into."""
    with _opened(root, _folders_of(inside)) as within, draft(inside.name, within=within, mode=mode) as descriptor:
        write_all(descriptor, content)


def _folders_of(inside: PurePosixPath) -> tuple[str, ...]:
    """Those on the way to a file. Raises OSError."""
    if not inside.name or inside.is_absolute() or ".." in inside.parts:
        raise OSError(errno.EACCES, "leads out of its folder", str(inside))
    return inside.parts[:-1]


def parts_of(path: str, *, inside: str) -> tuple[str, ...]:
    """The parts of a path as a client writes it: relative, or beginning with `inside`. Raises UsageError."""
    if not path.isprintable() or len(path) > _LONGEST_PATH:
        raise UsageError(f"path: expected up to {_LONGEST_PATH} printable characters, found {path[:80]!r}")
    plain = path.removeprefix(inside) if path == inside or path.startswith(f"{inside}/") else path
    parts = tuple(part for part in plain.split("/") if part not in {"", "."})
    if ".." in parts or (path.startswith("/") and plain == path):
        raise UsageError(f"path '{path}' leads out of the workspace; expected one within '{inside}'")
    if len(parts) > _DEEPEST or any(part.startswith(DRAFT) for part in parts):
        raise UsageError(f"path '{path}': expected up to {_DEEPEST} parts, none of which begins with '{DRAFT}'")
    return parts


@contextlib.contextmanager
def folder(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder; `make`: folders that are missing are made. Raises UsageError."""
    try:
        with _opened(root, parts, make=make) as descriptor:
            yield descriptor
    except OSError as error:
        raise refusal("/".join(parts) or ".", error) from error


@contextlib.contextmanager
def _opened(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """The same. Raises OSError."""
    descriptor = os.open(root, _FOLDER)
    try:
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=descriptor)
            deeper = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def refusal(path: str, error: OSError) -> UsageError:
    """The one line for a path that cannot be opened as it should."""
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return UsageError(f"'{path}': expected plain folders and files, found a symbolic link or a file on the way")
    return UsageError(f"'{path}': {os.strerror(error.errno or 0)}")


@contextlib.contextmanager
def regular(name: str, *, within: int) -> Iterator[tuple[int, os.stat_result]]:
    """A descriptor of a plain file, open for reading, and what it is. Raises OSError, UsageError."""
    descriptor = os.open(name, _PLAIN, dir_fd=within)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"'{name}': expected a plain file, found {kind_of(found.st_mode)}")
        yield descriptor, found
    finally:
        os.close(descriptor)


def kind_of(mode: int) -> str:
    """What a mode says that it is, in words."""
    kinds = {
        stat.S_IFREG: "a plain file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


@contextlib.contextmanager
def draft(name: str, *, within: int, mode: int) -> Iterator[int]:
    """A file to write to, which takes the place of `name` in one step when the context is left without an error."""
    temporary = DRAFT + secrets.token_hex(8)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=within)
    try:
        yield descriptor
        os.fchmod(descriptor, mode)
        os.rename(temporary, name, src_dir_fd=within, dst_dir_fd=within)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=within)
        raise
    finally:
        os.close(descriptor)


def read_all(descriptor: int, *, most_bytes: int, name: str) -> bytes:
    """The content from where the descriptor stands. Raises UsageError where it is more than `most_bytes`."""
    content = bytearray()
    while chunk := os.read(descriptor, min(_CHUNK_BYTES, most_bytes + 1 - len(content))):
        content += chunk
        if len(content) > most_bytes:
            raise UsageError(f"'{name}' has more than {most_bytes} bytes, the most that are read in one call")
    return bytes(content)


def write_all(descriptor: int, content: bytes) -> None:
    """Write it whole."""
    unsent = memoryview(content)
    while unsent:
        unsent = unsent[os.write(descriptor, unsent) :]
