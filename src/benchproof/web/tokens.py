"""Who may send runs, or read them: `tokens.json` in the home, which holds no token, only the hash of each.

A token is 256 random bits, shown once. So a plain SHA-256 hides it: there is nothing to guess. A token has one scope,
mostly an end, and can be revoked; a server asks the file at every request, so all of that holds at once. What was
revoked stays in the file, by name, for who wants to know later.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from benchproof import beneath
from benchproof.errors import StoreError, UsageError
from benchproof.model import Frozen

FILE = "tokens.json"
_INSIDE = PurePosixPath(FILE)
Scope = Literal["upload", "read"]
_PREFIX = "bp_"  # so that scanners for secrets find one that was committed
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_USE_NOTED_AFTER = timedelta(minutes=1)  # a page of many pictures writes the file once
_LIMIT_BYTES = 16 << 20
Clock = Callable[[], datetime]


class Token(Frozen, frozen=True, kw_only=True):
    """All that is known of a token, except itself. Times are UTC."""

    name: str
    scope: Scope
    sha256: str
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None
    revoked: datetime | None = None

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        """Whether it opens anything at that time."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and self.expires <= now else "valid"


class _Kept(Frozen, frozen=True):
    tokens: tuple[Token, ...] = ()


class Tokens:
    """The tokens of one home. Every method raises StoreError where the file cannot be read or written."""

    def __init__(self, home: Path, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._home = home
        self._path = home / FILE
        self._clock = clock

    def all(self) -> tuple[Token, ...]:
        """In the order in which they were made."""
        if not os.path.lexists(self._path):
            return ()
        with _explained(self._path):
            if self._path.lstat().st_mode & 0o077:
                raise StoreError(f"'{self._path}': expected a file that only its owner can read; chmod 600 it")
            content = beneath.read(self._home, _INSIDE, limit_bytes=_LIMIT_BYTES)
        try:
            return msgspec.json.decode(content, type=_Kept).tokens
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreError(f"'{self._path}' is damaged ({error}); move it away and make new tokens") from error

    def create(self, name: str, scope: Scope, *, lasts: timedelta | None) -> str:
        """Returns the token: nobody can ask for it again. `lasts`: None is for ever. Raises UsageError."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"token '{name[:80]}': expected a name of [a-z0-9][a-z0-9._-]{{0,62}}")
        text, now = _PREFIX + secrets.token_urlsafe(32), self._clock()
        new = Token(name=name, scope=scope, sha256=_hash(text), created=now, expires=now + lasts if lasts else None)
        with self._changing() as tokens:
            if any(each.name == name for each in tokens):
                raise UsageError(f"there is a token '{name}' already, or was; choose another name")
            tokens.append(new)
        return text

    def revoke(self, name: str) -> Token:
        """From now on it opens nothing. Revoking twice is no error. Raises UsageError where there is none."""
        with self._changing() as tokens:
            number = next((number for number, each in enumerate(tokens) if each.name == name), None)
            if number is None:
                raise UsageError(f"no token is called '{name[:80]}'; `benchproof token list` shows what there is")
            if not tokens[number].revoked:
                tokens[number] = msgspec.structs.replace(tokens[number], revoked=self._clock())
            return tokens[number]

    def admit(self, text: str, scope: Scope) -> Token | None:
        """The valid token of that scope whose text this is. Every token is looked at, whichever it is."""
        given, now = _hash(text), self._clock()
        fits = [each for each in self.all() if hmac.compare_digest(each.sha256, given)]
        found = next((each for each in fits if each.scope == scope and each.state(now) == "valid"), None)
        if found and (not found.last_used or now - found.last_used >= _USE_NOTED_AFTER):
            with contextlib.suppress(StoreError), self._changing() as tokens:  # a full disk turns nobody away
                tokens[:] = [_used(each, now) if each.name == found.name else each for each in tokens]
        return found

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """What is in the list afterwards is in the file, as a whole; an error leaves the file as it was."""
        with _explained(self._path):
            self._home.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._home / f".{FILE}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a file of its own: the one with the tokens is replaced
            tokens = list(self.all())
            yield tokens
            content = msgspec.json.format(msgspec.json.encode(_Kept(tuple(tokens))), indent=1) + b"\n"
            with _explained(self._path):
                beneath.write(self._home, _INSIDE, content, mode=0o600)
        finally:
            os.close(lock)


def _used(token: Token, now: datetime) -> Token:
    return msgspec.structs.replace(token, last_used=now)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> StoreError:
    return StoreError(f"'{path}': {error.strerror}; expected a file that this user can read and write")
