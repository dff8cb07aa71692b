"""A matrix in a target's table: a target for each combination of its lists, called `mine/fortress/vcpus=2`.

    [targets.mine]
    kind = "kernel"
    image = "build/{profile}/kernel.elf"

    [targets.mine.matrix]
    profile = ["fortress", "balanced"]     # no setting of the kind: a word that other settings take as {profile}
    vcpus = [1, 2]                         # a setting of the kind
    reference = "mine/fortress/vcpus=2"    # what the others are held against; without it, the first
    only = ["mine/fortress/vcpus=1"]       # these alone, as `--targets` chooses them

The document that is recorded with a run stays as it was written: it is expanded wherever it is read.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchproof.errors import UsageError
from benchproof.model import Frozen
from benchproof.plugins import nearest
from benchproof.targets import KINDS

KEY = "matrix"
MOST = 64  # targets of one matrix
_REFERENCE, _ONLY = "reference", "only"
_OWN_NAME = "target"  # `{target}`: what the combination itself is called
_KNOWN_WORDS = {"argv", "dir", "checkout"}  # that others fill in: a kind of target in every start, `benchproof ci`
_WORD = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_AXIS = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 40  # characters of a value in a name


class Matrix(Frozen, frozen=True):
    """Targets of one table. `base`: the one that the cost of the others is told against."""

    name: str
    base: str
    targets: tuple[str, ...]


def expanded(tables: Mapping[str, Any], where: str) -> tuple[dict[str, Any], tuple[Matrix, ...]]:
    """Every target's own table, in the order of the plan, and which of them are of one matrix. Raises UsageError."""
    found: dict[str, Any] = {}
    matrices = []
    for name, table in tables.items():
        if isinstance(table, dict) and KEY in table:
            made, base = _combinations(name, table, f"{where}: targets.{name}")
            matrices.append(Matrix(name=name, base=base, targets=tuple(made)))
        else:
            made = {name: table}
        for each in made:
            if each in found or (each in tables and each != name):
                raise UsageError(f"{where}: targets.{name}: two targets are called '{each}'; rename one")
        found |= made
    return found, tuple(matrices)


def chosen(tables: Mapping[str, Any], names: Sequence[str], where: str) -> dict[str, Any]:
    """The tables of a document with these targets alone: a name, that of a matrix, or the beginning of a combination's.

    One whose reference is left out stands alone, since no other is what its plan means. Raises UsageError.
    """
    whole, matrices = expanded(tables, where)
    wanted = [each for name in names for each in _meant(name, whole, matrices, where)]
    kept: dict[str, Any] = {name: tables[name] for name in tables if name in wanted}
    for matrix in matrices:
        some = [each for each in matrix.targets if each in wanted]
        if some:
            table = tables[matrix.name]
            kept[matrix.name] = table if len(some) == len(matrix.targets) else table | {KEY: table[KEY] | {_ONLY: some}}
    return alone({name: kept[name] for name in tables if name in kept}, tables, where)


def alone(kept: Mapping[str, Any], tables: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The tables that are kept; one that is held against a target that is not is held against itself."""
    before, after = expanded(tables, where)[0], expanded(kept, where)[0]

    def lost(name: str) -> bool:
        own = [each for each in after if is_of(name, [each])]
        references = [after[each].get(_REFERENCE) for each in own if isinstance(after[each], dict)]
        return any(isinstance(each, str) and each in before and each not in after for each in references)

    itself = {name: f"{{{_OWN_NAME}}}" if _is_matrix(table) else name for name, table in kept.items()}
    return {name: table | {_REFERENCE: itself[name]} if lost(name) else table for name, table in kept.items()}


def groups_of(targets: Iterable[str]) -> dict[str, list[str]]:
    """Names that stand for several targets: that of a matrix, or the beginning of its combinations'."""
    found: dict[str, list[str]] = {}
    for target in targets:
        parts = target.split("/")
        for many in range(1, len(parts)):
            found.setdefault("/".join(parts[:many]), []).append(target)
    return found


def is_of(name: str, targets: Collection[str]) -> bool:
    """Whether any of these is the target of that name, or a combination of its matrix."""
    return any(each == name or each.startswith(f"{name}/") for each in targets)


def _meant(name: str, whole: Mapping[str, Any], matrices: Sequence[Matrix], where: str) -> list[str]:
    combinations = [each for matrix in matrices for each in matrix.targets]
    found = [name] if name in whole else [each for each in combinations if each.startswith(f"{name}/")]
    if not found:
        known = [*(matrix.name for matrix in matrices), *whole]
        raise UsageError(f"{where} has no target '{name}'; {nearest(name, known)}")
    return found


def _is_matrix(table: Any) -> bool:
    return isinstance(table, dict) and KEY in table


def _combinations(name: str, table: dict[str, Any], where: str) -> tuple[dict[str, Any], str]:
    """The tables of all combinations by name, and the name of their base."""
    matrix, at = table[KEY], f"{where}: {KEY}"
    plain = {key: value for key, value in table.items() if key != KEY}
    axes = _axes(matrix, plain, at)
    fields = _fields(str(table.get("kind", name)), where)
    _refuse_unused(axes, fields, plain, at)
    found: dict[str, Any] = {}
    for values in itertools.product(*axes.values()):
        combination = dict(zip(axes, values, strict=True))
        called = "/".join([name, *(_called(axis, value) for axis, value in combination.items())])
        if called in found:
            raise UsageError(f"{at}: two combinations are called '{called}'; write their values apart")
        words = {axis: _text(value) for axis, value in combination.items()} | {_OWN_NAME: called}
        settings = {axis: value for axis, value in combination.items() if axis in fields}
        found[called] = _filled({"kind": name} | plain | settings, words)
    only = _named(matrix, _ONLY, found, at)
    kept = {each: found[each] for each in found if not only or each in only}
    base = _named(matrix, _REFERENCE, found, at)
    return kept, base[0] if base and base[0] in kept else next(iter(kept))


def _axes(matrix: Any, plain: Mapping[str, Any], where: str) -> dict[str, list[Any]]:
    if not isinstance(matrix, dict):
        raise UsageError(f'{where}: expected a table of lists such as profile = ["fortress", "fast"], found {matrix!r}')
    axes = {key: value for key, value in matrix.items() if key not in {_REFERENCE, _ONLY}}
    many = 1
    for key, values in axes.items():
        at = f"{where}: {key}"
        if not _AXIS.fullmatch(key) or key in {"kind", _OWN_NAME, KEY, *_KNOWN_WORDS}:
            raise UsageError(f"{at}: expected a setting, or a word in small letters; '{key}' cannot vary in a matrix")
        if not isinstance(values, list) or not values:
            raise UsageError(f"{at}: expected a list of at least one value, found {values!r}")
        for value in values:
            if not isinstance(value, str | int | float):
                raise UsageError(f"{at}: expected texts and numbers, found {value!r}")
        if key in plain:
            raise UsageError(f"{at}: expected it here or in the table above, found it in both")
        many *= len(values)
    if not axes:
        raise UsageError(f'{where}: expected at least one list such as profile = ["fortress", "fast"], found none')
    if many > MOST:
        raise UsageError(f"{where}: expected up to {MOST} combinations, found {many}; a plan may have several targets")
    return axes


def _fields(kind: str, where: str) -> tuple[str, ...]:
    try:
        fields: tuple[str, ...] = KINDS.load(kind).Settings.__struct_fields__
    except UsageError as error:
        raise UsageError(f"{where}: kind: {error}") from error
    return fields


def _refuse_unused(axes: Mapping[str, list[Any]], fields: Sequence[str], plain: Mapping[str, Any], where: str) -> None:
    """A word that nothing takes would make targets that are all the same."""
    used = {word for text in _texts([plain, axes]) for word in _WORD.findall(text)}
    for key in axes:
        if key not in fields and key not in used:
            raise UsageError(
                f"{where}: {key}: expected a setting of this kind, or a word that some setting takes as {{{key}}}; "
                f"{nearest(key, list(fields))}"
            )
    if missing := sorted(used - axes.keys() - _KNOWN_WORDS - {_OWN_NAME}):
        raise UsageError(f"{where}: {{{missing[0]}}} has no value; {nearest(missing[0], list(axes))}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for each in value.values() for text in _texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in _texts(each))


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    """The same with a value in place of each `{word}` that has one."""
    if isinstance(value, str):
        return _WORD.sub(lambda found: words.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: _filled(each, words) for key, each in value.items()}
    return [_filled(each, words) for each in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _called(axis: str, value: Any) -> str:
    """How a value is told in a name: itself, without the folders of a path, or with its axis where it is a number."""
    if not isinstance(value, str):
        return f"{axis}={_text(value)}"
    word = re.sub(r"[^A-Za-z0-9._=+-]+", "_", value.rstrip("/").rpartition("/")[2]).strip("_")
    return word[:_LONGEST] or f"no_{axis}"


def _named(matrix: Mapping[str, Any], key: str, found: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The combinations that stand under a key of the matrix; none where there is none."""
    given = matrix.get(key, [])
    names = [given] if isinstance(given, str) and key == _REFERENCE else given
    if not isinstance(names, list) or (key in matrix and not names):
        raise UsageError(f"{where}: {key}: expected names of combinations, found {given!r}")
    for name in names:
        if name not in found:
            raise UsageError(f"{where}: {key}: no combination is called '{name}'; {nearest(str(name), list(found))}")
    return tuple(names)
