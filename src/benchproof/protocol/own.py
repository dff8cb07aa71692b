"""Our own protocol, line by line: `@bp VERB ...`. Strict: what is not exactly as `docs/protocol.md` says is damage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchproof.protocol import clocks
from benchproof.protocol.events import (
    Begin,
    Damaged,
    Done,
    End,
    Event,
    Lacking,
    Listed,
    Started,
    Tick,
    Timed,
    Told,
    Wrong,
)
from benchproof.protocol.lines import Line

VERSION = 1
MARK = "@bp "
LINE_BYTES = 512
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_LARGEST = 2**63
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}", re.ASCII)
_WORD = re.compile(r"[!-~]{1,200}", re.ASCII)
_TICKS: dict[str, Tick] = {"ns": "ns", "ticks": "ticks", "cycles": "cycles"}
RESERVED = "protocol."  # the keys of what we say of a transcript ourselves


class _DamageError(Exception):
    """What is wrong with a line."""


def event(line: Line) -> Event | None:
    """What the line says; None: it is the kernel's log."""
    if not line.text.startswith(MARK):
        inner = line.text.find(MARK)
        return (
            Damaged(line, problem="'@bp ' is not in its first column: other output ran into it") if inner > 0 else None
        )
    try:
        return _event(line, _words(line))
    except _DamageError as error:
        return Damaged(line, problem=str(error))


def _words(line: Line) -> list[str]:
    if not line.whole:
        raise _DamageError("the transcript ends before the line does")
    if line.length > LINE_BYTES:
        raise _DamageError(f"expected at most {LINE_BYTES} bytes, found {line.length}")
    if not (line.text.isascii() and line.text.isprintable()):
        raise _DamageError("expected printable ASCII")
    words = line.text.removeprefix(MARK).split(" ")
    if "" in words:
        raise _DamageError("expected words separated by one blank")
    return words


def _event(line: Line, words: list[str]) -> Event:
    verb, *rest = words
    read = _VERBS.get(verb)
    if read is None:
        raise _DamageError(f"'{verb}' is no word of the protocol")
    return read(line, rest)


def _begin(line: Line, words: list[str]) -> Event:
    version, rest = _first(words, "the version")
    if _number(version) != VERSION:
        raise _DamageError(f"expected version {VERSION} of the protocol, found {version}")
    given = _attributes(rest, must=("benchmarks",), may=("token", "system", "build", "hz", "at"))
    begin = Begin(line, **_typed(given, words=("token", "system", "build")))
    if begin.hz is not None and (problem := clocks.wrong_hz(begin.hz)):
        raise _DamageError(problem)
    return begin


def _end(line: Line, words: list[str]) -> Event:
    counts = ("benchmarks", "done", "failed", "unsupported", "lines")
    given = _attributes(words, must=counts, may=("token", "hz", "at"))
    return End(line, **_typed(given, words=("token",)))


def _bench(line: Line, words: list[str]) -> Event:
    name, rest = _first(words, "the name of a benchmark")
    colon = rest.index(":") if ":" in rest else len(rest)
    mechanism = " ".join(rest[colon + 1 :])
    if not mechanism:
        raise _DamageError("expected ' : ' and in words what is really timed")
    given = _attributes(rest[:colon], must=("unit", "clock"))
    if given["unit"] not in _TICKS:
        raise _DamageError(f"unit: expected ns, ticks or cycles, found '{given['unit']}'")
    return Listed(line, name=_name(name), unit=_TICKS[given["unit"]], clock=given["clock"], mechanism=mechanism)


def _unsupported(line: Line, words: list[str]) -> Event:
    name, reason = _first(words, "the name of a benchmark or '*'")
    return Lacking(line, name=name if name == "*" else _name(name), reason=_sentence(reason))


def _start(line: Line, words: list[str]) -> Event:
    (name,) = _exactly(words, "NAME")
    return Started(line, name=_name(name))


def _timed(role: Any) -> Callable[[Line, list[str]], Event]:
    def read(line: Line, words: list[str]) -> Event:
        name, operations, elapsed = _exactly(words, "NAME OPERATIONS ELAPSED")
        found = Timed(line, name=_name(name), role=role, operations=_number(operations), elapsed=_number(elapsed))
        if not (found.operations and found.elapsed):
            raise _DamageError("expected an operation or more, in more than no time at all")
        return found

    return read


def _evidence(line: Line, words: list[str]) -> Event:
    name, key, value = _exactly(words, "NAME KEY VALUE")
    if key.startswith(RESERVED):
        raise _DamageError(f"keys that begin with '{RESERVED}' are benchproof's own")
    return Told(line, name=_name(name), key=_name(key), value=value)


def _failed(line: Line, words: list[str]) -> Event:
    name, reason = _first(words, "the name of a benchmark")
    return Wrong(line, name=_name(name), reason=_sentence(reason))


def _done(line: Line, words: list[str]) -> Event:
    name, rest = _first(words, "the name of a benchmark")
    given = _attributes(rest, must=("samples", "operations", "elapsed"))
    return Done(line, name=_name(name), **_typed(given))


_VERBS: dict[str, Callable[[Line, list[str]], Event]] = {
    "begin": _begin,
    "bench": _bench,
    "unsupported": _unsupported,
    "start": _start,
    "warmup": _timed("warmup"),
    "sample": _timed("sample"),
    "total": _timed("total"),
    "evidence": _evidence,
    "failed": _failed,
    "done": _done,
    "end": _end,
}


# ---- words ----


def _first(words: list[str], what: str) -> tuple[str, list[str]]:
    if not words:
        raise _DamageError(f"expected {what}, found the end of the line")
    return words[0], words[1:]


def _exactly(words: list[str], form: str) -> list[str]:
    if len(words) != len(form.split()):
        raise _DamageError(f"expected {form}, found {len(words)} words")
    return words


def _sentence(words: list[str]) -> str:
    if not words:
        raise _DamageError("expected a reason, found the end of the line")
    return " ".join(words)


def _name(word: str) -> str:
    if not _NAME.fullmatch(word):
        raise _DamageError(
            f"expected a name of letters, digits, '.', '_' and '-', up to 64 of them, found '{word[:80]}'"
        )
    return word


def _number(word: str) -> int:
    if not _NUMBER.fullmatch(word) or int(word) >= _LARGEST:
        raise _DamageError(f"expected a number below 2^63 without leading zeros, found '{word[:80]}'")
    return int(word)


def _attributes(words: list[str], *, must: Sequence[str], may: Sequence[str] = ()) -> dict[str, str]:
    pairs = list(_pairs(words))
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DamageError("an attribute stands there twice")
    for key in found:
        if key not in {*must, *may}:
            raise _DamageError(f"unknown attribute '{key[:80]}'; known: {', '.join((*must, *may))}")
    for key in must:
        if key not in found:
            raise _DamageError(f"expected {key}=..., found no such attribute")
    return found


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not _WORD.fullmatch(value):
            raise _DamageError(f"expected key=value, found '{word[:80]}'")
        yield key, value


def _typed(given: dict[str, str], *, words: Sequence[str] = ()) -> dict[str, Any]:
    """All of them numbers but for those that are words."""
    return {key: value if key in words else _number(value) for key, value in given.items()}
