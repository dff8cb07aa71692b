"""Where a server of ours listens, and how it says so: what all of them have in common."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
from collections.abc import Iterator
from pathlib import Path

from benchproof.errors import UsageError


def address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`. Raises UsageError."""
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise UsageError(f"--listen: expected HOST:PORT such as 127.0.0.1:0, found '{listen}'")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_reachable(host: str, *, public: bool) -> None:
    """Raises UsageError for an address that others reach, where that was not said to be meant."""
    if not (public or is_loopback(host)):
        raise UsageError(f"--listen: '{host}' can be reached from elsewhere: say --public, or listen on 127.0.0.1")


def url(host: str, port: int) -> str:
    """Where it is to be asked."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def ready_file(given: str | None) -> Path | None:
    """Where to write it. Raises UsageError."""
    ready = Path(given) if given else None
    if ready and not ready.parent.is_dir():
        raise UsageError(f"--ready-file: expected a folder to write it in, found none: '{ready.parent}'")
    return ready


@contextlib.contextmanager
def announced(ready: Path | None) -> Iterator[None]:
    """Whatever `write` puts there is gone when the server is."""
    try:
        yield
    finally:
        if ready:
            ready.unlink(missing_ok=True)


def write(ready: Path | None, content: dict[str, str]) -> None:
    """That it serves, where, and who it is; the file is whole or not there."""
    if ready:
        draft = ready.with_name(f".{ready.name}.{os.getpid()}")
        draft.write_text(json.dumps(content | {"pid": os.getpid()}), encoding="utf-8")
        draft.replace(ready)
