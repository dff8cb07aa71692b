"""A folder of the host that is kept like a folder inside of a guest, which shares none with its host.

The guest's folder is what counts. Before more than one folder of it is looked at, it is fetched whole, as one stream
that the probe makes; a file that a client writes is sent there at once. Names and links of the stream are a guest's
word: they lead nowhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchproof import beneath
from benchproof.errors import TargetFailed, UsageError
from benchproof.model import Completed

_HEAD = re.compile(rb"([FLE]) ([0-7]{1,3}) (\d{1,9}) (\d{1,4})\n")
_ENTRY = re.compile(rb"([FLSO]) [0-7]{1,3} (\d{1,19}) (\d{1,4})\n")
_KINDS = {b"F": "file", b"S": "folder", b"L": "link", b"O": "other"}
_NO_FOLDER = 66  # how the probe ends if there is none
_SHOWN = 200
Run = Callable[[Sequence[str], bytes], Completed]  # a command of the probe inside, and its standard input


class _Entry(NamedTuple):
    kind: bytes
    mode: int
    content: bytes


class Mirror:
    """`run`: runs words of the probe inside. `inside`: the guest's folder."""

    def __init__(self, root: Path, run: Run, inside: str) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self._run = run
        self._inside = inside

    def pull(self) -> None:
        """Make ours like the guest's. Raises TargetFailed."""
        done = self._asked(["pack", self._inside], b"")
        wanted = dict(_entries(done.stdout))
        for path in sorted(_paths(self.root) - wanted.keys()):
            (self.root / path).unlink()
        _prune(self.root)
        for path, entry in wanted.items():
            self._put(path, entry)

    def entries(self, parts: Sequence[str]) -> list[dict[str, Any]]:
        """What one folder of the guest's holds, by name; nothing is fetched. Raises TargetFailed, UsageError."""
        path = "/".join(parts)
        done = self._run(["entries", self._inside, path], b"")
        if done.exit_status == _NO_FOLDER:
            raise UsageError(f"'{path}': {_said(done)}")
        self._refuse_failed("list", done)
        return sorted(_listed(done.stdout), key=lambda each: str(each["name"]))

    def push(self, parts: Sequence[str]) -> None:
        """Make one file of the guest's like ours; one that we have not is removed. Raises TargetFailed."""
        path = self.root.joinpath(*parts)
        name = "/".join(parts).encode()
        if path.is_symlink():
            kind, mode, content = b"L", 0o777, os.fsencode(path.readlink())
        elif path.exists():
            kind, mode, content = b"F", path.stat().st_mode & 0o777, path.read_bytes()
        else:
            kind, mode, content = b"D", 0, b""
        head = b"%s %o %d %d\n" % (kind, mode, len(content), len(name))
        self._asked(["unpack", self._inside], head + name + content + b"E 0 1 0\n")

    def _asked(self, words: Sequence[str], stdin: bytes) -> Completed:
        done = self._run(words, stdin)
        self._refuse_failed(words[0], done)
        return done

    def _refuse_failed(self, what: str, done: Completed) -> None:
        if done.exit_status:
            raise TargetFailed(f"the workspace inside cannot be {what}ed: {_said(done) or done.exit_status}")

    def _put(self, path: str, entry: _Entry) -> None:
        """In place of what is there, if that is another content; a folder that became a file, and so on, too."""
        parts = beneath.parts_of(path, inside="/nowhere")
        *folders, name = parts
        if self._has(parts, entry):
            return
        with beneath.folder(self.root, folders, make=True) as within:
            if entry.kind == b"L":
                (self.root / path).unlink(missing_ok=True)
                os.symlink(os.fsdecode(entry.content), name, dir_fd=within)
            else:
                with beneath.draft(name, within=within, mode=entry.mode) as descriptor:
                    beneath.write_all(descriptor, entry.content)

    def _has(self, parts: Sequence[str], entry: _Entry) -> bool:
        *folders, name = parts
        try:
            with beneath.folder(self.root, folders) as within:
                if entry.kind == b"L":
                    return os.fsencode(os.readlink(name, dir_fd=within)) == entry.content
                with beneath.regular(name, within=within) as (descriptor, found):
                    if (found.st_mode & 0o777, found.st_size) != (entry.mode, len(entry.content)):
                        return False
                    return beneath.read_all(descriptor, most_bytes=found.st_size, name=name) == entry.content
        except (OSError, UsageError):  # it is not there, or another kind of thing, or behind a link
            return False


def _entries(stream: bytes) -> Iterator[tuple[str, _Entry]]:
    """Each path and what is there. Raises TargetFailed where the stream is not whole."""
    at = count = 0
    while match := _HEAD.match(stream, at):
        kind, mode, size, name_size = match[1], int(match[2], 8), int(match[3]), int(match[4])
        if kind == b"E":
            if size != count or match.end() != len(stream):
                raise TargetFailed(f"the workspace inside: expected {size} files, found {count}")
            return
        name_end = match.end() + name_size
        at = name_end + size
        count += 1
        try:
            path = stream[match.end() : name_end].decode()
            beneath.parts_of(path, inside="/nowhere")
        except (UnicodeDecodeError, UsageError):
            continue  # a name that no client could ask for
        yield path, _Entry(kind, mode, stream[name_end:at])
    raise TargetFailed(f"the workspace inside: its content was cut off after {count} files")


def _listed(stream: bytes) -> Iterator[dict[str, Any]]:
    """Each entry of a folder. Raises TargetFailed where the stream is not whole."""
    at = count = 0
    while match := _ENTRY.match(stream, at):
        at = match.end() + int(match[3])
        count += 1
        name = stream[match.end() : at].decode(errors="backslashreplace")
        yield {"name": name, "kind": _KINDS[match[1]], "size_bytes": int(match[2])}
    if stream[at:] != b"E 0 %d 0\n" % count:
        raise TargetFailed(f"the folder inside: its list was cut off after {count} entries")


def _said(done: Completed) -> str:
    return done.stderr.decode(errors="replace").strip()[:_SHOWN]


def _paths(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}


def _prune(root: Path) -> None:
    """Remove folders that hold nothing: one may be a file by now."""
    for folder, _, _ in os.walk(root, topdown=False):
        if folder != str(root) and not os.listdir(folder):  # noqa: PTH208 - a name is enough
            Path(folder).rmdir()
