"""Which benchmarks a change asks for: the `[[rerun]]` tables of a plan, held against the files that changed.

    [[rerun]]
    benchmarks = ["fork.*"]                  # a benchmark, a suite, or all whose names begin so
    paths = ["src/image.rs", "src/fork/**"]  # of the repository: `*` is within a folder, `**` over folders
    why = "fork and image code"

What no rule names is always measured. Where it is not known what changed, and for a release, everything is: a rule
saves time, and never answers a question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.errors import UsageError, one_line
from benchproof.model import Frozen
from benchproof.plugins import nearest
from benchproof.suites import asked_of, names_of
from benchproof.tables import convert

KEY = "rerun"
Changed = Callable[[Sequence[str]], Sequence[str]]  # patterns -> the files that changed and match one


class Rule(Frozen, frozen=True, forbid_unknown_fields=True):
    """One table. `whole`: of the command line, and so of everything that no table names."""

    paths: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    why: str = ""

    def __post_init__(self) -> None:
        for key, given in (("paths", self.paths), ("benchmarks", self.benchmarks)):
            if not given or not all(given):
                raise UsageError(f"{key}: expected a list of at least one, found {list(given)!r}")


class Choice(Frozen, frozen=True):
    """One benchmark of the plan: whether it is measured, and why or why not."""

    name: str
    due: bool
    why: str


def rules_of(document: Mapping[str, Any], where: str) -> tuple[Rule, ...]:
    """The tables of a plan. Raises UsageError."""
    tables = document.get(KEY, [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise UsageError(f"{where}: {KEY}: expected tables written [[{KEY}]], found {tables!r:.80}")
    found = []
    for number, table in enumerate(tables, 1):
        rule: Rule = convert(table, Rule, f"{where}: {KEY} {number}")
        own = document.get("suites", {})
        known = [*(own if isinstance(own, dict) else ()), *SUITES, *BENCHMARKS.names()]
        for name in rule.benchmarks:
            if name not in known and not _family(name):
                raise UsageError(f"{where}: {KEY} {number}: unknown benchmark '{name}'; {nearest(name, known)}")
        found.append(rule)
    return tuple(found)


def choices(
    document: Mapping[str, Any],
    wanted: tuple[str, ...],
    *,
    where: str,
    paths: tuple[str, ...] = (),
    changed: Changed | None = None,
    everything: str = "",
) -> tuple[Choice, ...]:
    """Each benchmark that the plan asks, or those of it that are `wanted`, in their order.

    `paths`: of what no rule names; `changed` is None where nobody knows; `everything`: why no rule holds this time.
    """
    suites = document.get("suites") or {"primitive": {"benchmarks": ["primitive"]}}
    rules = [(rule, _names(suites, rule.benchmarks)) for rule in rules_of(document, where)]
    asked = names_of_in_order(suites, wanted)
    every = Rule(paths=paths, benchmarks=("*",), why="--paths") if paths else None
    return tuple(
        _choice(name, [rule for rule, names in rules if name in names] or [each for each in [every] if each], changed)
        if not everything
        else Choice(name, due=True, why=everything)
        for name in asked
    )


def _choice(name: str, rules: Sequence[Rule], changed: Changed | None) -> Choice:
    if not rules:
        return Choice(name, due=True, why="no rule names it")
    if changed is None:
        return Choice(name, due=True, why="what changed is not known")
    for rule in rules:
        if files := changed(rule.paths):
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            because = f" ({rule.why})" if rule.why else ""
            return Choice(name, due=True, why=f"changed: {one_line(files[0])}{more}{because}")
    patterns = ", ".join(pattern for rule in rules for pattern in rule.paths)
    return Choice(name, due=False, why=f"nothing changed in {patterns}")


def names_of_in_order(suites: Mapping[str, Any], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The benchmarks behind these names; behind none, all that the tables ask."""
    tables = dict(suites)
    items = asked_of(tables, wanted or tuple(tables))
    return tuple(dict.fromkeys(name for item in items for name in sorted(names_of([item]))))


def _names(suites: Mapping[str, Any], names: tuple[str, ...]) -> set[str]:
    return names_of(asked_of(dict(suites), names)).union(*map(_family, names))


def _family(name: str) -> list[str]:
    """The benchmarks that `fork.*` means; none for any other name."""
    return [each for each in BENCHMARKS.names() if name.endswith(".*") and each.startswith(name[:-1])]
