"""The door around every page: who may ask, what may be asked, and what a browser may do with the answer.

Names and texts in a run are a stranger's. Templates escape them; this is for the day when one does not: no script runs
but our files, nothing is loaded from or sent to anywhere else, no other page may frame ours. Without tokens only this
host's own programs come in, and a browser among them, whatever page it shows, only by a loopback name: a page cannot
make up that header. No header of a proxy is believed.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchproof.errors import StoreError
from benchproof.model import Frozen
from benchproof.web.tokens import Tokens

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
REPORT_POLICY = (  # of a page that is one file: its styles and pictures are in it, and no script runs
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
UPLOAD = "/api/upload"
_OPEN = ("/healthz",)  # to who watches the server, without a token
_STATIC = "/static/"
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_REALM = 'Basic realm="benchproof: any user, a token of scope read as password", charset="UTF-8"'


class Door(Frozen, frozen=True):
    """Who comes in. `hosts`: names by which the server is asked, none: any. `base_path`: before every path."""

    hosts: tuple[str, ...] = LOOPBACK
    base_path: str = ""


class _Refusal(NamedTuple):
    status: int
    words: str
    header: tuple[str, str] = ("connection", "close")


class Guarded:
    """An ASGI application around another. `readers`: the tokens of who may read; None: who comes in."""

    def __init__(self, app: ASGIApp, door: Door, readers: Tokens | None = None) -> None:
        self._app = app
        self._door = door
        self._readers = readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(self._door.base_path)
        dressed = _dressed(send, path)
        refusal = self._refusal(scope, path) or await self._stranger(scope, path)
        if refusal is None:
            await self._app(scope, receive, dressed)
            return
        response = PlainTextResponse(f"{refusal.words}\n", refusal.status, dict([refusal.header]))
        await response(scope, receive, dressed)

    def _refusal(self, scope: Scope, path: str) -> _Refusal | None:
        headers = Headers(scope=scope)
        if self._door.hosts and (host := _host(headers.get("host", ""))) not in self._door.hosts:
            words = f"expected one of the names of this server in the header Host, found '{host[:80]}': --allow-host"
            return _Refusal(421, words)
        allowed = ("GET", "HEAD", "POST") if path == UPLOAD else ("GET", "HEAD")
        if scope["method"] not in allowed:
            return _Refusal(405, "this server is for reading", ("allow", ", ".join(allowed)))
        if path != UPLOAD and ("transfer-encoding" in headers or headers.get("content-length", "0") != "0"):
            return _Refusal(413, "expected no body")
        return None

    async def _stranger(self, scope: Scope, path: str) -> _Refusal | None:
        """Uploads have a door of their own."""
        if self._readers is None or path == UPLOAD or path in _OPEN:
            return None
        try:
            token = _token(Headers(scope=scope).get("authorization", ""))
            if await run_in_threadpool(self._readers.admit, token, "read") is not None:
                return None
        except StoreError:
            return _Refusal(503, "the server cannot read its tokens")
        return _Refusal(401, "expected a token of scope read", ("www-authenticate", _REALM))


def _dressed(send: Send, path: str) -> Send:
    """Adds what every answer carries; a page may have a policy of its own."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, text in _ALWAYS.items():
                headers[name] = text
            headers.setdefault("content-security-policy", POLICY)
            is_asset = path.startswith(_STATIC) and message["status"] == 200
            headers.setdefault("cache-control", "max-age=3600" if is_asset else "no-store")
        await send(message)

    return dressed


def _token(header: str) -> str:
    """Of `Bearer TOKEN`, or of `Basic` with the token as password, which is what a browser asks its user for."""
    kind, _, text = header.partition(" ")
    if kind.lower() == "bearer":
        return text.strip()
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
