"""The newest verified figures, for a monitoring system."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof import monitoring
from benchproof.web.site import Site


def page(site: Site, _request: Request) -> Response:
    """As OpenMetrics."""
    return Response(monitoring.exposition(site.index), headers={"content-type": monitoring.CONTENT_TYPE})
