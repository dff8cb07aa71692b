"""What gates said from run to run: gates down, runs across, the newest first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof.store import asked as answers
from benchproof.web import asked, sheets
from benchproof.web.site import Site

_MOST = 12  # runs side by side


def page(site: Site, request: Request) -> Response:
    """As runs were sealed; `benchproof gate` judges anew."""
    branch, number = asked.text(request, "branch"), asked.number(request, "page", most=1 << 20)
    runs, gates, total = answers.gates(site.index, branch=branch, skip=(number - 1) * _MOST, most=_MOST)
    return site.page(
        "gates.html",
        branch=branch,
        runs=runs,
        gates=gates,
        pager=asked.Pager(number, _MOST, total),
        marks=sheets.MARKS,
    )
