"""An ASGI application behind a real server, in a thread: what a client, a proxy or a browser of a test talks to."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from benchproof.store import packed

_PATIENCE_S = 30.0


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Yields the address, without a slash at the end."""
    options = {"access_log": False, "log_config": None, "log_level": "warning", "ws": "none", "server_header": False}
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=1, **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            until_s = time.monotonic() + _PATIENCE_S
            while not server.started:
                assert thread.is_alive()
                assert time.monotonic() < until_s
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_S)


def ask(url: str, *, method: str = "GET", headers=None, body=None) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request, its path sent as it is written here: nothing is tidied up on the way."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=_PATIENCE_S)
    try:
        connection.putrequest(
            method, url[len(f"{where.scheme}://{where.netloc}") :] or "/", skip_host="Host" in (headers or {})
        )
        sized = {} if body is None or "Transfer-Encoding" in (headers or {}) else {"Content-Length": str(len(body))}
        for name, value in {**sized, **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body:
            connection.send(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def packed_run(run) -> bytes:
    """A run as it is sent."""
    with io.BytesIO() as file:
        packed.pack(run, file)
        return file.getvalue()


def files(run) -> dict[str, bytes]:
    """The content of every file of a run, by its path."""
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}
