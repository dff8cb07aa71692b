"""Files in a folder that somebody else writes to at the same time: no link in it leads out of it.

Each part of a path is opened by itself, from the folder before it, and never through a symbolic link; what is no
regular file is not waited for. So a program inside a sandbox cannot make us read or write a file of the host.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read(root: Path, inside: PurePosixPath, *, limit_bytes: int) -> bytes:
    """The content of `root/inside`. Raises OSError: ELOOP for a link, EINVAL for no file, EFBIG for one too large."""
    with _folder_of(root, inside) as folder:
        descriptor = os.open(inside.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(inside))
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(inside))
    return content


def write(root: Path, inside: PurePosixPath, content: bytes, *, mode: int) -> None:
    """Put `content` at `root/inside`, whole or not at all; what was there is replaced, never written into."""
    with _folder_of(root, inside) as folder:
        draft = f".{secrets.token_hex(8)}"
        new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(draft, new, 0o600, dir_fd=folder), "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
            os.rename(draft, inside.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            raise


@contextlib.contextmanager
def _folder_of(root: Path, inside: PurePosixPath) -> Iterator[int]:
    """A descriptor of the folder in which the last part of `inside` lies."""
    if not inside.name or inside.is_absolute() or ".." in inside.parts:
        raise OSError(errno.EACCES, "leads out of its folder", str(inside))
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in inside.parts[:-1]:
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)
