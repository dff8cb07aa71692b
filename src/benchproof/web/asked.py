"""What a request asks for, bounded: a page is shown for what makes sense, and anything else is a line."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from starlette.requests import Request

from benchproof.errors import BenchproofError, UsageError
from benchproof.store import listings

_LONGEST = 2000  # characters of one answer in a URL: names are as long as a bundle has them


class Missing(BenchproofError):  # noqa: N818 - what HTTP calls it
    """There is no such page, and why."""


def text(request: Request, key: str) -> str:
    """What the URL says of `key`; empty where it says nothing. Raises UsageError."""
    found = request.query_params.get(key, "").strip()
    if len(found) > _LONGEST or not found.isprintable():
        raise UsageError(f"{key}: expected up to {_LONGEST} printable characters, found '{found[:60]}'")
    return found


def word(request: Request, key: str, known: Collection[str]) -> str:
    """One of the known words, or none. Raises UsageError."""
    found = text(request, key)
    if found and found not in known:
        raise UsageError(f"{key}: expected one of {', '.join(known)}, found '{found}'")
    return found


def time(request: Request, key: str) -> str:
    """The beginning of a time, or nothing. Raises UsageError."""
    found = text(request, key)
    listings.refuse_no_time(key, found)
    return found


def number(request: Request, key: str, *, most: int = 1 << 31) -> int:
    """A number of 1 and more, 1 where the URL says nothing. Raises UsageError."""
    found = text(request, key) or "1"
    if not (found.isascii() and found.isdecimal() and len(found) <= 10 and 1 <= int(found) <= most):
        raise UsageError(f"{key}: expected a number from 1 to {most}, found '{found}'")
    return int(found)


class Pager(NamedTuple):
    """Which page of a list this is."""

    number: int
    most: int  # on one page
    total: int

    @property
    def pages(self) -> int:
        """At least one, be it empty."""
        return max(1, -(-self.total // self.most))
