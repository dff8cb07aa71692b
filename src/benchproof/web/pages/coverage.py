"""What was measured of whom, and what was not and why: the newest answer of every target to every benchmark."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benchproof.store import asked as answers
from benchproof.store.asked import Latest
from benchproof.web import asked, sheets
from benchproof.web.site import Site

_MOST = 100  # benchmarks on a page


def page(site: Site, request: Request) -> Response:
    """One page of benchmarks, all targets across."""
    text, target = asked.text(request, "q"), asked.text(request, "target")
    found = [each for each in answers.latest(site.index) if text in each.benchmark and target in {"", each.target}]
    table: dict[str, dict[str, Latest]] = {}
    for each in found:
        table.setdefault(each.benchmark, {})[each.target] = each
    number = asked.number(request, "page", most=1 << 20)
    shown = list(table)[(number - 1) * _MOST : number * _MOST]
    targets = sorted({each.target for each in found})
    return site.page(
        "coverage.html",
        text=text,
        target=target,
        table={name: table[name] for name in shown},
        targets=targets,
        counts=[(name, *_count(found, name)) for name in targets],
        pager=asked.Pager(number, _MOST, len(table)),
        marks=sheets.MARKS,
    )


def _count(found: list[Latest], target: str) -> tuple[int, int]:
    """Benchmarks with every answer, of those that this target was asked."""
    own = [each for each in found if each.target == target]
    return sum(each.passed == each.asked for each in own), len(own)
