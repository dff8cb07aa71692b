"""JSON pointers (RFC 6901) into what a service answers, and templates of what it is asked.

`*` in a pointer stands for each element of a list. A template is text with `{placeholders}`, or a table of templates; a
text that is one placeholder and nothing else becomes its value, of whatever type; where there is no such value, the key
is left out, with all that it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from benchproof.errors import UsageError
from benchproof.plugins import nearest

_PLACE = re.compile(r"\{([a-z_0-9]+)\}")
_LEFT_OUT = object()


class Missing(LookupError):  # noqa: N818 - what it says is where, not that
    """The document has nothing there; the words say where it ended."""


def check(pointer: str) -> None:
    """Raises UsageError if it is none."""
    if pointer and not pointer.startswith("/"):
        raise UsageError(f"expected a JSON pointer such as '/result/stdout', found '{pointer}'")
    if re.search(r"~(?![01])", pointer):
        raise UsageError(f"expected '~0' for '~' and '~1' for '/' within a JSON pointer, found '{pointer}'")


def find(document: Any, pointer: str) -> Any:
    """What the pointer points at. Raises Missing."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    return _find(document, steps, "")


def _find(document: Any, steps: list[str], at: str) -> Any:
    if not steps:
        return document
    step, rest, here = steps[0], steps[1:], f"{at}/{steps[0]}"
    match document:
        case dict() if step in document:
            return _find(document[step], rest, here)
        case list() if step == "*":
            return [_find(element, rest, here) for element in document]
        case list() if re.fullmatch(r"0|[1-9][0-9]{0,8}", step) and int(step) < len(document):
            return _find(document[int(step)], rest, here)
        case dict():
            raise Missing(f"nothing at '{here}'; there is {', '.join(sorted(map(str, document))[:8]) or 'nothing'}")
        case _:
            raise Missing(f"nothing at '{here}': '{at or '/'}' is {_kind(document)}")


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")


def places(template: Any) -> Iterator[str]:
    """Every placeholder of a template."""
    match template:
        case str():
            yield from _PLACE.findall(template)
        case dict():
            for value in template.values():
                yield from places(value)
        case list() | tuple():
            for value in template:
                yield from places(value)


def check_places(template: Any, known: Mapping[str, str] | set[str]) -> None:
    """Raises UsageError for a placeholder that nothing is known for."""
    for name in places(template):
        if name not in known:
            raise UsageError(f"unknown placeholder '{{{name}}}'; {nearest(name, sorted(known))}")


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with values; what has none is left out of tables and lists."""
    made = _filled(template, values)
    return None if made is _LEFT_OUT else made


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    match template:
        case str() if match := _PLACE.fullmatch(template):
            value = values.get(match[1])
            return _LEFT_OUT if value is None else value
        case str():
            return _PLACE.sub(lambda match: str(values.get(match[1], "")), template)
        case dict():
            made = {key: _filled(value, values) for key, value in template.items()}
            return {key: value for key, value in made.items() if value is not _LEFT_OUT}
        case list() | tuple():
            return [value for each in template if (value := _filled(each, values)) is not _LEFT_OUT]
        case _:
            return template


def path(template: str, values: Mapping[str, Any]) -> str:
    """A path, what is filled in quoted so that it stays one part of it."""
    return _PLACE.sub(lambda match: quote(str(values.get(match[1], "")), safe=""), template)
