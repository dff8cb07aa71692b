"""The whole report of a run as one page that can be kept: what `benchproof report --format html` prints."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from benchproof.reporters import html
from benchproof.store import listings
from benchproof.store.listings import Wanted
from benchproof.web.asked import Missing, text
from benchproof.web.headers import REPORT_POLICY
from benchproof.web.pages.run import known_as
from benchproof.web.site import Site


def page(site: Site, request: Request) -> Response:
    """Of the run that `run` names, else of the newest; it has a policy of its own, since its styles are in it."""
    newest = listings.runs(site.index, Wanted(), skip=0, most=1).lines
    known = known_as(site, text(request, "run") or (newest[0].run.run_id if newest else ""))
    if known.path is None:
        raise Missing(f"run '{known.run_id}' lies in another home; its report is made there")
    made = html.render(site.reading.of(known.path).report)
    return HTMLResponse(made, headers={"content-security-policy": REPORT_POLICY})
