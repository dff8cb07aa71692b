"""Patterns that a plan brings along: compiled once, and refused where they could take for ever.

Python's engine tries all ways in which loops can share out a text. So a loop without end must not stand within another
one, and not many of them may be able to match the same text one after another. Lines are cut before they are matched.
"""

from __future__ import annotations

import functools
import importlib
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchproof.errors import UsageError

_LONGEST = 500  # characters of a pattern
_MOST_STEPS = 1e8  # a few seconds, on a line that was made to take long
LINE_LIMIT = 512  # characters
_MANY = 64  # ways in which a loop is one without end, as far as a line goes
_ANY = frozenset(map(chr, range(128)))
_SINGLE = {"LITERAL", "IN", "ANY", "NOT_LITERAL", "CATEGORY"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}


@functools.cache
def compiled(pattern: str, *, searched: bool = False) -> re.Pattern[str]:
    """The pattern, for lines of up to LINE_LIMIT characters. `searched`: it may begin anywhere in them.

    Raises UsageError where it makes no sense or could take for ever.
    """
    if len(pattern) > _LONGEST:
        raise UsageError(f"expected a pattern of up to {_LONGEST} characters, found one of {len(pattern)}")
    try:
        tree = importlib.import_module("re._parser").parse(pattern)
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"expected a regular expression, found '{pattern}': {error}") from error
    for problem in _problems(tree, _MOST_STEPS / LINE_LIMIT if searched else _MOST_STEPS):
        raise UsageError(f"the pattern '{pattern}' {problem}")
    return found


def _problems(tree: Any, most: float) -> Iterator[str]:
    if _nests(tree):
        yield (
            "has a loop within a loop, or alternatives within one that begin alike, which on some lines takes for "
            "ever; write the inner one without '+', '*' and '?', or possessive ('++')"
        )
    elif _cost(tree) > most:
        yield (
            "has too many loops in a row that can match the same text, which on long lines takes for ever; "
            r"say what stands in each ('\S+', '[0-9]+') and what stands between"
        )


def _items(tree: Any) -> list[tuple[str, Any]]:
    return [(str(name), argument) for name, argument in tree]


def _nests(tree: Any, *, inside: bool = False) -> bool:
    """Whether something that is repeated, or looked for from every place, can match one text in several ways."""
    return any(_is_loose(name, argument, inside=inside) for name, argument in _items(tree))


def _is_loose(name: str, argument: Any, *, inside: bool) -> bool:
    if name in _REPEATS:
        least, most, body = argument
        return (inside and least != most) or _nests(body, inside=inside or most > 1)
    if name == "BRANCH" and inside and _begin_alike(argument[1]):
        return True
    return any(_nests(body, inside=inside or name.startswith("ASSERT")) for body in _parts(name, argument))


def _begin_alike(branches: Any) -> bool:
    seen: frozenset[str] = frozenset()
    for each in branches:
        first = _characters(_items(each)[:1]) if len(each) else _ANY
        if seen & first:
            return True
        seen |= first
    return False


def _parts(name: str, argument: Any) -> list[Any]:
    """The bodies of whatever has any but a loop."""
    if name == "SUBPATTERN":
        return [argument[3]]
    if name == "BRANCH":
        return list(argument[1])
    if name == "GROUPREF_EXISTS":
        return [each for each in argument[1:] if each is not None]
    if name in {"ASSERT", "ASSERT_NOT"}:
        return [argument[1]]
    return []  # what is possessive or atomic gives nothing back


class _Step(NamedTuple):
    """Something that a pattern matches."""

    must: int  # characters at least
    ways: int  # in how many ways it can share a text with what follows it; 1: it is no loop
    characters: frozenset[str]


class _Run(NamedTuple):
    """Loops in a row that can share out the same text."""

    last: _Step
    shared: float  # ways to share it out between all but the last
    loops: int  # without end among them, whose order says which is which
    gap: int = 0  # characters that must stand behind the last one, all of which it could match itself

    @property
    def ways(self) -> float:
        """With those to end the last one."""
        return self.shared * min(self.last.ways, LINE_LIMIT / max(1, self.gap))

    @property
    def cost(self) -> float:
        """Steps that a hostile line takes, on which all of them fail."""
        return self.ways / math.factorial(self.loops)


def _cost(tree: Any) -> float:
    """How many ways there are, at most, to share out a long line between loops that can match the same text."""
    runs: list[_Run] = []
    heaviest = 1.0
    for step in _steps(tree):
        alike = [run for run in runs if run.last.characters & step.characters]
        heaviest = max([heaviest, *(run.cost for run in runs)])
        runs = [run._replace(gap=run.gap + step.must) for run in alike] if step.must else runs
        if step.ways > 1:
            before = max(alike, key=lambda run: run.ways, default=None)
            shared, loops = (before.ways, before.loops) if before else (1.0, 0)
            found = _Run(step, shared, loops + (step.ways > _MANY))
            runs = [run for run in runs if run.last.characters != step.characters] + [found]
    return max([heaviest, *(run.cost for run in runs)])


def _steps(tree: Any, *, optional: bool = False) -> Iterator[_Step]:
    """What a pattern matches one after another; what may be left out fixes nothing."""
    for name, argument in _items(tree):
        here = _characters([(name, argument)])
        if name in _REPEATS:
            yield from _repeated(*argument, optional=optional)
        elif name in _SINGLE:
            yield _Step(0 if optional else 1, 1, here)
        elif name == "SUBPATTERN":
            yield from _steps(argument[3], optional=optional)
        elif name in {"BRANCH", "GROUPREF_EXISTS"}:
            yield _Step(0, len(_parts(name, argument)), here)
            for each in _parts(name, argument):
                yield from _steps(each, optional=True)
        elif name == "POSSESSIVE_REPEAT":
            yield _Step(0 if optional else argument[0], 1, here)


def _repeated(least: int, most: int, body: Any, *, optional: bool) -> Iterator[_Step]:
    ways = min(most - least, LINE_LIMIT) + 1
    if least or ways > 1:
        yield _Step(0 if optional else least, ways, _characters(body))
    if most == 1:
        yield from _steps(body, optional=optional or not least)


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
