"""The `[suites]` tables of a plan: which benchmarks are asked, with which parameters.

An item is a benchmark's name, a suite's, or a table with a name and parameters. A list for a parameter that takes one
value asks for each of them: `{ name = "scaling.primes", width = [1, 2, 4] }`. A suite that names `targets` is asked of
those alone, any other of all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

import msgspec

from benchproof.benchmarks import BENCHMARKS, CASES, SUITES, SWEEPS
from benchproof.errors import UsageError
from benchproof.model import Benchmark
from benchproof.plugins import nearest
from benchproof.tables import convert, refuse_unknown

_MOST = 64  # cases of one item


def benchmarks_of(suites: dict[str, Any], where: str) -> list[Benchmark]:
    """All that the tables ask, in their order; the primitive suite where there are none. Raises UsageError."""
    return [each for each, _ in asked_of_targets(suites, (), where)]


def asked_of_targets(
    suites: dict[str, Any], targets: Sequence[str], where: str
) -> list[tuple[Benchmark, tuple[str, ...]]]:
    """As `benchmarks_of`, each with those of the plan's targets that it is asked of."""
    tables = suites or {"primitive": {"benchmarks": ["primitive"]}}
    return [
        (benchmark, _targets_of(table, targets, f"{where}: suites.{name}"))
        for name, table in tables.items()
        for at, item in _suite(name, table, where)
        for benchmark in _benchmarks(item, at)
    ]


def _targets_of(table: dict[str, Any], known: Sequence[str], where: str) -> tuple[str, ...]:
    named = table.get("targets")
    if named is None:
        return tuple(known)
    if not isinstance(named, list) or not named:
        raise UsageError(f"{where}: targets: expected a list of targets, found {named!r}; leave it out for all")
    for name in named:
        if known and name not in known:
            raise UsageError(f"{where}: targets: unknown target '{name}'; {nearest(str(name), list(known))}")
    return tuple(named)


def of_targets_alone(suites: dict[str, Any], targets: Sequence[str]) -> dict[str, Any]:
    """The suites as far as they are asked of any of these; what makes no sense is left to be refused."""
    found = {}
    for name, table in suites.items():
        named = table.get("targets") if isinstance(table, dict) else None
        kept = [target for target in named if target in targets] if isinstance(named, list) else None
        if kept is None or not named:
            found[name] = table
        elif kept:
            found[name] = table | {"targets": kept}
    return found


def asked_of(suites: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    """What a user means by these names: a suite of the plan, what the plan asks by that name, or just the name.

    A benchmark that the plan asks with parameters is asked with them; `kernel.primitive` also goes by its `what`.
    """
    tables = {name: table["benchmarks"] for name, table in suites.items() if _has_items(table)}
    items = [each for table in tables.values() for item in table for each in _items(item)]
    found: list[Any] = []
    for name in names:
        asked = [item for item in items if isinstance(item, dict) and name in {item.get("name"), item.get("what")}]
        found += tables.get(name) or asked or [name]
    return found


def with_parameters(suites: dict[str, Any], given: dict[str, Any], beginning: str) -> tuple[dict[str, Any], int]:
    """The tables with these parameters for each benchmark whose name begins so, and how many cases got some."""
    changed, count = dict(suites), 0
    for key, table in suites.items():
        if _has_items(table):
            items = [_changed(each, given, beginning) for item in table["benchmarks"] for each in _items(item)]
            count += sum(isinstance(each, dict) and str(each.get("name")).startswith(beginning) for each in items)
            changed[key] = table | {"benchmarks": items}
    return changed, count


def _changed(item: Any, given: dict[str, Any], beginning: str) -> Any:
    table = {"name": item} if isinstance(item, str) else item
    asked = isinstance(table, dict) and str(table.get("name")).startswith(beginning)
    return table | given if asked else item


def names_of(items: list[Any]) -> set[str]:
    """The names of the benchmarks that are asked, suites resolved."""
    resolved = [each for item in items for each in _items(item)]
    return {str(each.get("name")) if isinstance(each, dict) else str(each) for each in resolved}


def _has_items(table: Any) -> bool:
    return isinstance(table, dict) and isinstance(table.get("benchmarks"), list)


def _suite(name: str, table: Any, where: str) -> Iterator[tuple[str, Any]]:
    where = f"{where}: suites.{name}"
    if not isinstance(table, dict):
        raise UsageError(f"{where}: benchmarks: expected a list of benchmarks, found {table!r}")
    refuse_unknown(table, ["benchmarks", "targets"], where)
    if not isinstance(table.get("benchmarks"), list) or not table["benchmarks"]:
        found = repr(table["benchmarks"]) if "benchmarks" in table else "nothing"
        raise UsageError(f"{where}: benchmarks: expected a list of benchmarks, found {found}")
    for item in table["benchmarks"]:
        yield from ((where, each) for each in _items(item))


def _items(item: Any) -> list[Any]:
    """A suite is its benchmarks, each with what the suite asks of it."""
    if not isinstance(item, str) or item not in SUITES:
        return [item]
    return [
        {"name": name} | case | SWEEPS.get(item, {}) | SWEEPS.get(name, {})
        for name in SUITES[item]
        for case in CASES.get(name, ({},))
    ]


def _benchmarks(item: Any, where: str) -> Iterator[Benchmark]:
    table = {"name": item} if isinstance(item, str) else item
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise UsageError(f"{where}: benchmarks: expected a name or a table with a name, found {item!r}")
    try:
        kind = BENCHMARKS.load(table["name"])
    except UsageError as error:
        raise UsageError(f"{where}: benchmarks: {error}") from error
    given = {key: value for key, value in table.items() if key != "name"}
    where = f"{where}: {table['name']}"
    for parameters in _each(given, kind, where):
        benchmark: Benchmark = convert(parameters, kind, where)
        yield benchmark


def _each(given: dict[str, Any], kind: type, where: str) -> Iterator[dict[str, Any]]:
    """The parameters, once for each combination of those that are lists and would be one value."""
    plain = {field.name for field in msgspec.structs.fields(kind) if not _takes_many(field.type)}
    lists = {key: value for key, value in given.items() if key in plain and isinstance(value, list)}
    many = 1
    for key, values in lists.items():
        if not values:
            raise UsageError(f"{where}: {key}: expected a value, or a list of at least one, found []")
        many *= len(values)
    if many > _MOST:
        raise UsageError(f"{where}: expected lists that make up to {_MOST} cases, found {many}")
    for combination in itertools.product(*lists.values()):
        yield given | dict(zip(lists, combination, strict=True))


def _takes_many(kind: Any) -> bool:
    """Whether a list is one value of such a type."""
    return (
        kind is Any or get_origin(kind) in {list, tuple, set, frozenset, dict} or any(map(_takes_many, get_args(kind)))
    )
