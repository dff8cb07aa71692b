"""The dashboard as an ASGI application: the pages of the table, the files beside them, and what a trouble looks like.

It only reads. What may be written, and what a browser may do with a page, is decided elsewhere, around it.
"""

from __future__ import annotations

import contextlib
import functools
import http
import importlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from benchproof.errors import BenchproofError, StoreError, UsageError
from benchproof.web.asked import Missing
from benchproof.web.headers import UPLOAD
from benchproof.web.pages import PAGES
from benchproof.web.site import Site
from benchproof.web.tokens import Tokens
from benchproof.web.uploads import USUAL, Limits, Uploads

_STATUS: dict[type[BenchproofError], int] = {Missing: 404, UsageError: 400, StoreError: 503}


def create(
    home: Path,
    *,
    index: str | None,
    uploads: Tokens | None = None,
    limits: Limits = USUAL,
    base_path: str = "",
) -> Starlette:
    """The application over the runs in `home`. `base_path`: where a proxy puts it, such as `/bench`.

    `uploads`: who may send runs; None: nobody. It is to be served behind `headers.Guarded`.
    Its `state.site` is what pages share. Raises UsageError where there are no runs or a library is missing.
    """
    site = Site(home, index=index, base_path=base_path.rstrip("/"))

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        site.close()

    routes = _routes(site)
    if uploads is not None:
        taken = Uploads(home, uploads, arrived=site.refresh, base_path=site.base_path, limits=limits)
        routes.append(Route(UPLOAD, taken.endpoint, methods=["GET", "POST"]))
    if site.base_path:  # proxies differ in whether they take the prefix off
        routes = [Mount(site.base_path, routes=routes), *routes]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.site = site
    app.add_exception_handler(BenchproofError, functools.partial(_trouble, site))
    app.add_exception_handler(HTTPException, functools.partial(_refusal, site))
    return app


def _routes(site: Site) -> list[BaseRoute]:
    return [
        *(Route(path, functools.partial(_page(name), site), methods=["GET"]) for path, name in PAGES.items()),
        Mount("/static", StaticFiles(packages=[("benchproof.web", "static")])),
    ]


def _page(name: str) -> Callable[[Site, Request], Response]:
    module, _, function = name.partition(":")
    found: Callable[[Site, Request], Response] = getattr(importlib.import_module(module), function)
    return found


def _trouble(site: Site, _request: Request, error: Exception) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    return _error(site, status, str(error))


def _refusal(site: Site, _request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = "there is no such page" if error.status_code == http.HTTPStatus.NOT_FOUND else error.detail
    response = _error(site, error.status_code, words)
    response.headers.update(error.headers or {})
    return response


def _error(site: Site, status: int, words: str) -> Response:
    return site.page("error.html", status=status, title=http.HTTPStatus(status).phrase, words=words)
