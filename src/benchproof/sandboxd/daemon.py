"""The daemon from its options to its end: what it is to be, made ready, served, and ended with all that it began."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchproof import laboratory, listening
from benchproof.errors import NotSupported, UsageError
from benchproof.model import Lab
from benchproof.sandboxd import backend, log
from benchproof.sandboxd.limits import Limits
from benchproof.sandboxd.sandboxes import Sandboxes

_LOG = logging.getLogger(__name__)
_SHORTEST_TOKEN, _LONGEST_TOKEN = 16, 1024
_LEFT = 1  # exit status


class Options(NamedTuple):
    """Of the command line, checked."""

    host: str
    port: int
    token: str
    limits: Limits
    pool: int
    state: Path | None
    ready: Path | None


def serve(given: Mapping[str, Any]) -> int:
    """Until a signal comes; returns the exit status. Raises BenchproofError."""
    options = checked(given)
    try:
        from benchproof.sandboxd import app, server  # noqa: PLC0415 - what is missing is said in a line
    except ModuleNotFoundError as error:
        words = f"the daemon needs the package '{error.name}'"
        raise NotSupported(words, missing="pip install 'benchproof[sandbox]'") from error
    logs = log.begin(quiet=bool(given["quiet"]))
    _allow_many_files()
    listener = _listening(options)
    with contextlib.closing(logs), listener, laboratory.interruptible(), _room() as lab:
        sandboxes = Sandboxes(_backend(given, lab), options.limits, lab.scratch)
        url = listening.url(options.host, listener.getsockname()[1])
        left: list[str] = []
        try:
            sandboxes.backend.prepare()
            _fill(sandboxes, options.pool)
            application = app.App(sandboxes, url=url, token=options.token)
            with _announced(options.ready, url) as announce, _tools(sandboxes, options, lab) as mounts:
                server.serve(application.asgi(mounts), listener, options.limits, announce)
        finally:
            _deaf()
            left = sandboxes.close()
    _LOG.info("ended left=%r", left)
    return _LEFT if left else 0


@contextlib.contextmanager
def _tools(sandboxes: Sandboxes, options: Options, lab: Lab) -> Iterator[list[Any]]:
    """The tools over MCP, beside the operations: `app.Mounted`."""
    from benchproof.sandboxd import app, hosted, late, tools  # noqa: PLC0415 - as above

    state = options.state or lab.scratch / "state"
    host = hosted.Hosted(sandboxes, lab.scratch / "mirrors")
    with contextlib.closing(tools.Toolbox(host, state)) as toolbox:

        def forget(name: str) -> None:
            toolbox.forget(name)
            host.forget(name)

        sandboxes.on_end = forget
        endpoint = late.Late(toolbox, loopback=not options.token)
        yield [app.Mounted("/mcp", endpoint, endpoint.run)]


def checked(given: Mapping[str, Any]) -> Options:
    """Raises UsageError."""
    host, port = listening.address(str(given["listen"]))
    token = token_of(Path(given["token_file"])) if given["token_file"] else ""
    if not token and not listening.is_loopback(host):
        raise UsageError(f"--listen: '{host}' can be reached from elsewhere: expected a --token-file, or 127.0.0.1")
    limits = Limits(
        sandboxes=given["max_sandboxes"],
        provisions=given["max_provisions"],
        waiting=given["max_waiting"],
        body_bytes=given["max_body"],
        output_bytes=given["max_output"],
        command_s=given["max_exec"],
        usual_command_s=min(given["max_exec"], Limits().usual_command_s),
        head_s=given["patience"],
        body_s=3 * given["patience"],
    )
    if not 0 <= given["pool"] <= limits.sandboxes:
        raise UsageError(f"--pool: expected 0 to {limits.sandboxes}, found {given['pool']}")
    if given["target"] and not given["plan"]:
        raise UsageError(f"--target: expected a --plan that has '{given['target']}', found none")
    state, ready = Path(given["state"]) if given["state"] else None, listening.ready_file(given["ready_file"])
    if state:
        _make(state)
    return Options(host, port, token, limits, int(given["pool"]), state, ready)


def _make(state: Path) -> None:
    """Raises UsageError."""
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--state: cannot make the folder '{state}': {error.strerror}") from error


def token_of(file: Path) -> str:
    """The only line of a file that nobody else may read. Raises UsageError."""
    try:
        mode = file.stat().st_mode
        text = file.read_text() if stat.S_ISREG(mode) else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file: cannot read '{file}': {error}") from error
    token = text.strip()
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"--token-file: others may read '{file}'; chmod 600 it")
    if not (_SHORTEST_TOKEN <= len(token) <= _LONGEST_TOKEN and token.isascii() and token.isprintable()):
        raise UsageError(
            f"--token-file: expected one line of {_SHORTEST_TOKEN} to {_LONGEST_TOKEN} printable characters in '{file}'"
        )
    return token


def _backend(given: Mapping[str, Any], lab: Lab) -> backend.Backend:
    if given["plan"] and given["backend"]:
        raise UsageError("expected --backend or --plan, not both")
    if given["plan"]:
        return backend.by_plan(Path(given["plan"]), given["target"], lab)
    return backend.by_kind(given["backend"] or "qemu", lab)


@contextlib.contextmanager
def _room() -> Iterator[Lab]:
    """As a run has one; but what consoles say is not kept: the daemon has no end in sight."""
    probe = laboratory.prepare_probe(laboratory.cache_folder())
    with laboratory.opened(probe) as room:
        room.log = lambda _name, _content: None
        yield room


def _listening(options: Options) -> Any:
    from benchproof.sandboxd import server  # noqa: PLC0415 - as above

    try:
        return server.listening(options.host, options.port)
    except OSError as error:
        raise UsageError(f"--listen: cannot listen on {options.host}:{options.port}: {error.strerror}") from error


def _fill(sandboxes: Sandboxes, size: int) -> None:
    """A daemon whose pool cannot be filled at all does not begin. Raises NotSupported."""
    stats = sandboxes.warm(size)
    if stats.failed and not stats.ready:
        raise NotSupported(f"no sandbox could be started for the pool: {stats.last_error}")


@contextlib.contextmanager
def _announced(ready: Path | None, url: str) -> Iterator[Any]:
    """What to call when it listens; the file is there from then to the end."""

    def announce() -> None:
        listening.write(ready, {"url": url, "mcp": f"{url}/mcp"})
        _LOG.info("ready url=%s pid=%d", url, os.getpid())

    with listening.announced(ready):
        yield announce


def _deaf() -> None:
    """The end is not interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)


def _allow_many_files() -> None:
    """A sandbox has some ten descriptors, a connection one; the usual limit is for programs of another kind."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 16 if hard == resource.RLIM_INFINITY else min(hard, 1 << 16)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
