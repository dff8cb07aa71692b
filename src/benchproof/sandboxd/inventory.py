"""What a workspace holds: every file by path, content hash and mode; how to copy it, and how two of them differ.

Plain files and symbolic links count. Empty folders do not, as in version control; FIFOs, sockets, devices and names
that are no UTF-8 are left out, and how many were left out is said.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from benchproof import beneath
from benchproof.errors import UsageError
from benchproof.model import Frozen
from benchproof.sandboxd.workspace import Limits, Workspace

_FICLONE = 0x40049409  # from <linux/fs.h>
_NO_REFLINK = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS}
_BUFFER_BYTES = 1 << 20


class Entry(Frozen, frozen=True):
    """One file. Of a link, `sha256` is of where it leads, and that is kept in `target`."""

    kind: Literal["file", "link"]
    sha256: str
    size_bytes: int
    mode: int
    blob: int = -1  # number of the copy in a snapshot; -1: there is none
    target: str = ""

    @property
    def shown(self) -> tuple[str, str, int]:
        """What makes two entries equal."""
        return (self.kind, self.sha256, self.mode)


Entries = Mapping[str, Entry]


class Found(Frozen, frozen=True):
    """A file that a walk came to: which folder (an open descriptor), its name in it, and its path."""

    within: int
    name: str
    path: str
    mode: int


class Tally:
    """Counts what a walk saw, and refuses more than the limits say."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.files = 0
        self.size_bytes = 0
        self.skipped = 0

    def file(self) -> None:
        """One more. Raises UsageError."""
        self.files += 1
        if self.files > self._limits.files:
            raise UsageError(f"the workspace has more than {self._limits.files} files, the most in a snapshot")

    def content(self, size_bytes: int) -> None:
        """So many bytes more. Raises UsageError."""
        self.size_bytes += size_bytes
        if self.size_bytes > self._limits.bytes:
            raise UsageError(f"the workspace has more than {self._limits.bytes} bytes, the most in a snapshot")

    @property
    def room_bytes(self) -> int:
        """What may still come."""
        return self._limits.bytes - self.size_bytes


def walk(workspace: Workspace, tally: Tally) -> Iterator[Found]:
    """All files and links beneath, folders in no order; what vanishes on the way was never there."""
    with beneath.folder(workspace.root, ()) as top:
        yield from _walk(top, "", tally, hidden=workspace.place.hidden)


def _walk(within: int, prefix: str, tally: Tally, *, hidden: frozenset[str] = frozenset()) -> Iterator[Found]:
    with os.scandir(within) as scan:
        entries = [entry for entry in scan if entry.name not in hidden]
    for entry in entries:
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            tally.skipped += 1
            continue
        if entry.name.startswith(beneath.DRAFT):
            continue
        with contextlib.suppress(FileNotFoundError):
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                yield from _deeper(within, entry.name, prefix, tally)
            elif stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                tally.file()
                yield Found(within, entry.name, prefix + entry.name, mode)
            else:
                tally.skipped += 1


def _deeper(within: int, name: str, prefix: str, tally: Tally) -> Iterator[Found]:
    if prefix.count("/") >= 64:
        raise UsageError(f"'{prefix}' lies deeper than 64 folders, the most in a snapshot")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    deeper = os.open(name, flags, dir_fd=within)
    try:
        yield from _walk(deeper, f"{prefix}{name}/", tally)
    finally:
        os.close(deeper)


def now(workspace: Workspace) -> tuple[dict[str, Entry], int]:
    """What the workspace holds at this moment, every content read and hashed, and how many were left out."""
    tally = Tally(workspace.limits)
    found = {}
    for each in walk(workspace, tally):
        with contextlib.suppress(FileNotFoundError):
            found[each.path] = link(each) if stat.S_ISLNK(each.mode) else _hashed(each, tally)
    return found, tally.skipped


def link(found: Found) -> Entry:
    """The entry of a symbolic link. Where it leads may be no UTF-8: then it is refused by name."""
    target = os.readlink(found.name, dir_fd=found.within)
    try:
        digest = hashlib.sha256(target.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise UsageError(f"the link '{found.path}' leads to a name that is no UTF-8") from error
    return Entry("link", digest, len(target), 0o777, target=target)


def _hashed(found: Found, tally: Tally) -> Entry:
    with beneath.regular(found.name, within=found.within) as (descriptor, status):
        digest, size_bytes = digest_of(descriptor, most_bytes=tally.room_bytes)
        tally.content(size_bytes)
        return Entry("file", digest, size_bytes, status.st_mode & 0o777)


def digest_of(descriptor: int, *, most_bytes: int) -> tuple[str, int]:
    """Hash and size of what can be read from the descriptor on; reading ends one buffer after `most_bytes`."""
    digest, size_bytes = hashlib.sha256(), 0
    while size_bytes <= most_bytes and (chunk := os.read(descriptor, _BUFFER_BYTES)):
        digest.update(chunk)
        size_bytes += len(chunk)
    return digest.hexdigest(), size_bytes


class Cloner:
    """Copies files, sharing their blocks where the file system can; remembers which way it was."""

    def __init__(self) -> None:
        self.ways: set[str] = set()
        self._reflinks = True

    @property
    def way(self) -> str:
        """`reflink`, `copy`, both (`mixed`), or `none` where there was nothing to copy."""
        return "mixed" if len(self.ways) > 1 else next(iter(self.ways), "none")

    def clone(self, source: int, copy: int, *, most_bytes: int) -> int:
        """Copy a whole file by descriptors; returns its size, which ends one buffer after `most_bytes`."""
        if self._reflinks and self._reflinked(source, copy):
            self.ways.add("reflink")
            return os.fstat(copy).st_size
        self.ways.add("copy")
        size_bytes = 0
        while size_bytes <= most_bytes and (count := os.sendfile(copy, source, None, _BUFFER_BYTES)):
            size_bytes += count
        return size_bytes

    def _reflinked(self, source: int, copy: int) -> bool:
        try:
            fcntl.ioctl(copy, _FICLONE, source)
        except OSError as error:
            if error.errno not in _NO_REFLINK:
                raise
            self._reflinks = False  # not between these two file systems; asked once
            return False
        return True


def cloned(
    workspace: Workspace, into: Path, tally: Tally, cloner: Cloner, changed: Callable[[str], object]
) -> dict[str, Entry]:
    """Copy all of it into numbered files; the entries have no hash yet. `changed`: told of files written meanwhile."""
    found: dict[str, Entry] = {}
    for each in walk(workspace, tally):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISLNK(each.mode):
                found[each.path] = link(each)
                continue
            with beneath.regular(each.name, within=each.within) as (source, before):
                number = len(found)
                with open(into / str(number), "xb", buffering=0) as copy:  # noqa: PTH123 - Path.open cannot say less
                    size_bytes = cloner.clone(source, copy.fileno(), most_bytes=tally.room_bytes)
                tally.content(size_bytes)
                if _moments(os.fstat(source)) != _moments(before):
                    changed(each.path)
                found[each.path] = Entry("file", "", size_bytes, before.st_mode & 0o777, blob=number)
    return found


def _moments(status: os.stat_result) -> tuple[int, int, int]:
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size)


def differences(before: Entries, after: Entries, *, most: int) -> dict[str, Any]:
    """Which paths were added, modified (content, mode or kind) and deleted; `most`: names in each list."""
    lists = {
        "added": sorted(after.keys() - before.keys()),
        "modified": sorted(path for path in before.keys() & after.keys() if before[path].shown != after[path].shown),
        "deleted": sorted(before.keys() - after.keys()),
    }
    counts = {f"{name}_count": len(paths) for name, paths in lists.items()}
    return {name: paths[:most] for name, paths in lists.items()} | counts
