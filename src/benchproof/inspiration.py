"""The `[inspired]` tables of a plan: whose rules its benchmarks follow in part, and which of them they do not meet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchproof.analysis.inspired import Inspired
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import UsageError
from benchproof.plugins import nearest
from benchproof.tables import convert

_LONGEST, _MOST_RULES = 300, 50
_URL = re.compile(r"https?://[^\s<>\"]+")


def inspired_of(tables: Mapping[str, Any], where: str) -> tuple[Inspired, ...]:
    """What the tables state. Raises UsageError."""
    found = tuple(_inspired(name, table, f"{where}: inspired.{name}") for name, table in tables.items())
    _refuse_twice(found, where)
    return found


def _inspired(name: str, table: Any, where: str) -> Inspired:
    if not isinstance(table, dict) or not table.get("unmet"):
        example = 'unmet = ["no independent audit"]'
        raise UsageError(f"{where}: unmet: expected the rules that are not met, such as {example}, found {table!r:.80}")
    if "upstream" in table:
        raise UsageError(f'{where}: upstream: expected as the name of the table: [inspired."TPC-C"]')
    found: Inspired = convert({**table, "upstream": name}, Inspired, where)
    _refuse_texts(found, where)
    for each in found.benchmarks:
        if each not in BENCHMARKS.names():
            raise UsageError(f"{where}: benchmarks: unknown benchmark '{each}'; {nearest(each, BENCHMARKS.names())}")
    return found


def _refuse_texts(found: Inspired, where: str) -> None:
    if len(found.unmet) > _MOST_RULES:
        raise UsageError(f"{where}: unmet: expected at most {_MOST_RULES} rules, found {len(found.unmet)}")
    for text in (found.upstream, *found.unmet):
        if not text.strip() or len(text) > _LONGEST or not text.isprintable():
            raise UsageError(f"{where}: expected at most {_LONGEST} printable characters, found {text!r:.80}")
    if found.url and not _URL.fullmatch(found.url):
        example = "https://example.org/rules"
        raise UsageError(f"{where}: url: expected where the rules are, such as {example}, found {found.url!r:.80}")


def _refuse_twice(found: tuple[Inspired, ...], where: str) -> None:
    """A figure is inspired by one set of rules, or nobody could say which of them it does not meet."""
    claimed: dict[str, str] = {}
    if len(found) > 1 and (of_all := next((each for each in found if not each.benchmarks), None)):
        raise UsageError(f"{where}: inspired.{of_all.upstream}: benchmarks: expected names, as there are other tables")
    for each in found:
        for name in each.benchmarks:
            if name in claimed:
                raise UsageError(f"{where}: inspired.{each.upstream}: '{name}' is inspired by {claimed[name]} already")
            claimed[name] = each.upstream
