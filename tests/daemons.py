"""A daemon `benchproof-sandboxd` as a process of its own, and a client that keeps its connection."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

_READY_S = 300.0  # the first one of a machine fetches a kernel and boots it


class Answer:
    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.content)

    @property
    def error(self) -> tuple[int, str, str]:
        """Of a refusal: status, step, words."""
        return self.status, self.json["step"], self.json["error"]


class Daemon:
    def __init__(self, process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
        self.process = process
        self.url = url
        self.folder = folder  # where its log and its scratch folders are
        self.headers: dict[str, str] = {}
        self._connection = self.connection()

    def connection(self) -> http.client.HTTPConnection:
        address = urlsplit(self.url)
        return http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None, *, fresh: bool = False, **headers: str) -> Answer:
        connection = self.connection() if fresh else self._connection
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, self.headers | headers)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        if fresh:
            connection.close()
        return answer

    def provision(self, **body: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/provision", body)
        assert answer.status == 201, answer.content
        return answer.json

    def exec(self, name: str, argv: list[str], **body: Any) -> Answer:
        return self.ask("POST", f"/exec/{name}", {"argv": argv} | body)

    def put(self, name: str, path: str, content: bytes, **query: str) -> Answer:
        words = "".join(f"&{key}={value}" for key, value in query.items())
        return self.ask("PUT", f"/files/{name}?path={quote(path)}{words}", content)

    def get(self, name: str, path: str) -> Answer:
        return self.ask("GET", f"/files/{name}?path={quote(path)}")

    def delete(self, name: str) -> Answer:
        return self.ask("DELETE", f"/delete/{name}")

    def names(self) -> set[str]:
        return {each["name"] for each in self.ask("GET", "/list").json["sandboxes"]}

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def left(self) -> list[str]:
        """Its scratch folders, and processes that name one: all that a daemon could leave behind."""
        folders = [str(path) for path in (self.folder / "tmp").iterdir()]
        return folders + [line for line in command_lines() if str(self.folder / "tmp") in line]

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        self._connection.close()
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(60)


def command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def launch(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "benchproof.sandboxd", "--listen", "127.0.0.1:0"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*argv, "--ready-file", str(folder / "ready"), *options],
            stdout=log,
            stderr=log,
            env=os.environ | {"TMPDIR": str(folder / "tmp")},
        )


@contextlib.contextmanager
def daemon(folder: Path, *options: str, token: str = "") -> Iterator[Daemon]:
    """Serves; leaving the context ends it, however the test went."""
    process = launch(folder, *options)
    try:
        started = Daemon(process, _await_ready(process, folder)["url"], folder)
        started.headers = {"Authorization": f"Bearer {token}"} if token else {}
        yield started
        started.end()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _await_ready(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    deadline_s = time.monotonic() + _READY_S
    while not (folder / "ready").exists():
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline_s, "the daemon did not become ready"
        time.sleep(0.01)
    return json.loads((folder / "ready").read_text())
