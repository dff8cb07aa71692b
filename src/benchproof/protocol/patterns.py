"""Patterns that a plan brings along: compiled once, and refused where they could take for ever.

Python's engine tries all ways in which loops can share out a text. So a loop without end must not stand within another
one, and not many of them may be able to match the same text one after another. Lines are cut before they are matched.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from benchproof.errors import UsageError

_ENDLESS = 64  # a loop with a higher limit counts as one without
_LONGEST = 500  # characters of a pattern
_ALIKE = 5  # loops in a row that may share out the same text, as `_alike` counts them
_ANY = frozenset(map(chr, range(128)))


@functools.cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern. Raises UsageError where it makes no sense or could take for ever."""
    if len(pattern) > _LONGEST:
        raise UsageError(f"expected a pattern of up to {_LONGEST} characters, found one of {len(pattern)}")
    try:
        tree = importlib.import_module("re._parser").parse(pattern)
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"expected a regular expression, found '{pattern}': {error}") from error
    for problem in _problems(tree):
        raise UsageError(f"the pattern '{pattern}' {problem}")
    return found


def _problems(tree: Any) -> Iterator[str]:
    if _nests(tree):
        yield (
            "has a loop within a loop, which on some lines would take for ever; "
            "write the inner one without '+' and '*', or as an own part of the line"
        )
    if _alike(tree) > _ALIKE:
        yield (
            "has too many loops in a row that can match the same text, which on long lines takes for ever; "
            r"say what stands in each ('\S+', '[0-9]+') and what stands between"
        )


def _nests(tree: Any, *, inside: bool = False) -> bool:
    """Whether a loop without end that can give back what it took stands within another one."""
    return any(
        (inside and endless) or _nests(body, inside=inside or endless) for endless, body in _bodies(_items(tree))
    )


def _items(tree: Any) -> list[tuple[str, Any]]:
    return [(str(name), argument) for name, argument in tree]


def _bodies(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[bool, Any]]:
    """(it is a loop without end that gives back, its body) for all that has a body."""
    for name, argument in items:
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            yield argument[1] > _ENDLESS, argument[2]
        elif name == "POSSESSIVE_REPEAT":
            yield False, argument[2]
        elif name in {"SUBPATTERN", "BRANCH", "ASSERT", "ASSERT_NOT", "ATOMIC_GROUP", "GROUPREF_EXISTS"}:
            yield from ((False, body) for body in _parts(name, argument))


def _parts(name: str, argument: Any) -> list[Any]:
    if name == "SUBPATTERN":
        return [argument[3]]
    if name == "BRANCH":
        return list(argument[1])
    if name == "GROUPREF_EXISTS":
        return [each for each in argument[1:] if each is not None]
    return [argument[1]] if name in {"ASSERT", "ASSERT_NOT"} else [argument]


def _alike(tree: Any) -> int:
    """How many loops in a row can share out the same text; one that follows another directly counts twice.

    Matching takes at most about that power of a line's length.
    """
    runs: dict[frozenset[str], tuple[int, bool]] = {}  # characters of the last loop -> weight so far, directly before
    heaviest = 0
    for least, endless, characters in _steps(tree):
        alike = {last: (weight, direct) for last, (weight, direct) in runs.items() if last & characters}
        kept = {last: (weight, False) for last, (weight, _) in alike.items()} if least else runs
        if endless:
            weight = max((weight + 1 + direct for weight, direct in alike.values()), default=1)
            kept = kept | {characters: (max(weight, kept.get(characters, (0, True))[0]), True)}
            heaviest = max(heaviest, weight)
        runs = kept
    return heaviest


def _steps(tree: Any) -> Iterator[tuple[int, bool, frozenset[str]]]:
    """What a pattern matches one after another: how often at least, whether without end, and which characters."""
    for name, argument in _items(tree):
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            least, most, body = argument
            if most > _ENDLESS:
                yield least, True, _characters(body)
            elif least:
                yield from _steps(body)
        elif name == "SUBPATTERN":
            yield from _steps(argument[3])
        elif name == "BRANCH":
            yield from _branches(argument[1])
        elif name in {"LITERAL", "IN", "ANY", "NOT_LITERAL", "CATEGORY"}:
            yield 1, False, _characters([(name, argument)])


def _branches(branches: Any) -> Iterator[tuple[int, bool, frozenset[str]]]:
    """Of several ways the one with the most loops, as if it could match what any of them matches."""
    most = max((_alike(each) for each in branches), default=0)
    characters = frozenset().union(*(_characters(each) for each in branches))
    yield from [(0, True, characters)] * most


def _characters(tree: Any) -> frozenset[str]:
    """Every ASCII character that a part can match somewhere."""
    found: frozenset[str] = frozenset()
    for name, argument in ((str(name), argument) for name, argument in tree):
        if name == "LITERAL":
            found |= {chr(argument)}
        elif name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            found |= _characters(argument[2])
        elif name in {"SUBPATTERN", "BRANCH", "ATOMIC_GROUP"}:
            found |= frozenset().union(*map(_characters, _parts(name, argument)))
        elif name in {"ANY", "IN", "NOT_LITERAL", "CATEGORY"}:
            found |= _of_set(name, argument)
    return found


def _of_set(name: str, argument: Any) -> frozenset[str]:
    if name == "NOT_LITERAL":
        return _ANY - {chr(argument)}
    if name != "IN":
        return _ANY
    found = frozenset().union(*(_of_member(str(kind), value) for kind, value in argument))
    return _ANY - found if str(argument[0][0]) == "NEGATE" else found


_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


def _of_member(kind: str, value: Any) -> frozenset[str]:
    if kind == "LITERAL":
        return frozenset({chr(value)})
    if kind == "RANGE":
        return frozenset(map(chr, range(value[0], min(value[1], 127) + 1)))
    if kind == "CATEGORY":
        _, *negated, word = str(value).split("_")
        return frozenset(each for each in _ANY if bool(re.match(_CATEGORIES[word], each)) != bool(negated))
    return frozenset()
