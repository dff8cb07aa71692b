"""A small real sandbox service with the interface of capsem: bubblewrap, folders and sockets; and liars, by name.

A fault is `STEP: WHAT`, such as `exec: hangs`. As a program it serves until it is ended: its words are a port and a
folder.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchproof import laboratory, process
from benchproof.errors import TargetFailed
from benchproof.footprint import descendants, disk_bytes

_FOREVER_S = "86400"
_SHOWN = [path for path in ("/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc/alternatives") if Path(path).exists()]
_BWRAP = [
    *("bwrap", "--unshare-all", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"),
    *(word for path in _SHOWN for word in ("--ro-bind", path, path)),
    *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
]


@functools.cache
def _probe() -> Path:
    """The supervisor of each command."""
    return laboratory.prepare_probe(laboratory.cache_folder()).path


class Sandbox:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen([*self.wrap(), "sleep", _FOREVER_S])

    def wrap(self) -> list[str]:
        return [*_BWRAP, "--bind", str(self.folder), "/root", "--chdir", "/root", "--"]

    def run(self, command: str, timeout_s: float) -> dict[str, Any]:
        words = [*self.wrap(), "sh", "-c", command]
        done = process.run(words, supervisor=_probe(), timeout_s=timeout_s)
        return {
            "stdout": done.stdout.decode(errors="replace"),
            "stdout_base64": base64.b64encode(done.stdout).decode(),  # more than capsem has
            "stderr": done.stderr.decode(errors="replace"),
            "exit_code": done.exit_status,
        }

    def end(self) -> None:
        while self.process.poll() is None:
            for pid in descendants(self.process.pid)[:1]:  # the first process in there, and so all; bwrap awaits it
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)


class Service:
    """The state; `asked` is every request so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault = ""
        self.token = ""
        self.asked: list[str] = []
        self.sandboxes: dict[str, Sandbox] = {}
        self.images: dict[str, Path] = {}
        self.strays: list[Sandbox] = []
        self.answers: list[dict[str, Any]] = []
        self.over = threading.Event()
        self.lock = threading.Lock()

    def provision(self, name: str, image: str | None) -> tuple[int, dict[str, Any]]:
        if image is not None and image not in self.images:
            return 404, {"error": f"no image '{image}'"}
        old = self.strays[-1].folder if self.fault == "provision: gives an old sandbox" and self.strays else None
        folder = old or self.folder / f"sandbox-{len(self.asked)}-{name}"
        folder.mkdir(exist_ok=True)
        if image is not None:
            shutil.copytree(self.images[image], folder, dirs_exist_ok=True)
        self.sandboxes[name] = Sandbox(folder)
        return 200, {"id": "another" if self.fault == "provision: names another" else name}

    def exec(self, name: str, command: str, timeout_s: float) -> tuple[int, dict[str, Any]]:
        if name not in self.sandboxes:
            return 404, {"error": f"no sandbox '{name}'"}
        try:
            answer = self.sandboxes[name].run(command, timeout_s)
        except TargetFailed as error:
            return (504 if "did not end" in str(error) else 507), {"error": str(error)}
        self.answers.append(answer)
        return 200, self.answers[-2] if self.fault == "exec: gives an old answer" and len(self.answers) > 1 else answer

    def fork(self, name: str, image: str) -> tuple[int, dict[str, Any]]:
        if name not in self.sandboxes:
            return 404, {"error": f"no sandbox '{name}'"}
        folder = self.folder / f"image-{image}"
        source = self.sandboxes[name].folder
        if self.fault == "fork: keeps an old file" and self.images:
            source = next(iter(self.images.values()))
        shutil.copytree(source, folder)
        self.images[image] = folder
        return 200, {"id": image, "name": image, "size_bytes": disk_bytes(p for p in folder.rglob("*") if p.is_file())}

    def delete(self, name: str) -> tuple[int, dict[str, Any]]:
        if name in self.images:
            if self.fault != "delete: keeps the image":
                shutil.rmtree(self.images.pop(name))
            return 200, {"success": True}
        if name not in self.sandboxes:
            return 404, {"error": f"no sandbox '{name}'"}
        sandbox = self.sandboxes[name]
        match self.fault:
            case "delete: leaves the process":
                self.strays.append(self.sandboxes.pop(name))
            case "delete: does nothing":
                pass
            case _:
                self.sandboxes.pop(name).end()
                self.strays.append(sandbox)
        return 200, {"success": True}

    def list(self) -> tuple[int, dict[str, Any]]:
        running = [{"id": name, "pid": each.process.pid, "status": "Running"} for name, each in self.sandboxes.items()]
        stopped = [{"id": name, "pid": 0, "status": "Stopped"} for name in self.images]
        return 200, {"sandboxes": running + stopped}

    def close(self) -> None:
        self.over.set()
        for sandbox in (*self.sandboxes.values(), *self.strays):
            sandbox.end()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: Service

    def log_message(self, *words: object) -> None:
        pass

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(size)) if size else {}
        step, _, name = self.path.strip("/").partition("/")
        with self.service.lock:
            self.service.asked.append(f"{self.command} {self.path}")
        if self.service.token and self.headers.get("Authorization") != f"Bearer {self.service.token}":
            self._send(401, {"error": f"expected Bearer {self.service.token}, found {self.headers['Authorization']}"})
            return
        wrong, _, what = self.service.fault.partition(": ")
        if wrong == step and self._misbehave(what):
            return
        match self.command, step:
            case "POST", "provision":
                found = self.service.provision(body["name"], body.get("image"))
            case "POST", "exec":
                found = self.service.exec(name, body["command"], body.get("timeout_secs", 30))
            case "POST", "fork":
                found = self.service.fork(name, body["name"])
            case "DELETE", "delete":
                found = self.service.delete(name)
            case "GET", "list":
                found = self.service.list()
            case _:
                found = (404, {"error": f"no route '{self.path}'"})
        self._send(*found)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - the names that http.server asks for

    def _send(self, status: int, document: object) -> None:
        self._send_bytes(status, json.dumps(document).encode())

    def _send_bytes(self, status: int, content: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def _misbehave(self, what: str) -> bool:
        """True where that was the answer."""
        kinds: dict[str, Callable[[], object]] = {
            "hangs": self.service.over.wait,
            "closes": lambda: None,
            "resets": self._reset,
            "is cut off": lambda: self._send_bytes(200, b'{"id"', length=1000),
            "is longer than it says": lambda: self._send_bytes(200, b'{"error": ""} and more', length=13),
            "never ends": self._flood,
            "drips": self._drip,
            "says an error with a good status": lambda: self._send(200, {"error": "the disk is full"}),
            "fails": lambda: self._send(500, {"error": "out of\nmemory"}),
            "is no JSON": lambda: self._send_bytes(200, b"<html>it works</html>"),
            "is a list": lambda: self._send(200, [1, 2]),
            "is of another kind": lambda: self._send(
                200, {"id": 7, "exit_code": "0", "stdout": 5, "name": 8, "sandboxes": 3}
            ),
            "is no HTTP": lambda: self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            "redirects": lambda: self._send_bytes(307, b"", Location="http://127.0.0.1:1/elsewhere"),
            "has a huge header": lambda: self._send_bytes(200, b"{}", Padding="x" * 100_000),
            "has many headers": lambda: self._send_bytes(200, b"{}", **{f"X{n}": "x" for n in range(300)}),
        }
        if what not in kinds:
            return False
        self.close_connection = what != "is longer than it says"
        kinds[what]()
        return True

    def _reset(self) -> None:
        self._send_bytes(200, b'{"id"', length=1000)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _flood(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(10 << 30))
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.service.over.is_set():
                self.wfile.write(b" " * (1 << 20))

    def _drip(self) -> None:
        with contextlib.suppress(OSError):
            while not self.service.over.wait(0.02):
                self.wfile.write(b"H")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is what the tests are about."""


@contextlib.contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[tuple[Service, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    service = Service(folder)
    with _Server(("127.0.0.1", port), type("Bound", (Handler,), {"service": service})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield service, f"http://127.0.0.1:{server.server_port}"
        finally:
            service.over.set()
            server.shutdown()
            thread.join()
            service.close()


if __name__ == "__main__":
    with serving(Path(sys.argv[2]), int(sys.argv[1])):
        threading.Event().wait()
