"""Whoever is told: real servers that keep what they were sent; that of HTTP can be made to refuse or to stay silent."""

from __future__ import annotations

import contextlib
import http.server
import socketserver
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


class Mailbox(socketserver.ThreadingTCPServer):
    """Takes mail by SMTP; `letters`: each as it was sent."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Postman)
        self.letters = []

    @property
    def port(self):
        return self.server_address[1]


class _Postman(socketserver.StreamRequestHandler):
    def handle(self):
        self._say("220 mailbox")
        for line in self.rfile:
            verb = line[:4].upper().strip()
            self._say({b"DATA": "354 go on", b"QUIT": "221 bye"}.get(verb, "250 good"))
            if verb == b"DATA":
                letter = iter(self.rfile.readline, b".\r\n")
                self.server.letters.append(b"".join(letter).decode())
                self._say("250 good")
            elif verb == b"QUIT":
                return

    def _say(self, words):
        self.wfile.write(words.encode() + b"\r\n")


@contextlib.contextmanager
def receiver(kind: type = Receiver) -> Iterator[Receiver]:
    server = kind()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
