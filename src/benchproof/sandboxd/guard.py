"""The door: who has no token, or comes from a web page, is turned away before anything of the request is read.

Without a token only this host's own programs may come in. A browser on this host is one of them, whatever page it
shows: so a request must be for a loopback name (a page cannot make up that header), and of no other origin.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from benchproof.sandboxd.api import Error
from benchproof.sandboxd.sandboxes import Sandboxes

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_UNCOUNTED = "/mcp"  # its streams stay open without anything under way


class Guard:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, sandboxes: Sandboxes, *, token: str) -> None:
        self._app = app
        self._sandboxes = sandboxes
        self._expected = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if refusal := self._refusal(headers):
            await _refuse(send, *refusal)
            return
        counted = not scope["path"].startswith(_UNCOUNTED)
        self._sandboxes.requests += counted
        try:
            await self._app(scope, receive, send)
        finally:
            self._sandboxes.requests -= counted

    def _refusal(self, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if self._expected:
            if hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
                return None
            return 401, "expected the header 'Authorization: Bearer TOKEN' with the token of this daemon"
        if (host := _host(b"//" + headers.get(b"host", b"localhost"))) not in _LOOPBACK:
            return 403, f"expected a loopback address in the header Host, found '{host[:80]}'"
        if b"origin" in headers and (origin := _host(headers[b"origin"])) not in _LOOPBACK:
            return 403, f"expected no web page of another origin, found '{origin[:80]}'"
        return None


def _host(address: bytes) -> str:
    try:
        return urlsplit(address.decode("latin-1")).hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, status: int, words: str) -> None:
    body = msgspec.json.encode(Error(error=words, step="authorize"))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close"), *([(b"www-authenticate", b"Bearer")] if status == 401 else [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
