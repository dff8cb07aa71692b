"""Who started what with more rights than usual: `audit.jsonl` beside the runs, to which lines are only ever added.

A line is on the disk before the benchmark that it speaks of starts; where it cannot be written, nothing is started.
Each line carries a hash over itself and the line before, so that one that was changed or taken out is noticed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchproof.errors import StoreError
from benchproof.model import Frozen

AUDIT = "audit.jsonl"
_CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no link is followed, no pipe waited for


class Entry(Frozen, frozen=True, kw_only=True):
    """One start, or how it ended."""

    at: str  # RFC 3339, UTC
    user: str
    run_id: str
    target: str
    benchmark: str  # empty: the target as such, to be described
    authority: str  # what it may do, in words
    event: str  # starting | ended
    outcome: str = ""  # of what ended
    chain: str = ""


def entry(*, run_id: str, target: str, benchmark: str, authority: str, event: str, outcome: str = "") -> Entry:
    """Now, by who runs us."""
    return Entry(
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        user=_user(),
        run_id=run_id,
        target=target,
        benchmark=benchmark,
        authority=authority,
        event=event,
        outcome=outcome,
    )


def append(home: Path, new: Entry) -> None:
    """When this returns it is on the disk. Raises StoreError."""
    path = home / AUDIT
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _CAREFUL, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            _refuse_no_file(path, descriptor)
            fcntl.flock(file, fcntl.LOCK_EX)  # two of us write one line each, one after the other
            written = file.read()
            if written and not written.endswith(b"\n"):
                raise StoreError(f"'{path}': its last line is torn; look at it, and move the file away to go on")
            line = msgspec.json.encode(msgspec.structs.replace(new, chain=_link(_last(written), new))) + b"\n"
            if file.write(line) != len(line):
                os.ftruncate(descriptor, len(written))
                raise StoreError(f"cannot write to '{path}': there is no room; make some")
            os.fsync(descriptor)
    except OSError as error:
        raise StoreError(f"cannot write to '{path}': {error.strerror}; name another folder with --home") from error


def read(home: Path) -> Iterator[tuple[Entry, bool]]:
    """Each line, and whether it and those before it are as they were written. Raises StoreError at what is no line."""
    path, before = home / AUDIT, ""
    if not path.exists():
        return
    for number, line in enumerate(_content(path).splitlines(), start=1):
        try:
            found = msgspec.json.decode(line, type=Entry)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreError(f"'{path}', line {number}: {error}") from error
        yield found, _link(before, msgspec.structs.replace(found, chain="")) == found.chain
        before = found.chain


def _content(path: Path) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _CAREFUL), "rb") as file:
            _refuse_no_file(path, file.fileno())
            return file.read()
    except OSError as error:
        raise StoreError(f"cannot read '{path}': {error.strerror}") from error


def _refuse_no_file(path: Path, descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise StoreError(f"'{path}': expected a file, found something else; move it away to go on")


def _last(written: bytes) -> str:
    """The hash that the next line follows."""
    lines = written.splitlines()
    try:
        return msgspec.json.decode(lines[-1], type=Entry).chain if lines else ""
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"{AUDIT}: its last line is damaged ({error}); move the file away to go on") from error


def _link(before: str, new: Entry) -> str:
    return hashlib.sha256(before.encode() + msgspec.json.encode(new)).hexdigest()


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
