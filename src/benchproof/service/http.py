"""One request, one answer, within a deadline and a size: what a service does wrong is said with the step it was.

Connections are kept alive and handed out last first, so that one caller always uses the same. A connection that the
other side closed while nothing was asked is replaced before anything is sent; after that nothing is ever tried again,
and no redirect is followed: a sample is one request.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import cast
from urllib.parse import urlsplit

from benchproof.errors import TargetFailed, UsageError
from benchproof.model import Frozen

ANSWER_LIMIT_BYTES = 48 << 20  # two streams of 16 MiB, as base64 in JSON
_CHUNK_BYTES = 1 << 16
_SHOWN = 200  # characters of an answer in a message
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Answer(Frozen, frozen=True):
    """An answer that came whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ns: int  # from before the first byte was sent to after the last was read

    @property
    def shown(self) -> str:
        """The beginning of the body, for a message."""
        text = self.body[:_SHOWN].decode(errors="replace").strip()
        return f"'{text}'" if text else "nothing"


def refuse_bad(url: str) -> None:
    """Raises UsageError for what is no plain address; a secret in one is not repeated."""
    parts = urlsplit(url)
    try:
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    shown = url.rpartition("@")[2]
    if not good or parts.username or parts.query or parts.fragment:
        raise UsageError(f"url: expected something like 'http://127.0.0.1:19222', without a user, found '{shown}'")


class Client:
    """Requests to one service, from any thread. `close` ends all connections that are idle."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, unix: str = "") -> None:
        """`unix`: the path of a socket; then `url` is only what a request's `Host` says."""
        refuse_bad(url)
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self.headers = dict(headers or {})
        self._secrets = tuple(value.rpartition(" ")[2].encode() for value in self.headers.values())
        self.is_loopback = bool(unix) or parts.hostname in _LOOPBACK
        self._prefix = parts.path.rstrip("/")
        self._host = str(parts.hostname)
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._unix = unix
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()

    def ask(
        self,
        step: str,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        limit_bytes: int = ANSWER_LIMIT_BYTES,
    ) -> Answer:
        """The answer, whatever its status but a redirect. Raises TargetFailed that begins with the step."""
        with _told(step, timeout_s), self._connection() as connection:
            connection.wire.until(time.monotonic() + timeout_s)
            began_ns = time.monotonic_ns()
            connection.request(method, self._prefix + path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            content = _content(response, limit_bytes)
            elapsed_ns = time.monotonic_ns() - began_ns
            connection.settled()
        headers_told = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, headers_told, self._told(content), elapsed_ns)
        if response.status in range(300, 400):
            to = self._told(answer.headers.get("location", "nowhere").encode(errors="replace")).decode(errors="replace")
            raise TargetFailed(f"{step}: expected an answer, found a redirect ({response.status}) to '{to[:_SHOWN]}'")
        return answer

    def _told(self, content: bytes) -> bytes:
        """Without our token: a service that repeats it must not have us write it down."""
        for secret in filter(None, self._secrets):
            content = content.replace(secret, b"[token]")
        return content

    def close(self) -> None:
        """End the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[_Connection]:
        """One that is open or opens itself; it is kept only if all went well."""
        connection = self._taken() or _Connection(self._host, self._port, connect=self._connect)
        try:
            yield connection
        except BaseException:
            connection.wire.cut()
            connection.close()
            raise
        if connection.sock is None:  # the other side said that it closes
            return
        with self._lock:
            self._idle.append(connection)

    def _taken(self) -> _Connection | None:
        """An idle connection that still stands. Raises TargetFailed if something came that nobody asked for."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or connection.wire.is_quiet():
                return connection
            connection.close()

    def _connect(self, deadline_s: float) -> socket.socket:
        left_s = max(0.001, deadline_s - time.monotonic())
        if self._unix:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(left_s)
            try:
                made.connect(self._unix)
            except BaseException:
                made.close()
                raise
            return made
        made = socket.create_connection((self._host, self._port), left_s)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._tls.wrap_socket(made, server_hostname=self._host) if self._tls else made


class _Connection(http.client.HTTPConnection):
    """With a deadline over all that happens on it, where the standard library has one for each read."""

    def __init__(self, host: str, port: int, *, connect: Callable[[float], socket.socket]) -> None:
        super().__init__(host, port)
        self.wire = _Wire(connect)

    def connect(self) -> None:
        self.wire.open()
        self.sock = cast("socket.socket", self.wire)

    def settled(self) -> None:
        """Raises TargetFailed if more came than the answer said that it is long."""
        if extra := self.wire.surplus:
            raise _Odd(f"the answer is longer than it said: {extra[:20]!r} follows")


class _Odd(Exception):  # noqa: N818 - it never leaves this module
    """What a service does that the standard library does not call an error."""


class _Wire:
    """Of a socket, what an `HTTPConnection` uses, with one deadline for all of it."""

    def __init__(self, connect: Callable[[float], socket.socket]) -> None:
        self._connect = connect
        self._socket: socket.socket | None = None
        self._deadline_s = 0.0
        self._readers = 0  # answers that are being read: the connection stays open for them
        self._closing = False
        self.surplus = b""

    def until(self, deadline_s: float) -> None:
        """All that follows has to end by then."""
        self._deadline_s = deadline_s
        self.surplus = b""

    def open(self) -> None:
        self._socket = self._connect(self._deadline_s)
        self._closing = False

    def is_quiet(self) -> bool:
        """Open, with nothing to read."""
        return self._socket is not None and not select.select([self._socket], [], [], 0)[0]

    def sendall(self, data: bytes) -> None:
        self._ready().sendall(data)

    def read_into(self, buffer: memoryview) -> int:
        return self._ready().recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        assert mode == "rb"
        self._readers += 1
        return _Reader(_Raw(self))

    def end_reading(self, surplus: bytes) -> None:
        """One answer was read; more bytes than it has are noted."""
        self.surplus += surplus
        self._readers -= 1
        if self._closing and not self._readers:
            self.cut()

    def close(self) -> None:
        """When the answer that is being read was read."""
        self._closing = True
        if not self._readers:
            self.cut()

    def cut(self) -> None:
        """Now."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ready(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("the connection is closed")
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)
        return self._socket


class _Raw(io.RawIOBase):
    """The bytes that come, until `blind`: then it looks as if nothing more came."""

    def __init__(self, wire: _Wire) -> None:
        super().__init__()
        self.wire = wire
        self.blind = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return 0 if self.blind else self.wire.read_into(buffer)


class _Reader(io.BufferedReader):
    """Notes what it had read beyond the end of an answer, which is closed there."""

    raw: _Raw

    def close(self) -> None:
        if not self.closed:
            self.raw.blind = True
            surplus = self.peek(1)
            super().close()
            self.raw.wire.end_reading(surplus)


def _content(response: http.client.HTTPResponse, limit_bytes: int) -> bytes:
    content = bytearray()
    while chunk := response.read(_CHUNK_BYTES):
        content += chunk
        if len(content) > limit_bytes:
            raise _Odd(f"the answer is larger than {limit_bytes >> 10} KiB; it was not read to its end")
    if response.length:  # of what it said, this much did not come
        raise _Odd(f"the answer ended {response.length} bytes before the length that it said")
    return bytes(content)


@contextlib.contextmanager
def _told(step: str, timeout_s: float) -> Iterator[None]:
    """Every way to fail as one sentence that begins with the step."""
    try:
        yield
    except _Odd as error:
        raise TargetFailed(f"{step}: {error}") from error
    except TimeoutError as error:
        raise TargetFailed(f"{step}: no whole answer within {timeout_s:g} s") from error
    except http.client.RemoteDisconnected as error:
        raise TargetFailed(f"{step}: the service closed the connection without an answer") from error
    except http.client.IncompleteRead as error:
        raise TargetFailed(f"{step}: the answer ended in its middle, after {len(error.partial)} bytes") from error
    except http.client.HTTPException as error:
        said = str(error) or type(error).__name__
        raise TargetFailed(f"{step}: the answer is not HTTP: {type(error).__name__}: {said[:_SHOWN]}") from error
    except (OSError, ValueError) as error:
        raise TargetFailed(f"{step}: {_words(error)}") from error


def _words(error: Exception) -> str:
    match error:
        case ConnectionRefusedError():
            return "nobody listens there: start the service, or correct `url`"
        case ConnectionResetError() | BrokenPipeError():
            return "the service cut the connection"
        case OSError() if error.strerror:
            return f"the connection failed: {error.strerror}"
        case _:
            return f"the answer makes no sense: {error}"
