"""Tools called from inside of a sandbox: its own small client speaks MCP to the service on the host.

The client is the probe, so a guest needs nothing else. It sends what is made here and knows nothing of it; each call is
a session of its own, of which only the call itself is timed, on the clock of the sandbox.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from benchproof import __version__
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Completed, Frozen, Instance, Service
from benchproof.service.mcp_client import Answer

_PROTOCOL = "2025-06-18"
_UNSUPPORTED = 69
_SHOWN = 200
_MISSING = 'network = "host" for the sandboxes of the service, and gateway = "ADDRESS" in the table of the benchmark'


class _Exchange(Frozen, frozen=True):
    """One answer, as the probe tells it."""

    line: str
    status: int
    size: int
    elapsed_ns: int
    crc32: int


class Within:
    """`Tools` of an instance. `gateway`: the address at which it reaches the host."""

    def __init__(self, instance: Instance, service: Service, *, gateway: str, timeout_s: float) -> None:
        parts = urlsplit(service.mcp)
        self._instance = instance
        self._timeout_s = timeout_s
        headers = [f"{name}: {value}" for name, value in service.headers.items()]
        self._argv = ["mcp", gateway, str(parts.port or 80), parts.path or "/", *headers]

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """One call. Raises TargetFailed, NotSupported."""
        done = self._instance.run(
            [self._instance.probe, *self._argv], stdin=_bodies(tool, arguments), timeout_s=self._timeout_s
        )
        if done.exit_status == _UNSUPPORTED:
            raise NotSupported(f"the sandbox does not reach the service: {_reason(done)}", missing=_MISSING)
        if done.exit_status:
            raise TargetFailed(f"mcp from within: call of '{tool}': {_reason(done)}")
        exchanges = list(_read(done.stdout))
        if len(exchanges) != 3:
            raise TargetFailed(f"mcp from within: expected 3 answers, found {len(exchanges)}")
        for (answer, body), step in zip(
            exchanges, ("opening of a session", "opening of a session", "call"), strict=True
        ):
            if answer.status not in {200, 202}:
                raise TargetFailed(f"mcp from within: {step} of '{tool}': status {answer.status}, {body[:_SHOWN]!r}")
        answer, body = exchanges[-1]
        return _answer(tool, body, answer.elapsed_ns)


def _bodies(tool: str, arguments: Mapping[str, Any]) -> bytes:
    """A session, and the call in it."""
    client = {"name": "benchproof-probe", "version": __version__}
    opening = {"protocolVersion": _PROTOCOL, "capabilities": {}, "clientInfo": client}
    messages = (
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": opening},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": dict(arguments)}},
    )
    return b"".join(json.dumps(each).encode() + b"\n" for each in messages)


def _read(output: bytes) -> Iterator[tuple[_Exchange, bytes]]:
    """Each answer and its body. Raises TargetFailed where the output is not whole."""
    while output.startswith(b'{"line":"answer"'):
        head, _, rest = output.partition(b"\n")
        try:
            answer = msgspec.json.decode(head, type=_Exchange)
        except msgspec.DecodeError as error:
            raise TargetFailed(f"mcp from within: the probe's output is damaged: {error}") from error
        body, output = rest[: answer.size], rest[answer.size + 1 :]
        yield answer, body
    if not output.startswith(b'{"line":"end"'):
        raise TargetFailed("mcp from within: the probe's output was cut off")


def _answer(tool: str, body: bytes, elapsed_ns: int) -> Answer:
    """The result of the call; of a stream of events, the last of them."""
    text = body.decode(errors="replace")
    events = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    try:
        message = json.loads(events[-1] if events else text)
        refused = str(message["error"]["message"]) if "error" in message else ""
        result = {} if refused else dict(message["result"])
        words = "\n".join(str(block.get("text", "")) for block in result.get("content", ()))
        document = result.get("structuredContent")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TargetFailed(f"mcp from within: call of '{tool}': no answer of MCP: {text[:_SHOWN]!r}") from error
    if refused:
        raise TargetFailed(f"mcp from within: call of '{tool}': {refused}")
    told = document if isinstance(document, dict) else {}
    return Answer(told, words, (words or "an error without a word") if result.get("isError") else "", elapsed_ns)


def _reason(done: Completed) -> str:
    """The probe's own words."""
    said = (done.stderr or done.stdout).decode(errors="replace").strip()
    return said[:_SHOWN] or f"exit status {done.exit_status}"
