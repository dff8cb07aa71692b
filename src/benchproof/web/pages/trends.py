"""What became of each metric from run to run: a list to search, a line for each."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from benchproof.analysis.trend import Trend
from benchproof.charts import spark
from benchproof.markup import Markup as Drawn
from benchproof.reporters import trends
from benchproof.store import listings
from benchproof.web import asked, sheets
from benchproof.web.site import Site

_MOST = 25


def page(site: Site, request: Request) -> Response:
    """One page of them, judged; of imported and complete runs."""
    text, branch, number = (asked.text(request, "q"), asked.text(request, "branch"), asked.number(request, "page"))
    names, total = listings.series(site.index, text, branch=branch, skip=(number - 1) * _MOST, most=_MOST)
    some = site.judged(branch=branch, among=names) if names else ()
    told = {id(each): trends.parameters(each, some) for each in some}
    found = sorted(some, key=lambda each: (each.benchmark, each.metric, each.target, told[id(each)]))
    return site.page(
        "trends.html",
        text=text,
        branch=branch,
        rows=[
            (each, told[id(each)], _query(each, found), _line(each), trends.verdict(each), trends.expected(each.newest))
            for each in found
        ],
        pager=asked.Pager(number, _MOST, total),
        marks=sheets.MARKS,
    )


def _line(found: Trend) -> Drawn:
    """Of the newest epoch alone: others are not held against it."""
    newest = found.newest
    title = f"{found.metric} of {found.target}"
    return spark.draw([point.value for point in newest.points], title=title, said=f"{newest.n} runs, {found.verdict}")


def _query(found: Trend, page: Sequence[Trend]) -> dict[str, str]:
    """What its own page is asked for: its parameters, which may be others tomorrow, only where there are several."""
    names = {name: getattr(found, name) for name in ("target", "benchmark", "metric")}
    return names | ({"parameters": found.parameters} if len(trends.alike(found, page)) > 1 else {})
