"""One page over HTTP, `/metrics`, for who asks for it again and again: text from a function, and nothing else.

It keeps nothing, reads no body and knows no other path. It has no password: whoever reaches the address reads it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchproof import listening
from benchproof.errors import BenchproofError, UsageError

_PATIENCE_S = 10.0  # with a client that says nothing


class Page(ThreadingHTTPServer):
    """Listens from when it is made; `serve_forever` answers. One scrape is made at a time. Raises UsageError."""

    daemon_threads = True

    def __init__(self, address: str, make: Callable[[], str], *, content_type: str) -> None:
        host, port = listening.address(address)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._make = make
        self._one_at_a_time = threading.Lock()
        self.content_type = content_type
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UsageError(f"--listen: cannot listen on '{address}': {error.strerror}") from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"{listening.url(self.server_name, self.server_port)}/metrics"

    def server_bind(self) -> None:
        """As usual, without asking a name server who we are."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def answer(self) -> tuple[int, bytes]:
        """Status and text: what cannot be read now is tried again at the next scrape."""
        with self._one_at_a_time:
            try:
                return 200, self._make().encode()
            except BenchproofError as error:
                return 503, f"{error}\n".encode()


class _Handler(BaseHTTPRequestHandler):
    server: Page
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self._send(404, b"expected /metrics\n", "text/plain; charset=utf-8")
            return
        status, text = self.server.answer()
        self._send(status, text, self.server.content_type if status == 200 else "text/plain; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815 - the name that the library asks for

    def _send(self, status: int, content: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def version_string(self) -> str:
        return "benchproof"

    def log_message(self, *_: object) -> None:
        """Nothing: a scrape a minute is no news."""
