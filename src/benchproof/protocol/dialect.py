"""A dialect, line by line, and its books.

It promises less than our own protocol does, so there is less to hold it to: what it has in counts and order is checked,
and what comes without evidence is never more than unverified.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fractions import Fraction

import msgspec

from benchproof.protocol import clocks
from benchproof.protocol.events import (
    Begin,
    Damaged,
    End,
    Event,
    Lacking,
    Listed,
    Role,
    Started,
    Tick,
    Timed,
    Told,
    Wrong,
)
from benchproof.protocol.grammar import Grammar
from benchproof.protocol.ledger import Books, Open, refuse
from benchproof.protocol.lines import Line, plain
from benchproof.protocol.own import RESERVED
from benchproof.protocol.patterns import LINE_LIMIT

_COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,18}(?:\.([0-9]{1,12}))?", re.ASCII)
_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_TICKS: dict[str, Tick] = {"ticks": "ticks", "cycles": "cycles"}
_SILENT = "the system gives no reason"


class _DamageError(Exception):
    """What is wrong with a line."""


def reader(grammar: Grammar) -> Callable[[Line], Event | None]:
    """What a line says; None: it is the kernel's log, or of no interest."""
    rules = grammar.rules()

    def event(line: Line) -> Event | None:
        text = plain(line.text).strip()
        if len(text) > LINE_LIMIT:
            return None
        for kind, pattern in rules.items():
            if match := pattern.fullmatch(text):
                return _said(line, kind, {key: value for key, value in match.groupdict().items() if value}, grammar)
        if grammar.mark and grammar.mark in text:
            where = "and no rule of the grammar reads it" if text.startswith(grammar.mark) else "behind other output"
            return Damaged(line, problem=f"'{grammar.mark}' is in it, {where}")
        return None

    return event


def _said(line: Line, kind: str, given: dict[str, str], grammar: Grammar) -> Event | None:
    if kind == "ignore":
        return None
    if not line.whole:
        return Damaged(line, problem="the transcript ends before the line does")
    try:
        return _READ[kind](line, given, grammar)
    except _DamageError as error:
        return Damaged(line, problem=str(error))


def _begin(line: Line, given: dict[str, str], grammar: Grammar) -> Begin:
    hz = _maybe(given, "hz")
    if hz is not None and (problem := clocks.wrong_hz(hz)):
        raise _DamageError(problem)
    return Begin(
        line,
        benchmarks=_maybe(given, "count"),
        token=given.get("token", ""),
        system=given.get("system", ""),
        build=given.get("build", ""),
        hz=hz or grammar.hz or None,
    )


def _listed(line: Line, given: dict[str, str], grammar: Grammar) -> Listed:
    unit = given.get("unit", grammar.unit)
    if unit not in {**_NS, **_TICKS}:
        raise _DamageError(f"expected a unit of {', '.join({**_NS, **_TICKS})}, found '{unit}'")
    return Listed(
        line,
        name=given["name"],
        unit=_TICKS.get(unit, "ns"),
        clock=given.get("clock", grammar.clock),
        mechanism=given.get("mechanism", f"{grammar.dialect}: {given['name']}"),
        scale=_NS.get(unit, 1),
    )


def _timed(given: dict[str, str]) -> tuple[int, Fraction]:
    """Operations, and their elapsed time in whatever unit the benchmark has."""
    operations = _count(given.get("operations", "1"))
    each = _amount(given["each"]) if "each" in given else None
    elapsed = _amount(given["elapsed"]) if "elapsed" in given else (each or Fraction()) * operations
    if not operations:
        raise _DamageError("expected an operation or more")
    if each is not None and abs(elapsed / operations - each) >= _grain(given["each"]):
        raise _DamageError(f"{given['elapsed']} / {operations} is not {given['each']}: it contradicts itself")
    return operations, elapsed


def _grain(digits: str) -> Fraction:
    """What the last digit of a number stands for: it may have been cut or rounded there."""
    return Fraction(1, 10 ** len(digits.partition(".")[2]))


def _count(word: str) -> int:
    if not _COUNT.fullmatch(word):
        raise _DamageError(f"expected a number, found '{word[:80]}'")
    return int(word)


def _maybe(given: dict[str, str], key: str) -> int | None:
    return _count(given[key]) if key in given else None


def _amount(word: str) -> Fraction:
    if not _AMOUNT.fullmatch(word):
        raise _DamageError(f"expected a number, found '{word[:80]}'")
    return Fraction(word)


_Read = Callable[[Line, dict[str, str], Grammar], Event]


def _timed_as(role: Role) -> _Read:
    def read(line: Line, given: dict[str, str], _: Grammar) -> Event:
        operations, elapsed = _timed(given)
        return Timed(line, name=given.get("name", ""), role=role, operations=operations, elapsed=elapsed)

    return read


def _ended(line: Line, given: dict[str, str], _: Grammar) -> Event:
    return End(line, benchmarks=_maybe(given, "count"), token=given.get("token", ""))


def _told(line: Line, given: dict[str, str], _: Grammar) -> Event:
    if given.get("key", "").startswith(RESERVED):
        raise _DamageError(f"keys that begin with '{RESERVED}' are benchproof's own")
    return Told(line, name=given.get("name", ""), key=given.get("key", ""), value=given.get("value", ""))


_READ: dict[str, _Read] = {
    "begin": _begin,
    "end": _ended,
    "bench": _listed,
    "start": lambda line, given, _: Started(line, name=given["name"]),
    "failed": lambda line, given, _: Wrong(line, name=given.get("name", ""), reason=given.get("reason", _SILENT)),
    "unsupported": lambda line, given, _: Lacking(line, name=given["name"], reason=given.get("reason", _SILENT)),
    "evidence": _told,
    "warmup": _timed_as("warmup"),
    "sample": _timed_as("sample"),
    "total": _timed_as("total"),
}


# ---- the books ----


class _Ledger:
    """Takes the events in their order. Raises LabInvalid at the first that cannot follow those before it."""

    def __init__(self, grammar: Grammar, begin: Begin) -> None:
        self.grammar = grammar
        self.begin = begin
        self.end: End | None = None
        self.listed: dict[str, Listed] = {}
        self.lacking: dict[str, Lacking] = {}
        self.open: dict[str, Open] = {}
        self.last: dict[str, Line] = {}
        self.wrong: dict[str, Wrong] = {}
        self.now = ""

    def take(self, event: Event) -> None:
        if self.end is not None:
            refuse(event.line, f"a line of the dialect after its end ({self.end.line})")
        match event:
            case Damaged():
                refuse(event.line, event.problem)
            case Listed():
                self._once(event.line, event.name, {**self.listed, **self.open})
                self.listed[event.name] = event
            case Lacking():
                self._once(event.line, event.name, {**self.lacking, **self.open})
                self.lacking[event.name] = event
            case Started():
                self._once(event.line, event.name, self.open)
                self.now = event.name
                self._of(event.line, event.name)
            case Timed():
                account = self._of(event.line, event.name)
                account.take(msgspec.structs.replace(event, elapsed=event.elapsed * account.listed.scale))
            case Told():
                self._of(event.line, event.name).tell(event)
            case Wrong():
                self._of(event.line, event.name)
                self.wrong[event.name or self.now] = event
            case End():
                self._end(event)

    def _once(self, line: Line, name: str, known: Iterable[str]) -> None:
        if name in known:
            refuse(line, f"'{name}' stands there already: which line counts is not known")

    def _of(self, line: Line, name: str) -> Open:
        name = name or self.now
        if not name:
            refuse(line, "no benchmark is under way here")
        if name in self.lacking:
            refuse(line, f"'{name}' is said to be unsupported ({self.lacking[name].line})")
        if self.listed and name not in self.listed:
            refuse(line, f"'{name}' is not in the list")
        self.last[name] = line
        return self.open.get(name) or self._opened(line, name)

    def _opened(self, line: Line, name: str) -> Open:
        listed = self.listed.get(name) or self._unlisted(line, name)
        if listed.unit == "ticks" and not self.begin.hz:
            refuse(listed.line, f"ticks need hz in the first line, found none ({self.begin.line})")
        self.open[name] = Open(listed, line)
        return self.open[name]

    def _unlisted(self, line: Line, name: str) -> Listed:
        return _listed(line, {"name": name}, self.grammar)

    def _end(self, event: End) -> None:
        self.end = event
        for count, line in ((event.benchmarks, event.line), (self.begin.benchmarks, self.begin.line)):
            if count is not None and count != len(self.open):
                refuse(line, f"it counts {count} benchmarks, found {len(self.open)}: a line was lost or doubled")
        if event.token and event.token != self.begin.token:
            refuse(event.line, f"expected the token of the first line ({self.begin.line})")

    def books(self, end: End) -> Books:
        for name, listed in self.listed.items():
            if name not in self.open:
                refuse(end.line, f"'{name}' was listed and never reported ({listed.line})")
        for name, each in self.open.items():
            if not each.timed and name not in self.wrong:
                refuse(end.line, f"'{name}' was begun and never reported ({each.first})")
        accounts = {name: each.closed(self.last[name], self.wrong.get(name)) for name, each in self.open.items()}
        return Books(begin=self.begin, end=end, accounts=accounts, lacking=self.lacking)


def booked(events: Iterable[Event], grammar: Grammar) -> Books | None:
    """The books of a dialect; None where its last line has not come. Raises LabInvalid.

    Where the dialect has no last line, that it is over is for others to say.
    """
    first, *rest = events
    if isinstance(first, Damaged):
        refuse(first.line, first.problem)
    if grammar.begin and not isinstance(first, Begin):
        refuse(first.line, "expected the first line of the dialect before it")
    begin = first if isinstance(first, Begin) else Begin(first.line, hz=grammar.hz or None)
    ledger = _Ledger(grammar, begin)
    for each in rest if isinstance(first, Begin) else (first, *rest):
        ledger.take(each)
    last = [first, *rest][-1].line
    end = ledger.end or (None if grammar.end else End(last))
    return ledger.books(end) if end else None
