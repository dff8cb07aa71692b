"""One run: its matrix, what to doubt, its gates, and the files behind all of it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof.errors import one_line
from benchproof.reporters import doubts, layout, verdicts
from benchproof.store import listings
from benchproof.store.index import Known
from benchproof.web import asked, names, sheets
from benchproof.web.site import Site


def page(site: Site, request: Request) -> Response:
    """Its report; of a run that lies in another home, what the index knows of it."""
    known = known_of(site, request)
    if known.path is None:
        return site.page("elsewhere.html", run=known)
    read = site.reading.of(known.path)
    found = read.report
    return site.page(
        "run.html",
        run=known,
        report=found,
        settings=layout.settings(found),
        coverage=layout.coverage(found),
        labels=tuple(layout.labels(found)),
        sheets=tuple(sheets.of(found)),
        marks=sheets.MARKS,
        notes=layout.notes(found),
        contexts=tuple(doubts.contexts(found)),
        caveats=tuple(doubts.caveats(found)),
        troubles=doubts.troubles(found),
        gates=[(each.verdict, verdicts.texts(each, found)) for each in found.gates],
        gate_heads=verdicts.HEAD,
        configurations=[layout.configuration(found, column) for column in found.columns],
    )


def known_of(site: Site, request: Request) -> Known:
    """The run that the path names. Raises Missing, UsageError."""
    return known_as(site, names.name(request.path_params["run"]))


def known_as(site: Site, run_id: str) -> Known:
    """The run of that id. Raises Missing."""
    known = listings.run(site.index, run_id)
    if known is None:
        raise asked.Missing(f"the index has no run '{one_line(run_id)[:80]}'; it may be gone, or no run to believe")
    return known
