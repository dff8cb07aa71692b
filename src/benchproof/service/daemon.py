"""A service's process, started and awaited; or one that runs already. Tokens stay in requests, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from benchproof import process
from benchproof.errors import StartFailed, TargetFailed, UsageError
from benchproof.model import Lab
from benchproof.service.calls import Calls
from benchproof.service.description import Description
from benchproof.service.http import Client

PLACES = ("ready", "state", "port", "url")
_INHERITED = ("HOME", "PATH", "PYTHONPATH", "TMPDIR", "USER", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "LANG")
_LOOK_S = 0.001
_SAID_LINES = 3
_OURS = "benchproof-sandboxd"


class Running:
    """A service that runs, as its clients know it: see `model.Service`. Its addresses are known once it is ready.

    `token_file`: where our own daemon's relay on standard streams finds its token.
    """

    def __init__(
        self,
        description: Description,
        *,
        url: str = "",
        headers: Mapping[str, str],
        mcp: str = "",
        token_file: str = "",
    ) -> None:
        self.description = description
        self.url = url
        self.headers: Mapping[str, str] = dict(headers)
        self.mcp = mcp
        self.mcp_sandbox = description.mcp_sandbox
        self.stdio: tuple[str, ...] = ()
        self._token_words = ("--token-file", token_file) if token_file and _OURS in description.stdio[:1] else ()
        self.pid: int | None = None
        self._program: process.Supervised | None = None
        self._tails: tuple[process.Tail, ...] = ()
        self._ready_file: Path | None = None
        self._ready_ns = 0
        self._calls: Calls | None = None
        if url:
            self._addressed(url, mcp)

    @property
    def calls(self) -> Calls:
        """What can be asked of it, once its address is known."""
        if self._calls is None:
            raise StartFailed("the service has not said where it listens")
        return self._calls

    def began(self, program: process.Supervised, ready_file: Path | None) -> None:
        """Its process was just started; if it writes a file when it is ready, its addresses are in there."""
        self._program, self._ready_file = program, ready_file
        self._tails = (process.Tail(program.stdout), process.Tail(program.stderr))
        self.pid = program.pid

    def await_ready(self, *, timeout_s: float) -> int:
        """When it first said that it serves, on the host's monotonic clock in ns. Raises StartFailed."""
        deadline_s = time.monotonic() + timeout_s
        while not self._ready_ns:
            if (trouble := self._look()) and time.monotonic() > deadline_s:
                raise StartFailed(f"the service did not serve within {timeout_s:g} s: {trouble}{self._said()}")
            if trouble:
                self._refuse_ended()
                time.sleep(_LOOK_S)
        return self._ready_ns

    def close(self) -> None:
        """End the connections that are idle."""
        if self._calls is not None:
            self._calls.client.close()

    def log(self) -> bytes:
        """What it said on its standard error; call it when it has ended."""
        return self._tails[1].text() if self._tails else b""

    def _look(self) -> str:
        """Ask whether it serves; why not, if it does not yet."""
        if self._ready_file is not None and not self.url and (trouble := self._read_ready_file()):
            return trouble
        try:
            self.calls.health(timeout_s=5)
            if self.description.health is None:  # nothing to ask: that somebody listens has to do
                self._knock()
        except TargetFailed as error:
            return str(error)
        self._ready_ns = time.monotonic_ns()
        return ""

    def _knock(self) -> None:
        answer = self.calls.client.ask("health", "GET", "/", timeout_s=5)
        if answer.status in range(502, 505):
            raise TargetFailed(f"health: status {answer.status}")

    def _read_ready_file(self) -> str:
        assert self._ready_file is not None
        try:
            said = msgspec.json.decode(self._ready_file.read_bytes(), type=dict[str, object])
        except OSError:
            return "it has not written its ready file"
        except msgspec.MsgspecError:  # it is being written
            return "its ready file is no JSON"
        if not isinstance(said.get("url"), str):
            return "its ready file has no 'url'"
        self._addressed(str(said["url"]), str(said.get("mcp") or ""))
        return ""

    def _addressed(self, url: str, mcp: str) -> None:
        client = Client(url, headers=self.headers)
        self.url = client.url
        self.mcp = mcp or self.mcp or (client.url + self.description.mcp if self.description.mcp else "")
        words = (*program(self.description.stdio), *self._token_words)
        self.stdio = tuple(word.replace("{url}", client.url) for word in words)
        self._calls = Calls(self.description, client)

    def _refuse_ended(self) -> None:
        if self._program is not None and (status := self._program.wait(0)) is not None:
            raise StartFailed(f"the service ended with status {status} before it served{self._said(ended=True)}")

    def _said(self, *, ended: bool = False) -> str:
        if not ended or not self._tails:
            return ""
        lines = (self._tails[1].text() or self._tails[0].text()).decode(errors="replace").strip().splitlines()
        return f": {' / '.join(lines[-_SAID_LINES:])}" if lines else ""


@contextlib.contextmanager
def served(
    description: Description,
    start: Sequence[str],
    *,
    lab: Lab,
    headers: Mapping[str, str],
    url: str = "",
    mcp: str = "",
    token_file: str = "",
    cpus: Sequence[int] = (),
    folder: Path | None = None,
) -> Iterator[Running]:
    """A process of its own, just started; leaving the context ends it and all that it started.

    `folder`: the caller's, where its state may be that of one before; there, it has a parent that stays when it dies,
    so that what it started is not ended with it, and can be seen.
    """
    with contextlib.ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(dir=lab.scratch, prefix="service-")))
        ready, state = place / "ready.json", place / "state"
        ready.unlink(missing_ok=True)
        state.mkdir(exist_ok=True)
        port = str(_free_port()) if any("{port}" in word for word in (*start, url)) else ""
        address = url.replace("{port}", port)
        values = {"ready": str(ready), "state": str(state), "port": port, "url": address}
        words = program([_replaced(word, values) for word in start])
        words = (str(lab.probe), "stay", str(place / "output"), *words) if folder else words
        running = Running(description, url=address, headers=headers, mcp=mcp, token_file=token_file)
        with contextlib.closing(running):
            try:
                with process.Supervised(words, supervisor=lab.probe, environment=environment(), cpus=cpus) as started:
                    waits = any("{ready}" in word for word in start)
                    running.began(started, ready if waits else None)
                    yield running
            finally:
                if said := running.log():
                    lab.log("service", said)


def program(words: Sequence[str]) -> tuple[str, ...]:
    """The words with the program's path. Our own daemon needs no path: it comes with this interpreter."""
    if not words:
        return ()
    if words[0] == _OURS:
        return (sys.executable, "-m", "benchproof.sandboxd", *words[1:])
    return (shutil.which(words[0]) or words[0], *words[1:])


def refuse_missing(start: Sequence[str], url: str) -> None:
    """Raises UsageError for words that cannot be started or awaited."""
    if not start:
        return
    if start[0] != _OURS and not shutil.which(start[0]):
        raise UsageError(f"start: expected a program, found none: '{start[0]}'")
    if not url and not any("{ready}" in word for word in start):
        raise UsageError("start: expected {ready}, the file that it says its address in, or `url` beside it")


def _replaced(word: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word


def environment() -> dict[str, str]:
    """Of ours, what a program needs to find its things, and no more."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**process.ENVIRONMENT, **inherited}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
