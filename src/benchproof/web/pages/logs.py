"""What there is among the logs of a run, by name."""

from __future__ import annotations

import os

from starlette.requests import Request
from starlette.responses import Response

from benchproof import beneath
from benchproof.errors import UsageError
from benchproof.web.asked import Missing
from benchproof.web.pages.run import known_of
from benchproof.web.site import Site

_MOST = 5000


def page(site: Site, request: Request) -> Response:
    """A list; the report of a run leads here."""
    known = known_of(site, request)
    if known.path is None:
        raise Missing(f"run '{known.run_id}' lies in another home; its logs are there")
    try:
        with beneath.folder(known.path, ("logs",)) as folder:
            found = sorted(os.listdir(folder))  # noqa: PTH208 - of a descriptor, which no link can turn elsewhere
    except UsageError as error:
        raise Missing(f"run '{known.run_id}' has no logs") from error
    return site.page("logs.html", run=known, logs=found[:_MOST], more=max(0, len(found) - _MOST))
