"""The workspace of a sandbox: a folder on the host that the sandbox sees too, read and written for a client.

Nothing here leads out of the folder, whatever the sandbox puts into it, and no file is larger than the limit says.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from benchproof import beneath
from benchproof.errors import UsageError
from benchproof.model import Frozen


class Limits(Frozen, frozen=True, kw_only=True):
    """The most that one workspace may ask of the host."""

    file_bytes: int = 2 << 20  # of a file that is read or written in one call
    listed: int = 5_000  # entries of one folder in one answer, and names in one list of changes
    files: int = 20_000  # in a snapshot
    bytes: int = 1 << 30  # in a snapshot
    snapshots: int = 64


class Place(Frozen, frozen=True, kw_only=True):
    """Where a workspace is. `inside`: what the sandbox calls the folder; `hidden`: names in it that are not its own."""

    root: Path
    inside: str = "/work"
    hidden: frozenset[str] = frozenset()
    mirrored: bool = False  # the sandbox does not see it: it is kept like what the sandbox has


class Workspace:
    """What a client does to the folder of a place."""

    def __init__(self, place: Place, *, limits: Limits | None = None) -> None:
        self.place = place
        self.root = place.root
        self.inside = place.inside
        self.limits = limits or Limits()

    def parts_of(self, path: str) -> tuple[str, ...]:
        """The parts of a path as a client writes it. Raises UsageError."""
        parts = beneath.parts_of(path, inside=self.inside)
        if parts and parts[0] in self.place.hidden:
            raise UsageError(f"'{path}' is the service's own; choose another name")
        return parts

    def read(self, path: str) -> bytes:
        """The content of a plain file. Raises UsageError."""
        *folders, name = self._file(path)
        with beneath.folder(self.root, folders) as within:
            try:
                with beneath.regular(name, within=within) as (descriptor, _):
                    return beneath.read_all(descriptor, most_bytes=self.limits.file_bytes, name=path)
            except OSError as error:
                raise beneath.refusal(path, error) from error

    def write(self, path: str, content: bytes, *, mode: int | None = None) -> dict[str, Any]:
        """Put a whole file in the place of what has that name; folders are made. Raises UsageError."""
        if len(content) > self.limits.file_bytes:
            raise UsageError(f"'{path}': expected up to {self.limits.file_bytes} bytes, found {len(content)}")
        *folders, name = self._file(path)
        with beneath.folder(self.root, folders, make=True) as within:
            kept = _mode(name, within) if mode is None else mode & 0o777
            try:
                with beneath.draft(name, within=within, mode=kept) as descriptor:
                    beneath.write_all(descriptor, content)
            except OSError as error:
                raise beneath.refusal(path, error) from error
        digest = hashlib.sha256(content).hexdigest()
        return {"path": "/".join((*folders, name)), "size_bytes": len(content), "sha256": digest}

    def entries(self, path: str) -> list[dict[str, Any]]:
        """What a folder holds, by name. Raises UsageError."""
        parts = self.parts_of(path)
        with beneath.folder(self.root, parts) as within, os.scandir(within) as scan:
            found: list[dict[str, Any]] = []
            for entry in scan:
                if not entry.name.startswith(beneath.DRAFT) and (parts or entry.name not in self.place.hidden):
                    found.append(_described(entry))
                    self.refuse_many(path, found)
        return sorted(found, key=lambda each: str(each["name"]))

    def refuse_many(self, path: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The entries of a folder. Raises UsageError for more than are listed."""
        if len(found) > self.limits.listed:
            raise UsageError(f"'{path}' has more than {self.limits.listed} entries, the most that are listed")
        return found

    def _file(self, path: str) -> tuple[str, ...]:
        parts = self.parts_of(path)
        if not parts:
            raise UsageError(f"path '{path}' is the workspace itself; expected a file in it")
        return parts


def _mode(name: str, within: int) -> int:
    """The mode of the file that is there already."""
    try:
        found = os.stat(name, dir_fd=within, follow_symlinks=False)
    except FileNotFoundError:
        return 0o644
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"'{name}': expected a file, found a folder")
    return found.st_mode & 0o777 if stat.S_ISREG(found.st_mode) else 0o644


def _described(entry: os.DirEntry[str]) -> dict[str, Any]:
    found = entry.stat(follow_symlinks=False)
    name = entry.name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    kind = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}.get(stat.S_IFMT(found.st_mode), "other")
    return {"name": name, "kind": kind, "size_bytes": found.st_size}
