"""Text and JSON of strangers, read strictly: what is ambiguous or absurd is refused, with file and position.

JSON as most programs read it takes the last of two equal keys, NaN, halves of surrogate pairs, numbers beyond all
measure and nesting without end. Here each of these is an error. A document becomes a struct by `typed`, which names
the path of what does not fit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec

from benchproof.errors import one_line
from benchproof.importers import Unreadable

LIMIT_BYTES = 16 << 20
LINE_LIMIT = 1 << 20  # characters of a line on a console
LINES_LIMIT = 200_000  # of a console
DEPTH_LIMIT = 64
NUMBER_LIMIT = 1e30  # no unit makes a measurement larger, and a product of two such numbers is still finite

Amount = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Some = Annotated[int, msgspec.Meta(ge=1, le=2**62)]

_T = TypeVar("_T")
_DIGITS_LIMIT = 40
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+"(\s*+:)?|[\[{]|[\]}]|-?(?:[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|Infinity)|NaN', re.DOTALL
)
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def text(content: bytes, name: str) -> str:
    """The whole file as text. Raises Unreadable for what is no plain UTF-8."""
    _refuse_size(content, name)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            raise Unreadable(name, "byte 0", f"a byte order mark of {encoding}; save it as UTF-8 without one")
    if (zero := content.find(0)) >= 0:
        raise Unreadable(name, f"byte {zero}", "a zero byte; this is no text")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        found = f"expected UTF-8, found byte {content[error.start]:#04x}"
        raise Unreadable(name, f"byte {error.start}", found) from error


def console(content: bytes, name: str) -> list[str]:
    r"""The lines of a console, which may print anything: what is not printable becomes `\x..`. Raises Unreadable."""
    _refuse_size(content, name)
    lines = content.decode(errors="backslashreplace").split("\n")
    if len(lines) > LINES_LIMIT:
        raise Unreadable(name, f"line {LINES_LIMIT + 1}", "no recorded console has as many lines")
    for number, line in enumerate(lines, start=1):
        if len(line) > LINE_LIMIT:
            raise Unreadable(name, f"line {number}", f"{len(line)} characters; no console prints such a line")
    return [plain(line.rstrip("\r").replace("\t", " ")) for line in lines]


def plain(text: str) -> str:
    """A foreign name, nothing of it a command to a terminal or a trick of writing direction; different stays so."""
    if text.isprintable():
        return text
    odd = {ord(each): each.encode("unicode_escape").decode() for each in set(text) if not each.isprintable()}
    return text.translate(odd)


def typed(content: bytes, name: str, kind: type[_T]) -> _T:
    """A JSON document as that struct; keys that the struct does not have are left out. Raises Unreadable."""
    return convert(document(content, name), name, kind)


def convert(value: Any, name: str, kind: type[_T], where: str = "$") -> _T:
    """A part of a document as that type; `where` it is, as a path. Raises Unreadable."""
    try:
        return msgspec.convert(value, type=kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        raise Unreadable(name, f"{where}{path.strip('`').removeprefix('$')}", problem) from error


def document(content: bytes, name: str) -> Any:
    """A JSON document. Raises Unreadable, with line and column."""
    return parsed(text(content, name), name)


def lines(content: bytes, name: str) -> Iterator[tuple[int, Any]]:
    """Number and document of each line of JSON lines; empty lines are left out. Raises Unreadable."""
    for number, line in enumerate(text(content, name).split("\n"), start=1):
        if line.strip():
            yield number, parsed(line, name, first_line=number)


def parsed(source: str, name: str, first_line: int = 1) -> Any:
    """As `document`, of text. `first_line`: the number of its first line in the file."""
    try:
        found = _DECODER.decode(source)
    except json.JSONDecodeError as error:
        raise Unreadable(name, _position(source, error.pos, first_line), f"not JSON: {error.msg}") from error
    except (_AbsurdError, RecursionError) as error:
        _complain(source, name, first_line, error)
    if _depth(found) > DEPTH_LIMIT or (_SURROGATE.search(source) and _has_lone_surrogate(found)):
        _complain(source, name, first_line, None)
    return found


class _AbsurdError(Exception):
    """Something that JSON allows, or most readers of it, and that no honest file holds."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _AbsurdError
    return found


def _number(digits: str) -> float:
    value = float(digits)
    if abs(value) > NUMBER_LIMIT:
        raise _AbsurdError
    return value


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_LIMIT or abs(value := int(digits)) > NUMBER_LIMIT:
        raise _AbsurdError
    return value


def _constant(word: str) -> NoReturn:
    raise _AbsurdError(word)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_integer, parse_constant=_constant
)


def _depth(found: Any) -> int:
    level, depth = [found] if isinstance(found, dict | list) else [], 0
    while level and depth <= DEPTH_LIMIT:
        depth += 1
        children = (each.values() if isinstance(each, dict) else each for each in level)
        level = [child for group in children for child in group if isinstance(child, dict | list)]
    return depth


def _has_lone_surrogate(found: Any) -> bool:
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _complain(source: str, name: str, first_line: int, cause: Exception | None) -> NoReturn:
    """Look for the first thing that is absurd: only now, as most files hold none."""
    for position, problem in _absurdities(source):
        raise Unreadable(name, _position(source, position, first_line), problem) from cause
    raise Unreadable(name, f"line {first_line}", "JSON that cannot be read without doubt") from cause


def _absurdities(source: str) -> Iterator[tuple[int, str]]:
    keys: list[set[str]] = []
    for match in _TOKEN.finditer(source):
        piece = match[0]
        if piece in "[{":
            keys.append(set())
            if len(keys) > DEPTH_LIMIT:
                yield match.start(), f"nested more than {DEPTH_LIMIT} deep"
        elif piece in "]}":
            del keys[-1:]
        elif piece.startswith('"'):
            yield from (
                (match.start(), problem) for problem in _wrong_text(piece, keys[-1] if match[1] and keys else None)
            )
        elif problem := _wrong_number(piece):
            yield match.start(), problem


def _wrong_text(piece: str, keys: set[str] | None) -> Iterator[str]:
    """`keys`: those of the object before this one, None for what is no key."""
    written = piece[: piece.rindex('"') + 1]
    word = written[1:-1]
    if "\\" in word:
        try:
            word = json.loads(written)
        except ValueError:
            return
        if _has_lone_surrogate(word):
            yield f"half of a surrogate pair in {written[:40]}"
    if keys is not None:
        if word in keys:
            yield f"key {written[:40]} for the second time"
        keys.add(word)


def _wrong_number(piece: str) -> str:
    if len(piece) > _DIGITS_LIMIT and piece.lstrip("-").isdigit():
        return f"a number of {len(piece)} digits"
    try:
        value = float(piece)
    except ValueError:
        return ""
    if math.isfinite(value) and abs(value) <= NUMBER_LIMIT:
        return ""
    return f"expected a finite number of at most {NUMBER_LIMIT:g}, found {piece[:40]}"


def _position(source: str, offset: int, first_line: int) -> str:
    line = source.count("\n", 0, offset)
    return f"line {first_line + line}, column {offset - source.rfind(chr(10), 0, offset)}"


def _refuse_size(content: bytes, name: str) -> None:
    if len(content) > LIMIT_BYTES:
        raise Unreadable(name, "", f"longer than {LIMIT_BYTES >> 20} MiB; no recorded run is")


# ---- what foreign files state, in our words ----


def instant(stated: float | str, name: str, where: str) -> str:
    """A moment as RFC 3339 in UTC: of seconds since 1970, or of ISO 8601 with a zone. Raises Unreadable."""
    try:
        moment = datetime.fromtimestamp(stated, UTC) if not isinstance(stated, str) else datetime.fromisoformat(stated)
        if moment.tzinfo is None:
            raise Unreadable(name, where, f"expected a time with its zone, found '{stated}'")
        return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError) as error:
        found = one_line(str(stated))[:80]
        raise Unreadable(name, where, f"expected a time, found '{found}'") from error
