"""What is open and who was told, in one file beside the runs: read, changed and written by one of us at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchproof.alerts.findings import Subject
from benchproof.errors import StoreError
from benchproof.model import Frozen
from benchproof.store import files

STATE, LOCK = "alerts.json", "alerts.lock"
FORMAT = 1
_LIMIT_BYTES = 64 << 20
_CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # no link is followed, no pipe waited for


class Told(Frozen, frozen=True):
    """What a channel was told last of an incident, and when; `count`: of messages about it."""

    event: str  # opened | reminder | recovered
    at: str
    count: int = 1


class Incident(Frozen, frozen=True, kw_only=True):
    """Something that is too bad, from when it was found until everyone who was to be told knows that it is over."""

    rule: str
    subject: Subject
    name: str  # of the subject, for a reader
    mode: str  # gate | review
    since: str  # RFC 3339, UTC
    text: str
    ended: str = ""  # when it was found to be good again
    told: dict[str, Told] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> tuple[str, Subject]:
        """One of each is open at a time."""
        return self.rule, self.subject


class State(Frozen, frozen=True):
    """The whole file."""

    format: int = FORMAT
    incidents: tuple[Incident, ...] = ()


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Whoever comes second waits: two checks at once tell nobody twice. Raises StoreError."""
    path = home / LOCK
    try:
        home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _CAREFUL, 0o600)
    except OSError as error:
        raise StoreError(f"cannot write '{path}': {error.strerror}; name another folder with --home") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def load(home: Path) -> State:
    """Empty where there is none. Raises StoreError for what is no state of ours: nobody is told everything again."""
    path = home / STATE
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _CAREFUL), "rb") as file:
            content = file.read(_LIMIT_BYTES)
        found = msgspec.json.decode(content, type=State)
    except FileNotFoundError:
        return State()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"'{path}' cannot be read: {reason}; move it away to begin anew: all is told again") from error
    if found.format != FORMAT:
        raise StoreError(f"'{path}': expected format {FORMAT}, found {found.format}; move it away to begin anew")
    return found


def save(home: Path, state: State) -> None:
    """When this returns it is on the disk. Raises StoreError."""
    content = msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n"
    files.replace(home / STATE, content, remedy="make room, or name another folder with --home", mode=0o600)
