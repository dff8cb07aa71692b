"""A real MCP server of our tools on a socket of its own, for tests of both sides."""

from __future__ import annotations

import contextlib
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from benchproof import process
from benchproof.errors import UsageError
from benchproof.model import Completed
from benchproof.sandboxd.tools import Reply, Toolbox
from benchproof.sandboxd.workspace import Place


class Rooms:
    """Sandboxes that are folders: commands are run in them, on this machine."""

    def __init__(self, root: Path, supervisor: Path) -> None:
        self.root = root
        self.supervisor = supervisor
        self.images: list[str] = []

    def run(self, sandbox: str, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        here = self.workspace(sandbox).root
        return process.run(argv, supervisor=self.supervisor, stdin=stdin, timeout_s=timeout_s, cwd=here)

    def workspace(self, sandbox: str) -> Place:
        if not sandbox.isalnum():
            raise UsageError(f"sandbox: expected a name, found '{sandbox}'")
        (self.root / sandbox).mkdir(parents=True, exist_ok=True)
        return Place(root=self.root / sandbox)

    def pull(self, sandbox: str) -> None:
        raise AssertionError("no mirror")

    def push(self, sandbox: str, parts: Sequence[str]) -> None:
        raise AssertionError("no mirror")

    def entries(self, sandbox: str, parts: Sequence[str]) -> list[dict[str, Any]]:
        raise AssertionError("no mirror")

    def get(self, sandbox: str, path: str) -> bytes:
        raise AssertionError("no mirror")

    def fork(self, sandbox: str, image: str) -> None:
        self.images.append(image)

    def discard(self, image: str) -> None:
        self.images.remove(image)


class Served:
    """A service as its clients know it."""

    def __init__(self, url: str, *, headers: Mapping[str, str], token_file: str = "") -> None:
        self.url = url
        self.headers = headers
        self.mcp = f"{url}/mcp"
        self.mcp_sandbox = "sandbox"
        token = f" --token-file {shlex.quote(token_file)}" if token_file else ""
        self.stdio = (sys.executable, "-m", "benchproof.sandboxd", "mcp", "--url", url, *shlex.split(token))
        self.pid = None

    def await_ready(self, *, timeout_s: float) -> int:
        return time.monotonic_ns()


class Lying(Toolbox):
    """Tools that do what they should, and say what a test makes of it."""

    def __init__(self, *args: Any, lie: Callable[[str, Mapping[str, Any], Reply], Reply], **more: Any) -> None:
        super().__init__(*args, **more)
        self._lie = lie

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        return self._lie(tool, arguments, super().call(tool, arguments))


@contextlib.contextmanager
def served(toolbox: Toolbox, *, token: str = "") -> Iterator[Served]:
    """The endpoint in a thread, until the context is left."""
    from benchproof.sandboxd.mcp_server import Endpoint  # noqa: PLC0415 - an extra

    endpoint = Endpoint(toolbox, loopback=True)

    class Checked:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            allowed = not token or Request(scope).headers.get("authorization") == f"Bearer {token}"
            answer: Any = endpoint.app if allowed else PlainTextResponse("no", status_code=401)
            await answer(scope, receive, send)

    async def lost(_: Request) -> Response:
        return PlainTextResponse("not this way", status_code=307, headers={"location": "http://127.0.0.1:1/"})

    app = Starlette(
        routes=[Route("/mcp", Checked()), Route("/lost", lost, methods=["POST"])], lifespan=lambda _: endpoint.run()
    )
    with running(app) as port:
        yield Served(f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"} if token else {})
    toolbox.close()


@contextlib.contextmanager
def running(app: Any) -> Iterator[int]:
    """Any application on a free port of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:  # else no TCP_NODELAY
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
