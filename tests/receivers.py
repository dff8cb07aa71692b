"""Whoever is told: a real HTTP server that keeps what it was sent, and that can be made to refuse or to stay silent."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator


class Receiver(http.server.ThreadingHTTPServer):
    """`requests`: (path, headers, body) of each; `status` is what it answers, `silent` whether it does."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests = []
        self.status = 200
        self.headers = {}
        self.silent = threading.Event()

    @property
    def port(self):
        return self.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hooks/s3cretpath"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.silent.is_set():
            self.connection.settimeout(30)
            with contextlib.suppress(OSError):
                self.connection.recv(1)  # until the other side gives up
            return
        self.server.requests.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_): ...


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
