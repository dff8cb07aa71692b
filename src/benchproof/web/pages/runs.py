"""All runs, the newest first, by what they are of: search, filters and paging are in the URL."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof.store import listings
from benchproof.store.listings import Wanted
from benchproof.web import asked
from benchproof.web.site import Site

_MOST = 50


def page(site: Site, request: Request) -> Response:
    """One page of them."""
    wanted = Wanted(
        text=asked.text(request, "q"),
        branch=asked.text(request, "branch"),
        since=asked.text(request, "since"),
        until=asked.text(request, "until"),
    )
    number = asked.number(request, "page", most=1 << 20)
    found = listings.runs(site.index, wanted, skip=(number - 1) * _MOST, most=_MOST)
    pages = max(1, -(-found.total // _MOST))
    return site.page("runs.html", wanted=wanted, found=found, number=number, pages=pages, problems=site.problems)
