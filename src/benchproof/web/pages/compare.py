"""Any two runs, or any two targets of one or of two: faster, slower, the same or undecided, metric by metric."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof import comparing
from benchproof.analysis.matrix import Report
from benchproof.analysis.versus import Versus
from benchproof.errors import UsageError
from benchproof.reporters import versus
from benchproof.store import listings
from benchproof.store.bundle import Run
from benchproof.store.listings import Wanted
from benchproof.web import asked, sheets
from benchproof.web.asked import Missing
from benchproof.web.pages.run import known_as
from benchproof.web.reading import Read
from benchproof.web.site import Site

_OFFERED = 100  # of the newest runs, to choose from
_MOST_PAIRS = 20


def page(site: Site, request: Request) -> Response:
    """The comparison that the URL asks for, and the form to ask for another; without a base only the form."""
    names = {key: asked.text(request, key) for key in ("base", "new", "base_target", "new_target", "vary", "margin")}
    given = {key: _read(site, names[key]) if names[key] else None for key in ("base", "new")}
    base, new = given["base"], given["new"] or given["base"]
    offered = [line.run for line in listings.runs(site.index, Wanted(), skip=0, most=_OFFERED).lines]
    pairs, trouble = _compared(base, new, names) if base and new else ([], "")
    return site.page(
        "compare.html",
        status=400 if trouble and names["base"] else 200,  # a page of a run asks for the form alone
        names=names,
        offered=offered,
        targets={"base": _targets(base), "new": _targets(new)},
        pairs=[_shown(pair) for pair in pairs[:_MOST_PAIRS]],
        left_out=max(0, len(pairs) - _MOST_PAIRS),
        trouble=trouble,
        heads=versus.HEAD,
        marks=sheets.MARKS,
    )


def _read(site: Site, name: str) -> Read:
    """The run of that id. Raises Missing."""
    known = known_as(site, name)
    if known.path is None:
        raise Missing(f"run '{name}' lies in another home: a comparison needs its results")
    return site.reading.of(known.path)


def _targets(side: Read | None) -> list[str]:
    return [column.target for column in side.report.columns] if side else []


def _compared(base: Read, new: Read, names: dict[str, str]) -> tuple[list[Versus], str]:
    """Every pair that was asked for, or why there is none."""
    reports = {id(each.run): each.report for each in (base, new)}

    def reported(run: Run) -> Report:
        return reports[id(run)]

    chosen = tuple(names[key] for key in ("base_target", "new_target") if names[key])
    changes = {"margin": names["margin"] or None, "fdr": None}
    try:
        found = comparing.compared(
            [(base.run, new.run)], chosen, vary=names["vary"], changes=changes, reported=reported
        )
    except UsageError as error:
        return [], str(error)
    return found, ""


def _shown(pair: Versus) -> dict[str, object]:
    """A pair with the words of its rows."""
    rows = [(row.comparison.verdict, versus.texts(pair, row)) for row in pair.rows]
    return {"pair": pair, "rows": rows}
