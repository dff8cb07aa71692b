"""An HTTP client for the SDK of MCP that reads no endless answer. Needs the extra `sandbox`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    import ssl


def http_client(headers: Mapping[str, str], *, timeout_s: float, most_bytes: int) -> httpx2.AsyncClient:
    """Keeps its connections, follows no redirect, and asks no proxy of the environment."""
    return httpx2.AsyncClient(
        headers=dict(headers),
        timeout=httpx2.Timeout(timeout_s),
        transport=_Bounded(httpx2.AsyncHTTPTransport(verify=_trusted(), trust_env=False), most_bytes),
        trust_env=False,
    )


@cache
def _trusted() -> ssl.SSLContext:
    """Whom this machine trusts. Read once: to read all certificates takes as long as a session without TLS."""
    return httpx2.create_ssl_context(trust_env=False)


class _Bounded(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, most_bytes: int) -> None:
        self._inner = inner
        self._most_bytes = most_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream, self._most_bytes)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, most_bytes: int) -> None:
        self._inner = inner
        self._room_bytes = most_bytes
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._room_bytes -= len(chunk)
            if self._room_bytes < 0:
                raise httpx2.ReadError(f"the answer has more than {self._most_bytes} bytes; it was not read on")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
