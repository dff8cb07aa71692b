"""A relay for TCP on loopback that can be told to lose the network: what lies between a client and its service.

`hold`: nothing gets through in either direction, nobody is told, and what was sent arrives when it is over; as if every
packet was lost for a while and sent again. `reset`: every connection is reset and new ones are too, until it is over.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Literal

Trouble = Literal["none", "hold", "reset"]
_CHUNK_BYTES = 1 << 16
_CONNECT_S = 10.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no time to send what is left


class Relay:
    """A thread that accepts, and two for each connection; `close` ends them all."""

    def __init__(self, host: str, port: int) -> None:
        self._behind = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._changed = threading.Condition()
        self._trouble: Trouble = "none"
        self._closed = False
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.port = int(self._listener.getsockname()[1])
        self.passed_bytes = 0
        self._start(self._accept)

    def be(self, trouble: Trouble) -> None:
        """From now on: when this returns, nothing gets through any more, or everything does."""
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()
            if trouble == "reset":
                self._reset_all()

    def close(self) -> None:
        """End every connection and every thread."""
        with self._changed:
            self._closed = True
            self._trouble = "reset"
            self._changed.notify_all()
            self._reset_all()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        for thread in self._threads:
            thread.join(_CONNECT_S)
        self._listener.close()

    @property
    def is_idle(self) -> bool:
        """Whether none of its threads runs any more."""
        return not any(thread.is_alive() for thread in self._threads)

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                front, _ = self._listener.accept()
            except OSError:  # it was closed
                return
            try:
                back = socket.create_connection(self._behind, timeout=_CONNECT_S)
            except OSError:
                _reset(front)
                continue
            self._connect(front, back)

    def _connect(self, front: socket.socket, back: socket.socket) -> None:
        with self._changed:
            if self._trouble == "reset":
                _reset(front)
                _reset(back)
                return
            for each in (front, back):
                each.settimeout(None)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.add(each)
            self._start(self._pump, front, back)
            self._start(self._pump, back, front)

    def _pump(self, source: socket.socket, to: socket.socket) -> None:
        """All that comes, until one side ends: then so does the other."""
        with contextlib.suppress(OSError):  # a side that is gone is an end, whatever the words
            while chunk := source.recv(_CHUNK_BYTES):
                with self._changed:
                    self._changed.wait_for(lambda: self._trouble != "hold")
                    self.passed_bytes += len(chunk)
                to.sendall(chunk)
        with self._changed:
            self._open -= {source, to}
        for each in (source, to):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _reset_all(self) -> None:
        """The caller holds the lock. A thread that reads from a socket keeps it open: it is woken first."""
        for each in self._open:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RD)
            each.close()
        self._open.clear()


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


@contextlib.contextmanager
def relayed(host: str, port: int) -> Iterator[Relay]:
    """A relay to that address, which runs until the context is left."""
    relay = Relay(host, port)
    try:
        yield relay
    finally:
        relay.close()
