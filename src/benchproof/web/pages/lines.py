"""The lines of results.jsonl behind a figure: raw samples, evidence and noise of each invocation, to be read."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from benchproof.errors import UsageError
from benchproof.model import Result
from benchproof.web import asked
from benchproof.web.asked import Missing
from benchproof.web.pages.run import known_of
from benchproof.web.sheets import MOST_LINES
from benchproof.web.site import Site

_MOST_OF_A_LINE = 20_000  # characters; the file has all of it


def page(site: Site, request: Request) -> Response:
    """Those of `n`, such as 3,5,8; else the first."""
    known, numbers = known_of(site, request), _numbers(asked.text(request, "n") or "1")
    if known.path is None:
        raise Missing(f"run '{known.run_id}' lies in another home; its lines are there")
    results = site.reading.of(known.path).run.results
    if max(numbers) > len(results):
        raise Missing(f"results.jsonl of run '{known.run_id}' has {len(results)} lines, and not {max(numbers)}")
    shown = [(number, results[number - 1], _text(results[number - 1])) for number in numbers]
    return site.page("lines.html", run=known, lines=shown)


def _numbers(given: str) -> list[int]:
    """Raises UsageError."""
    words = given.split(",")
    if len(words) > MOST_LINES or not all(each.isascii() and each.isdecimal() and 0 < len(each) < 10 for each in words):
        raise UsageError(f"n: expected up to {MOST_LINES} numbers of lines such as 3,5,8, found '{given[:60]}'")
    if not all(map(int, words)):
        raise UsageError("n: expected numbers from 1")
    return sorted({int(each) for each in words})


def _text(result: Result) -> str:
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode()[:_MOST_OF_A_LINE]
