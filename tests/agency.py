"""A target with a service behind it: the tool server of the tests, and processes as its sandboxes."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from benchproof import process
from benchproof.errors import StartFailed
from benchproof.model import Lab
from processes import Processes

_SERVER = str(Path(__file__).parent / "tool_server.py")
_LOOK_S = 0.002


def asked(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - one of ours
        return int(answer.status)


class ToolService:
    def __init__(self, program: process.Supervised, folder: Path) -> None:
        self._program = program
        self._ready = folder / "ready"
        self.url = ""
        self.mcp = ""
        self.mcp_sandbox = ""
        self.headers: dict[str, str] = {}
        self.stdio = (sys.executable, _SERVER, str(folder), "--stdio")
        self.pid: int | None = program.pid

    def await_ready(self, *, timeout_s: float) -> int:
        deadline_s = time.monotonic() + timeout_s
        while not self._ready.exists():
            if self._program.wait(_LOOK_S) is not None or time.monotonic() > deadline_s:
                raise StartFailed(f"the tool server did not start: {self._program.stderr.read().decode()[-300:]}")
        self.url = f"http://127.0.0.1:{self._ready.read_text()}"
        self.mcp = f"{self.url}/mcp"
        assert asked(f"{self.url}/health") == 200
        return time.monotonic_ns()


class Agency(Processes):
    """Its `fault` is that of the sandboxes; `lie` tells the service what to do wrong."""

    def __init__(self, lab: Lab, fault: str = "") -> None:
        super().__init__(lab, fault)
        self.kept = contextlib.ExitStack()
        self._service: ToolService | None = None

    @contextlib.contextmanager
    def serve(self) -> Iterator[ToolService]:
        with tempfile.TemporaryDirectory(dir=self.lab.scratch) as folder:
            words = [sys.executable, _SERVER, folder, "--ready", f"{folder}/ready"]
            with process.Supervised(words, supervisor=self.lab.probe) as program:
                yield ToolService(program, Path(folder))

    def service(self) -> ToolService:
        if self._service is None:
            self._service = self.kept.enter_context(self.serve())
            self._service.await_ready(timeout_s=60)
        return self._service

    def lie(self, fault: str) -> None:
        assert asked(f"{self.service().url}/fault?name={quote(fault)}") == 200
