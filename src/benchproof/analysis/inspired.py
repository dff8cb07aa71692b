"""Which benchmarks are inspired by somebody's rules without meeting them all: no result of theirs, and called so.

Such a figure is compared with figures under the same unmet rules alone: never with a result that claims to meet them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from benchproof.model import Frozen


class Inspired(Frozen, frozen=True, kw_only=True):
    """`upstream`: whose rules; `unmet`: those that are not met, at least one; `benchmarks`: none: all of the plan."""

    upstream: str
    url: str = ""
    unmet: tuple[str, ...]
    benchmarks: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """Behind a name."""
        return f"inspired by {self.upstream}"

    def __str__(self) -> str:
        """What a reader has to know before any of its figures."""
        return f"{self.short}: no {self.upstream} result; unmet: {'; '.join(self.unmet)}"


def of(benchmark: str, inspired: Iterable[Inspired]) -> Inspired | None:
    """By what it is inspired; None for a benchmark of our own."""
    return next((each for each in inspired if not each.benchmarks or benchmark in each.benchmarks), None)


def why_not(one: Inspired | None, other: Inspired | None) -> str:
    """Why the figures of two are not compared; empty if they are of one kind."""
    rules = [(each.upstream, frozenset(each.unmet)) if each else None for each in (one, other)]
    if rules[0] == rules[1]:
        return ""
    return " against ".join(str(each) if each else "not inspired by anything" for each in (one, other))


def recorded(plan: Mapping[str, Any]) -> tuple[Inspired, ...]:
    """What the plan of a run says. A plan that says nothing, or nothing that makes sense, was never run as inspired."""
    tables = plan.get("inspired", {})
    try:
        return tuple(msgspec.convert({"upstream": name} | table, Inspired) for name, table in tables.items())
    except (msgspec.ValidationError, AttributeError, TypeError):
        return ()
