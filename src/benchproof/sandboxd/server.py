"""uvicorn, made impatient: a client that is slow to ask or slow to take its answer loses its connection."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, ClassVar

import h11
import msgspec
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from benchproof.sandboxd.api import Error
from benchproof.sandboxd.limits import Limits

_GRACE_S = 1  # for requests under way when the daemon is to end
_BACKLOG = 2048


class Impatient(H11Protocol):
    """The protocol of uvicorn with a time-out on the head of a request, and on a client that does not read."""

    limits: ClassVar[Limits]
    _head: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = self.loop.call_later(self.limits.head_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head, self._stuck):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel_head()
        elif self._head is None and self.conn.their_state is h11.IDLE:
            self._head = self.loop.call_later(self.limits.head_s, self._late)

    def on_response_complete(self) -> None:
        self._cancel_head()
        super().on_response_complete()

    def _cancel_head(self) -> None:
        if self._head:
            self._head.cancel()
            self._head = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(self.limits.answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck:
            self._stuck.cancel()
            self._stuck = None

    def _late(self) -> None:
        if not self.transport.is_closing():
            self._refuse(408, f"the head of the request did not arrive within {self.limits.head_s:g} s")

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _refuse(self, status: int, words: str) -> None:
        """As JSON, like every other error; `conn` may be in any state, so it is not asked."""
        body = msgspec.json.encode(Error(error=words, step="read"))
        head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()


class Server(uvicorn.Server):
    """Says when it listens; ends in good order on SIGTERM and SIGINT, after which the caller goes on."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets=sockets)
        self._announce()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Not as uvicorn does: it would raise them again, before the sandboxes are ended."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        yield  # and afterwards too: the end is not interrupted


def serve(app: ASGIApp, listener: socket.socket, limits: Limits, announce: Callable[[], None]) -> None:
    """Until a signal comes."""
    options: dict[str, Any] = {"access_log": False, "log_config": None, "log_level": "warning", "ws": "none"}
    config = uvicorn.Config(
        app,
        http=type("Impatient", (Impatient,), {"limits": limits}),
        loop="asyncio",
        lifespan="on",
        server_header=False,
        timeout_keep_alive=int(limits.idle_s),
        timeout_graceful_shutdown=_GRACE_S,
        backlog=_BACKLOG,
        **options,
    )
    Server(config, announce).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only for these
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
