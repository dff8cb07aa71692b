"""MCP within the daemon, imported when somebody first asks for it.

The official SDK builds its models for two seconds of CPU time and 40 MB: who uses the daemon by HTTP alone does not
wait for that at each start, nor hold it. The first request of MCP waits; the others go on meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchproof.errors import NotSupported
from benchproof.sandboxd.tools import Toolbox

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from benchproof.sandboxd.mcp_server import Endpoint


class Late:
    """An ASGI application; answers for as long as `run` is entered."""

    def __init__(self, toolbox: Toolbox, *, loopback: bool) -> None:
        """`loopback`: as of `mcp_server.Endpoint`. Raises NotSupported where MCP could not be served later."""
        if importlib.util.find_spec("mcp") is None:
            raise NotSupported("the daemon needs the package 'mcp'", missing="pip install 'benchproof[sandbox]'")
        self._toolbox = toolbox
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._wanted.set()
        endpoint = await asyncio.shield(self._opened)  # who leaves meanwhile does not take it from the others
        await endpoint.app(scope, receive, send)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """What has to be entered in the daemon's event loop."""
        self._wanted, self._over = asyncio.Event(), asyncio.Event()
        self._opened: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            self._over.set()
            self._wanted.set()
            await keeper

    async def _keep(self) -> None:
        """One task enters and leaves what the SDK runs: its groups of tasks ask for that."""
        await self._wanted.wait()
        if self._over.is_set():
            return
        try:
            endpoint = await asyncio.to_thread(self._made)
        except Exception as error:  # noqa: BLE001 - whatever it is, everybody who asks is told, and nobody waits
            self._opened.set_exception(error)
            return
        async with endpoint.run():
            self._opened.set_result(endpoint)
            await self._over.wait()

    def _made(self) -> Endpoint:
        from benchproof.sandboxd import mcp_server  # noqa: PLC0415 - see above

        mcp_server.quiet()
        return mcp_server.Endpoint(self._toolbox, loopback=self._loopback)
