"""The tools over MCP, by the official SDK: streamable HTTP within the daemon, and standard streams as a relay to it.

What a tool refuses is an answer with `isError`, as the protocol asks, so that an agent can read it and do better;
what is no tool is an error of the protocol. Needs the extra `sandbox`; imported only where MCP is served.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from benchproof import __version__
from benchproof.sandboxd.tools import TOOLS, Reply, Toolbox, schema_of
from benchproof.service.mcp_client import Reached, connected

BODY_BYTES = 8 << 20
_AT_ONCE = 64  # calls that are in work together; more of them wait
_SESSIONS = 1_000
_IDLE_S = 600.0
_LOOPBACK = ["127.0.0.1:*", "localhost:*", "[::1]:*"]
_NAME = "benchproof-sandboxd"


class Endpoint:
    """MCP over streamable HTTP: `app` answers requests for as long as `run` is entered."""

    def __init__(self, toolbox: Toolbox, *, loopback: bool) -> None:
        """`loopback`: refuse requests that name another host, which a web page could send by a name of its own."""
        security = TransportSecuritySettings(
            enable_dns_rebinding_protection=loopback,
            allowed_hosts=_LOOPBACK,
            allowed_origins=[f"http://{host}" for host in _LOOPBACK],
        )
        self._manager = StreamableHTTPSessionManager(
            app=server_of(toolbox),
            json_response=True,  # one answer to one request: no stream of events to open for it
            security_settings=security,
            session_idle_timeout=_IDLE_S,
            max_request_body_size=BODY_BYTES,
            max_sessions=_SESSIONS,
        )
        self.app = StreamableHTTPASGIApp(self._manager)

    def run(self) -> AbstractAsyncContextManager[None]:
        """What has to be entered in the daemon's event loop."""
        return self._manager.run()


def server_of(toolbox: Toolbox) -> Server[Any]:
    """The protocol's side of the tools; each call is done in a thread."""
    at_once = anyio.CapacityLimiter(_AT_ONCE)

    async def call(_: ServerRequestContext[Any], asked: types.CallToolRequestParams) -> types.CallToolResult:
        if asked.name not in TOOLS:
            raise MCPError(types.INVALID_PARAMS, f"there is no tool '{asked.name[:80]}'; known: {', '.join(TOOLS)}")
        arguments = asked.arguments or {}
        reply = await anyio.to_thread.run_sync(toolbox.call, asked.name, arguments, limiter=at_once)
        return _result(reply)

    return _server(on_list_tools=_listed, on_call_tool=call)


def _server(**handlers: Any) -> Server[Any]:
    server: Server[Any] = Server(_NAME, version=__version__, **handlers)
    server.middleware.clear()  # spans of OpenTelemetry, which nobody here collects
    server.get_tool_input_schema = _SCHEMAS.get
    return server


async def _listed(_: ServerRequestContext[Any], __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=_DESCRIBED)


def _result(reply: Reply) -> types.CallToolResult:
    """The document twice, as data and as text: the protocol asks that of servers, for clients that know only text."""
    if reply.error:
        return types.CallToolResult(content=[types.TextContent(type="text", text=reply.error)], is_error=True)
    text = json.dumps(reply.document)
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=reply.document)


_SCHEMAS: Mapping[str, dict[str, Any]] = {name: schema_of(tool.arguments) for name, tool in TOOLS.items()}
_DESCRIBED = [
    types.Tool(name=name, description=tool.arguments.__doc__, input_schema=_SCHEMAS[name])
    for name, tool in TOOLS.items()
]


async def relay(service: Reached, *, timeout_s: float) -> None:
    """Speak MCP on the standard streams, and hand every call on to the service, until standard input ends."""
    async with connected(service, transport="http", timeout_s=timeout_s) as client:

        async def call(_: ServerRequestContext[Any], asked: types.CallToolRequestParams) -> types.CallToolResult:
            return await client.call_tool(asked.name, asked.arguments)

        async def listed(_: ServerRequestContext[Any], __: object) -> types.ListToolsResult:
            return await client.list_tools()

        server = _server(on_list_tools=listed, on_call_tool=call)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


def quiet() -> None:
    """The SDK says each request at level INFO; the daemon's own log says what was done."""
    for name in ("mcp", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
