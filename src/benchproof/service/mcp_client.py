"""Calls of tools over MCP, for programs that know no `async`: one session, one call after another, each of them timed.

The official SDK speaks the protocol; its event loop runs in a thread of its own. An answer is bounded in size and
time, nothing is tried twice, and no proxy of the environment is asked. A tool's refusal is an `Answer` with an error;
a transport that breaks, a time-out or what is no MCP is TargetFailed, and says at which step.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol

from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Frozen

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from mcp import Client
    from mcp_types import CallToolResult

ANSWER_BYTES = 64 << 20  # of one answer over HTTP
Transport = Literal["http", "stdio"]
_MISSING = "pip install 'benchproof[sandbox]'"
_SHOWN = 300


class Reached(Protocol):
    """Of a `Service`, what a session needs."""

    @property
    def mcp(self) -> str:
        """The URL of its endpoint; empty: it has none."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request carries."""

    @property
    def stdio(self) -> Sequence[str]:
        """The command that speaks MCP on its standard streams."""


class Answer(Frozen, frozen=True):
    """What one call gave back. `error`: the tool's own words where it refused or failed, else empty."""

    document: Mapping[str, Any]
    text: str
    error: str
    elapsed_ns: int  # from the request to the result, on the host's clock, within the event loop


class Tools(Protocol):
    """Where tools can be called: a session, or what a test has in its place."""

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """One call. Raises TargetFailed."""


class Session:
    """An open session. Made by `session`."""

    def __init__(self, portal: BlockingPortal, client: Client, *, timeout_s: float, opened_ns: int) -> None:
        self._portal = portal
        self._client = client
        self._timeout_s = timeout_s
        self.opened_ns = opened_ns  # how long it took to open: connection and negotiation

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """One call. Raises TargetFailed."""
        found: Answer = self._portal.call(self._call, tool, dict(arguments))
        return found

    async def _call(self, tool: str, arguments: dict[str, Any]) -> Answer:
        with told(f"call of '{tool}'"):
            began_ns = time.monotonic_ns()
            found = await self._client.call_tool(tool, arguments, read_timeout_seconds=self._timeout_s)
            return answer(found, elapsed_ns=time.monotonic_ns() - began_ns)

    def tools(self) -> tuple[str, ...]:
        """The names of the tools that the server lists."""
        return self._portal.call(self._tools)

    async def _tools(self) -> tuple[str, ...]:
        with told("list of tools"):
            return tuple(tool.name for tool in (await self._client.list_tools()).tools)

    def ping(self) -> int:
        """The smallest exchange that the protocol has, in ns."""
        return self._portal.call(self._ping)

    async def _ping(self) -> int:
        with told("list of tools, not cached"):
            began_ns = time.monotonic_ns()
            found = await self._client.list_tools(cache_mode="bypass")
            elapsed_ns = time.monotonic_ns() - began_ns
        if not found.tools:
            raise TargetFailed("mcp: list of tools, not cached: it is empty")
        return elapsed_ns


@contextmanager
def session(service: Reached, *, transport: Transport = "http", timeout_s: float = 60) -> Iterator[Session]:
    """A session with the MCP server of a service. Raises NotSupported, TargetFailed."""
    try:
        from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise NotSupported("tools cannot be called without the package 'mcp'", missing=_MISSING) from error
    if not (service.mcp if transport == "http" else service.stdio):
        raise NotSupported(f"the service has no MCP over {transport}", missing="a service that says where its MCP is")
    with start_blocking_portal() as portal:
        began_ns = time.monotonic_ns()
        opened = connected(service, transport=transport, timeout_s=timeout_s)
        opening = portal.wrap_async_context_manager(_opening(opened))
        found = Session(portal, opening.__enter__(), timeout_s=timeout_s, opened_ns=time.monotonic_ns() - began_ns)
        try:
            yield found
        except BaseException:  # an error of the caller's goes past the SDK, which would wrap it in groups
            with suppress(Exception):  # what is told is the first that went wrong
                opening.__exit__(None, None, None)
            raise
        with told("closing of a session"):
            opening.__exit__(None, None, None)


@asynccontextmanager
async def _opening(client: AbstractAsyncContextManager[Client]) -> AsyncIterator[Client]:
    """Only what fails while it opens is ours to tell; what fails in between has been told."""
    async with AsyncExitStack() as stack:
        with told("opening of a session"):
            found = await stack.enter_async_context(client)
        yield found


@asynccontextmanager
async def connected(service: Reached, *, transport: Transport, timeout_s: float) -> AsyncIterator[Client]:
    """The SDK's client, open."""
    from mcp import Client, StdioServerParameters  # noqa: PLC0415 - an extra, and slow to import

    from benchproof.service.daemon import environment  # noqa: PLC0415 - needed for one transport alone

    if transport == "stdio":
        command, *words = service.stdio
        parameters = StdioServerParameters(command=command, args=words, env=environment())
        async with Client(parameters, read_timeout_seconds=timeout_s) as client:
            yield client
        return
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    from benchproof.service.bounded import http_client  # noqa: PLC0415

    async with http_client(service.headers, timeout_s=timeout_s, most_bytes=ANSWER_BYTES) as http:
        streams = streamable_http_client(service.mcp, http_client=http)
        async with Client(streams, read_timeout_seconds=timeout_s) as client:
            yield client


def answer(found: CallToolResult, *, elapsed_ns: int) -> Answer:
    """The structured content, or where there is none the text as JSON if it is an object."""
    text = "\n".join(str(getattr(block, "text", "")) for block in found.content)
    document = found.structured_content
    if not isinstance(document, dict):
        try:
            document = json.loads(text)
        except ValueError:
            document = {}
    error = (text[:_SHOWN] or "an error without a word") if found.is_error else ""
    return Answer(document if isinstance(document, dict) else {}, text, error, elapsed_ns)


@contextmanager
def told(step: str) -> Iterator[None]:
    """Whatever the SDK raises, as one line that names the step."""
    try:
        yield
    except TargetFailed:
        raise
    except Exception as error:  # the SDK's, its HTTP client's, its validator's: they share no base
        first = error
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise TargetFailed(f"mcp: {step}: {type(first).__name__}: {str(first)[:_SHOWN]}") from error
