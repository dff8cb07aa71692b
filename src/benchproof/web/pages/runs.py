"""All runs, the newest first, by what they are of: search, filters and paging are in the URL."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof.store import listings
from benchproof.store.listings import Wanted
from benchproof.web import asked, sheets
from benchproof.web.site import Site

_MOST = 50


def page(site: Site, request: Request) -> Response:
    """One page of them."""
    wanted = Wanted(
        text=asked.text(request, "q"),
        **{name: asked.text(request, name) for name in ("benchmark", "target", "branch", "since", "until")},
        status=asked.word(request, "status", (*listings.STATES, *listings.STATUSES)),
        gate=asked.word(request, "gate", listings.GATES),
    )
    number = asked.number(request, "page", most=1 << 20)
    found = listings.runs(site.index, wanted, skip=(number - 1) * _MOST, most=_MOST)
    return site.page(
        "runs.html",
        wanted=wanted,
        statuses=(*listings.STATES, *listings.STATUSES),
        verdicts=listings.GATES,
        lines=found.lines,
        pager=asked.Pager(number, _MOST, found.total),
        marks=sheets.MARKS,
        problems=site.problems,
    )
