"""Whether the index answers, for whoever watches the server."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from benchproof.web.site import Site


def page(site: Site, _request: Request) -> Response:
    """One word."""
    with site.index.reading():
        return PlainTextResponse("ok\n")
