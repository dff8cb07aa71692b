"""A small MCP server of real tools on a folder, by the official SDK, that can be told to lie. A program of its own.

`tool_server.py FOLDER --ready FILE` serves HTTP on a free port and writes the port; `tool_server.py FOLDER --stdio`
speaks on its standard streams. `GET /fault?name=...` says what it does wrong from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_KEPT: list[bytes] = []
_FIRST: dict[str, str] = {}
_ANY = {"type": "object"}


class Tools:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault = ""
        self.began_s = time.monotonic()

    def exec(self, argv, stdin=""):
        if self.fault == "does no work":
            return {"exit_status": 0, "stdout": "ok", "stderr": ""}
        if self.fault == "leaks":
            _KEPT.append(b"1" * (4 << 20))
        if self.fault == "dies":
            os._exit(3)
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        status = 3 if self.fault == "ends with a status" else done.returncode
        return {"exit_status": status, "stdout": done.stdout, "stderr": done.stderr}

    def write_file(self, path, content):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if self.fault != "drops a write" or not path.endswith("written"):
            file.write_text(content)
        return {"path": path}

    def read_file(self, path):
        content = (self.folder / path).read_text() if (self.folder / path).exists() else ""
        first = _FIRST.setdefault(path, content)
        return {"path": path, "content": first if self.fault == "is stale" else content}

    def list_directory(self, path=""):
        names = sorted(each.name for each in (self.folder / path).iterdir())
        names += ["more"] if self.fault == "lists more" else []
        return {"path": path, "entries": [{"name": name} for name in names]}

    def call(self, name, arguments):
        began_ns = time.monotonic_ns()
        if self.fault == "says error as success":
            return reply({}, "error: no such file")
        if self.fault == "refuses":
            return types.CallToolResult(content=[types.TextContent(type="text", text="refused")], is_error=True)
        found = getattr(self, name)(**arguments)
        elapsed_ns = time.monotonic_ns() - began_ns
        match self.fault:
            case "says that it took longer":
                elapsed_ns += 10**12
            case "says milliseconds":
                elapsed_ns //= 10**6
        stated = {} if self.fault == "says no time" else {"elapsed_ns": elapsed_ns}
        return reply(found | stated)


def reply(document, text=None):
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=json.dumps(document) if text is None else text)],
        structured_content=document or None,
    )


def server_of(tools):
    async def call(_, asked):
        return await asyncio.to_thread(tools.call, asked.name, asked.arguments or {})

    async def listed(_, __):
        names = () if tools.fault == "has no tools" else ("exec", "write_file", "read_file", "list_directory")
        return types.ListToolsResult(tools=[types.Tool(name=name, input_schema=_ANY) for name in names])

    return Server("tool-server", on_list_tools=listed, on_call_tool=call)


def application(tools):
    manager = StreamableHTTPSessionManager(app=server_of(tools), json_response=True)

    def health(_):
        up_s = time.monotonic() - tools.began_s
        match tools.fault:
            case "is no JSON":
                return Response(b"ok")
            case "is unwell":
                return JSONResponse({"status": "down"}, status_code=503)
            case "runs backwards":
                return JSONResponse({"status": "ok", "uptime_s": 1e6 - up_s})
        return JSONResponse({"status": "ok", "uptime_s": up_s})

    def pool(_):
        ready = time.monotonic() - tools.began_s > 0.05  # it fills while it serves
        return JSONResponse({"size": 1, "ready": int(ready)})

    async def fault(request):
        tools.fault = parse_qs(request.url.query).get("name", [""])[0]
        return JSONResponse({"fault": tools.fault})

    @contextlib.asynccontextmanager
    async def lifespan(_):
        async with manager.run():
            yield

    routes = [
        Route("/health", health),
        Route("/pool", pool),
        Route("/fault", fault),
        Route("/mcp", StreamableHTTPASGIApp(manager)),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def speak(tools):
    server = server_of(tools)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def main():
    tools = Tools(Path(sys.argv[1]))
    if sys.argv[2] == "--stdio":
        asyncio.run(speak(tools))
        return
    # of a socket whose protocol is not said, asyncio does not know that it is TCP, and waits 40 ms for acknowledgements
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    Path(sys.argv[3] + ".draft").write_text(str(listening.getsockname()[1]))
    Path(sys.argv[3] + ".draft").rename(sys.argv[3])
    config = uvicorn.Config(application(tools), log_level="error", lifespan="on")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
