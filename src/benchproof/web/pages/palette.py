"""The colours of pages and charts, in light and in dark: one table for both."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof.charts import palette
from benchproof.web.site import Site


def page(_site: Site, _request: Request) -> Response:
    """A style sheet."""
    return Response(palette.css(), media_type="text/css")
