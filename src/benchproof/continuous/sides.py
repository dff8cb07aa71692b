"""From a plan to the same plan with two sides: each target as `base` and as `head`, the second held against the first.

What differs is stated: settings of either side, or the checkout in whose place `{checkout}` stands in the plan. A
target that would be the same on both sides is left out, since only noise could differ. Gates speak of the head.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from benchproof import matrices, references, reruns
from benchproof.errors import UsageError
from benchproof.model import Frozen
from benchproof.plugins import nearest
from benchproof.policy import benchmark_of
from benchproof.tables import table_of
from benchproof.targets import KINDS

BASE, HEAD = "base", "head"
CHECKOUT = "{checkout}"
_REFERENCE = "reference"


class Side(Frozen, frozen=True, kw_only=True):
    """What is special about one of the two. `folder`: its checkout; empty where there is none."""

    name: str
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    folder: str = ""


class TwoSided(Frozen, frozen=True):
    """`names`: target of the plan -> what its head is called; `left_out`: targets of which nothing would differ."""

    document: dict[str, Any]
    names: dict[str, str]
    left_out: tuple[str, ...]


def setting(given: str, option: str) -> tuple[str, Any]:
    """One KEY=VALUE; the value is read as in a plan where it makes sense as that, else as text. Raises UsageError."""
    key, equals, text = given.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{option}: expected KEY=VALUE such as 'kernel=build/bzImage', found '{given}'")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return key.strip(), value


def two_sided(document: Mapping[str, Any], base: Side, head: Side, where: str) -> TwoSided:
    """The plan with both sides of every target that differs. Raises UsageError where none does."""
    tables = references.resolved(matrices.expanded(table_of(dict(document), "targets", where), where)[0], where)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{where}: targets.{name}: expected a table, found {table!r}")
    _refuse_unknown_settings(tables, (base, head), where)
    both = {name: [_table(name, table, side) for side in (base, head)] for name, table in tables.items()}
    differing = [name for name, (one, other) in both.items() if one != other]
    if not differing:
        raise UsageError(
            f"{where}: base and head are the same for every target ({', '.join(tables)}); write {CHECKOUT} where the "
            "plan names what is built, or say what differs with --base-set KEY=VALUE and --head-set KEY=VALUE"
        )
    left_out = tuple(name for name in tables if name not in differing)
    called = {name: _called(name, differing) for name in differing}
    targets: dict[str, Any] = {}
    for name in differing:
        first, second = called[name]
        targets[first] = both[name][0] | {_REFERENCE: first}
        targets[second] = both[name][1] | {_REFERENCE: first}
    heads = {name: second for name, (_, second) in called.items()}
    made = {key: value for key, value in document.items() if key != reruns.KEY} | {"targets": targets}
    if "gates" in document:
        made["gates"] = gates_on_heads(table_of(dict(document), "gates", where), heads, left_out)
    if "smokes" in document:
        made["smokes"] = _smokes(table_of(dict(document), "smokes", where), called, (base, head))
    return TwoSided(made, heads, left_out)


def one_sided(document: Mapping[str, Any], folder: str, where: str) -> dict[str, Any]:
    """The plan with a checkout in the place of `{checkout}`. Raises UsageError where it names none."""
    made = filled({key: value for key, value in document.items() if key != reruns.KEY}, folder)
    if made["targets"] == document.get("targets"):
        raise UsageError(f"{where}: targets: expected {CHECKOUT} where the plan names what is built, found it nowhere")
    return dict(made)


def filled(value: Any, folder: str) -> Any:
    """The same with the folder in place of `{checkout}`, in every text."""
    if isinstance(value, str):
        return value.replace(CHECKOUT, folder)
    if isinstance(value, dict):
        return {key: filled(each, folder) for key, each in value.items()}
    return [filled(each, folder) for each in value] if isinstance(value, list) else value


def gates_on_heads(gates: Mapping[str, Any], heads: Mapping[str, str], gone: Iterable[str] = ()) -> dict[str, Any]:
    """Gates of a plan or policy as those of the head; a ratio is to the base, whatever it was to.

    Nothing is asked of the base: what it does wrong is nothing that a change did. Gates on benchmarks and targets that
    are `gone` go, too. What makes no sense is left to be refused.
    """
    left_out = tuple(gone)

    def is_kept(key: str, table: Any) -> bool:
        target = table.get("target") if isinstance(table, dict) else None
        return target not in left_out and benchmark_of(key, left_out) is None

    def on_head(table: Any) -> Any:
        if not isinstance(table, dict) or not isinstance(target := table.get("target", HEAD), str):
            return table
        group = [name for name in heads if name.startswith(f"{target}/")]
        there = heads.get(target) or (f"{HEAD}/{target}" if group else target)
        ratio = {"baseline": _REFERENCE} if table.get("statistic") == "ratio" else {}
        return table | {"target": there} | ratio

    return {key: on_head(table) for key, table in gates.items() if is_kept(key, table)}


def _called(name: str, differing: Sequence[str]) -> tuple[str, str]:
    return (BASE, HEAD) if len(differing) == 1 else (f"{BASE}/{name}", f"{HEAD}/{name}")


def _table(name: str, table: Mapping[str, Any], side: Side) -> dict[str, Any]:
    """The target's own table on one side; a setting that its kind does not know is another target's."""
    kind = str(table.get("kind", name))
    known = {key: value for key, value in side.settings.items() if key in _fields(kind)}
    own = {key: value for key, value in table.items() if key != _REFERENCE}
    made: dict[str, Any] = filled({"kind": kind} | own | known, side.folder) if side.folder else own | known
    return made | {"kind": kind}


def _refuse_unknown_settings(tables: Mapping[str, Any], sides: Iterable[Side], where: str) -> None:
    fields = {field for name, table in tables.items() for field in _fields(str(table.get("kind", name)))}
    for side in sides:
        for key in side.settings:
            if key not in fields:
                known = nearest(key, sorted(fields))
                raise UsageError(f"{where}: --{side.name}-set: no target has a setting '{key}'; {known}")


def _fields(kind: str) -> tuple[str, ...]:
    found: tuple[str, ...] = KINDS.load(kind).Settings.__struct_fields__
    return found


def _smokes(
    tables: Mapping[str, Any], called: Mapping[str, tuple[str, str]], sides: tuple[Side, Side]
) -> dict[str, Any]:
    """The tests of a project on each side, in the checkout of that side where they name it."""
    found = {}
    for name, table in tables.items():
        named = table.get("targets", list(called)) if isinstance(table, dict) else None
        if not isinstance(named, list):
            found[name] = table  # to be refused by who reads it
            continue
        for number, side in enumerate(sides):
            targets = [called[each][number] for each in named if each in called]
            if targets:
                found[f"{name} ({side.name})"] = filled(table, side.folder) | {"targets": targets}
    return found
