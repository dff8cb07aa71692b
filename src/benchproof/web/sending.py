"""A run goes to a dashboard: the token is tried first, then the run is packed and sent in one request.

The token goes to the address that was named and nowhere else: no redirect is followed, no proxy asked, and over plain
HTTP only to this host unless that is wanted.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from benchproof.errors import StoreError, UsageError, one_line
from benchproof.model import Frozen
from benchproof.store import bundle, packed

_PATH = "/api/upload"
_TIMEOUT_S = 60.0  # of a step on the wire
_VERIFY_TIMEOUT_S = 600.0  # the server answers when it has verified the run
_ANSWER_LIMIT_BYTES = 4 << 20
_TOKEN_LIMIT_BYTES = 4096
T = TypeVar("T", bound=Frozen)


class Sent(Frozen, frozen=True, kw_only=True):
    """What the server says became of it."""

    status: str  # added | there already | refused
    run_id: str = ""
    path: str = ""
    error: str = ""
    todo: str = ""


class _Offer(Frozen, frozen=True, kw_only=True):
    token: str
    packed_bytes: int
    unpacked_bytes: int
    files: int


def token_in(path: Path) -> str:
    """The token in a file. Raises UsageError."""
    try:
        with path.open("rb") as file:
            text = file.read(_TOKEN_LIMIT_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "other bytes than ASCII"
        raise UsageError(
            f"--token-file '{path}': expected a token, found: {words}; `benchproof token create` makes one"
        ) from error
    if not text or not text.isprintable() or " " in text:
        raise UsageError(f"--token-file '{path}': expected one line with a token; `benchproof token create` makes one")
    return text


def send(run: Path, url: str, token: str, *, plain: bool = False, say: Callable[[str], None] = lambda _: None) -> Sent:
    """Send a complete run to the dashboard at `url`. Raises UsageError, StoreError; `Sent` may be a refusal."""
    where = _address(url, plain=plain)
    manifest = bundle.load_sealed(run).manifest
    if manifest.state != "complete":
        raise UsageError(f"run {manifest.run_id} is not complete; benchproof run --resume {manifest.run_id}")
    offer = _asked(where, token, _Offer)
    with tempfile.TemporaryFile(prefix="benchproof-upload-") as file:
        packed.pack(run, file)
        size_bytes = file.tell()
        if size_bytes > offer.packed_bytes:
            raise StoreError(f"the run has {size_bytes} bytes packed, {where.netloc} takes {offer.packed_bytes}")
        file.seek(0)
        say(f"sending {size_bytes} bytes to {where.netloc} as '{offer.token}'")
        return _asked(where, token, Sent, body=file, size_bytes=size_bytes)


def _address(url: str, *, plain: bool) -> SplitResult:
    """Raises UsageError."""
    try:
        where = urlsplit(url)
        host, _ = where.hostname or "", where.port
    except ValueError as error:
        raise UsageError(f"--to '{url}': {error}") from error
    if where.scheme not in {"http", "https"} or not host or where.query or where.fragment or where.username:
        raise UsageError(f"--to: expected an address such as https://bench.example.org/path, found '{url}'")
    if where.scheme == "http" and not plain and not _is_loopback(host):
        raise UsageError(f"--to '{url}': a token over plain HTTP is everybody's; use https, or say --plain")
    return where


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _asked(where: SplitResult, token: str, kind: type[T], *, body: IO[bytes] | None = None, size_bytes: int = 0) -> T:
    """One request. Raises StoreError where nothing that makes sense comes back."""
    headers = {"Authorization": f"Bearer {token}"}
    if body:
        headers |= {"Content-Type": "application/gzip", "Content-Length": str(size_bytes)}
    connection = _connection(where)
    try:
        connection.connect()
        if body and connection.sock:
            connection.sock.settimeout(_VERIFY_TIMEOUT_S)
        _request(connection, "POST" if body else "GET", where.path.rstrip("/") + _PATH, headers, body)
        answer = connection.getresponse()
        return _read(answer.status, answer.read(_ANSWER_LIMIT_BYTES), where, kind)
    except (OSError, http.client.HTTPException) as error:
        words = one_line(getattr(error, "strerror", None) or str(error)) or type(error).__name__
        raise StoreError(f"{where.netloc} did not answer ({words}); does `benchproof serve` run there?") from error
    finally:
        connection.close()


def _request(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], body: IO[bytes] | None
) -> None:
    try:
        connection.request(method, path, body=body, headers=headers)
    except (BrokenPipeError, ConnectionResetError):
        if not body:
            raise  # else the server has said why before it closed, and the answer may be there


def _connection(where: SplitResult) -> http.client.HTTPConnection:
    assert where.hostname
    if where.scheme == "http":
        return http.client.HTTPConnection(where.hostname, where.port, timeout=_TIMEOUT_S)
    context = ssl.create_default_context()  # SSL_CERT_FILE names an authority of one's own
    return http.client.HTTPSConnection(where.hostname, where.port, timeout=_TIMEOUT_S, context=context)


def _read(status: int, content: bytes, where: SplitResult, kind: type[T]) -> T:
    try:
        refused = msgspec.json.decode(content, type=Sent) if status >= 400 else None
        if refused is None and status < 300:
            return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        refused = None
    if refused is None:
        raise StoreError(f"{where.netloc}: expected the answer of a dashboard, found status {status}; is --to right?")
    if kind is Sent:
        return refused  # type: ignore[return-value]
    raise StoreError(f"{where.netloc}: {refused.error}; {refused.todo}")


def refusal(sent: Sent) -> str:
    """One line of a refusal, or nothing."""
    words = "; ".join(each for each in (sent.error, sent.todo) if each)
    return one_line(words) if sent.status == "refused" else ""
