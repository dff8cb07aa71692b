"""`perf stat -j` and `perf stat -x`: one start of a command is one invocation, each event a benchmark of its own.

A counter that the machine lacks is `unsupported`. One that shared the hardware with others was extrapolated and is
named as an estimate; the mean of repetitions (`-r`) as a mean. The intervals of `-I` are of unlike length: they are
added up. Figures that perf derives (instructions per cycle) are left out. Counts by CPU, socket or thread are refused:
there is no saying what they would be compared with. The file does not say whether the command succeeded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Frozen, Invalid, Unit, Unsupported, Unverified

_WHOLE = 100.0
_SEPARATORS = ",;|\t"
_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{1,12})?"
_VALUE = rf"(?:{_NUMBER}|<not counted>|<not supported>)"
_PARTS = ("cpu", "core", "die", "socket", "node", "thread", "aggregate-number")
_SPLIT = re.compile(r"(?:CPU|S)[0-9]")
_SCALES: dict[str, tuple[Unit, int]] = {
    "": ("count", 1),
    "ns": ("ns", 1),
    "nsec": ("ns", 1),
    "usec": ("ns", 1_000),
    "msec": ("ns", 1_000_000),
    "sec": ("ns", 10**9),
    "Bytes": ("bytes", 1),
    "KiB": ("bytes", 2**10),
    "MiB": ("bytes", 2**20),
}
_UNITS: dict[str, Unit] = {"cycles": "cycles", "cpu-cycles": "cycles", "instructions": "instructions"}
_NOTE = "the file says neither which command was counted nor whether it succeeded"


class _Line(Frozen, frozen=True):
    """One event of one interval, as `-j` writes it."""

    value: Annotated[str, msgspec.Meta(pattern=f"^{_VALUE}$")] = msgspec.field(name="counter-value")
    event: str
    unit: str = ""
    running: strict.Amount = msgspec.field(name="pcnt-running", default=_WHOLE)
    variance: strict.Amount | None = None
    interval: strict.Amount | None = None


def sniff(glimpse: Glimpse) -> bool:
    """Whether the first line that is no remark is one of an event."""
    lines = glimpse.head.split("\n")
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return ('"counter-value"' in first and first.startswith("{")) or _pattern_of(first) is not None


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run; an event that was counted in intervals is one result."""
    events: dict[str, list[_Line]] = {}
    for line in _lines(strict.text(content, name), name):
        events.setdefault(strict.plain(line.event), []).append(line)
    if len({tuple(line.interval for line in lines) for lines in events.values()}) > 1:
        raise Unreadable(name, "", "not every interval has every event: the file is cut")
    results = [_found(event, lines, name) for event, lines in events.items()]
    return shared.only("perf stat", results, notes=[_NOTE, *_notes(events)])


def _lines(text: str, name: str) -> Iterator[_Line]:
    if not text.endswith("\n"):
        raise Unreadable(name, f"line {len(text.splitlines())}", "the file ends in the middle of a line")
    pattern: re.Pattern[str] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("{"):
            yield from _of_json(line, number, name)
        else:
            pattern = pattern or _pattern_of(line)
            yield from _of_text(line, pattern, number, name)


def _of_json(line: str, number: int, name: str) -> Iterator[_Line]:
    document = strict.parsed(line, name, first_line=number)
    where = f"line {number}"
    if part := next((part for part in _PARTS if part in document), ""):
        raise Unreadable(name, where, f"counts by {part}: run perf stat without -A, --per-socket and their kin")
    if "counter-value" in document or "event" in document:  # else a figure that perf derived
        yield strict.convert(document, name, _Line, f"{where}, $")


def _pattern_of(line: str) -> re.Pattern[str] | None:
    """That of the separator with which the line makes sense."""
    return next((pattern for pattern in _PATTERNS if pattern.fullmatch(line)), None)


def _pattern(separator: str) -> re.Pattern[str]:
    """`[seconds,]value,unit,event,[variance%,]run time,percentage[,more]`; an event may have commas between slashes."""
    mark = re.escape(separator)
    word = rf"[^{mark}/]"
    return re.compile(
        rf" {{0,9}}(?:({_NUMBER}){mark})?({_VALUE}){mark}([A-Za-z%]{{0,20}}){mark}"
        rf"({word}{{1,200}}(?:/[^/]{{0,300}}/{word}{{0,40}})?){mark}(?:({_NUMBER})%{mark})?[0-9]{{1,20}}{mark}"
        rf"({_NUMBER})(?:{mark}.{{0,300}})?"
    )


_PATTERNS = tuple(_pattern(separator) for separator in _SEPARATORS)


def _of_text(line: str, pattern: re.Pattern[str] | None, number: int, name: str) -> Iterator[_Line]:
    where = f"line {number}"
    if _SPLIT.match(line.lstrip()):
        raise Unreadable(name, where, "counts by CPU or socket: run perf stat without -A, --per-socket and their kin")
    match = pattern.fullmatch(line) if pattern else None
    if match:
        interval, value, unit, event, variance, running = match.groups()
        yield _Line(
            value=value,
            event=event,
            unit=unit,
            running=float(running),
            variance=float(variance) if variance else None,
            interval=float(interval) if interval else None,
        )
    elif not _is_derived(line):
        found = strict.plain(line[:60])
        raise Unreadable(name, where, f"expected value, unit and event, found '{found}'; use perf stat -j -o FILE")


def _is_derived(line: str) -> bool:
    """A figure without a counter of its own: the fields before it are empty."""
    return re.match(rf" {{0,9}}(?:{_NUMBER})?([,;|\t])\1\1", line) is not None


def _found(event: str, lines: list[_Line], name: str) -> Found:
    intervals = [line for line in lines if line.interval is not None]
    if len(lines) > 1 and len(intervals) < len(lines):
        raise Unreadable(name, "", f"event '{event[:100]}' is there {len(lines)} times, and not in intervals")
    least = min(line.running for line in lines)
    evidence = {
        "intervals": str(len(intervals)) if intervals else "",
        "running_percent": f"{least:g}" if least < _WHOLE else "",
        "variance_percent": f"{lines[0].variance:g}" if lines[0].variance is not None else "",
    }
    return shared.found(f"perf_stat.{event}", {}, _outcome(event, lines), evidence=evidence)


def _outcome(event: str, lines: list[_Line]) -> Unverified | Unsupported | Invalid:
    if any(line.value == "<not supported>" for line in lines):
        return Unsupported(reason="not supported", missing="a machine, or a guest with a PMU, that counts it")
    counted = [line for line in lines if line.value != "<not counted>"]
    if not counted:
        return Unsupported(reason="not counted", missing="fewer events at a time, or a command that runs longer")
    if any(line.running < _WHOLE for line in lines if line.value == "<not counted>"):
        return Invalid(reason="in some intervals other events had the counter: what happened in them is not known")
    unit = lines[0].unit
    if unit not in _SCALES:
        return Unsupported(reason=f"its unit {shared.short(unit)[:40]} has no counterpart here")
    total = math.fsum(shared.exact(line.value, _SCALES[unit][1]) for line in counted)
    word = "published_estimate" if min(line.running for line in counted) < _WHOLE else ""
    word = word or ("published_mean" if lines[0].variance is not None else "total")
    kind = _UNITS.get(re.split(r"[:/]", event)[0], _SCALES[unit][0]) if not unit else _SCALES[unit][0]
    figure = shared.figure(f"perf_stat.{event}.{word}", kind, [total])
    return Unverified("perf stat", (figure,))


def _notes(events: dict[str, list[_Line]]) -> Iterator[str]:
    lines = [line for each in events.values() for line in each]
    if any(line.variance is not None for line in lines):
        yield "repeated with -r: a figure is the mean of all repetitions, whose number the file does not say"
    if any(line.running < _WHOLE for line in lines):
        yield "some events shared the hardware with others: their counts are extrapolated by perf, and named estimates"


FORMAT = Format(sniff=sniff, read=read)
