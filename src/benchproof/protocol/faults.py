"""What the lines of a kernel's log say of its health. One table for every kernel whose console we read.

`panic`: it ended. `fault`: the kernel itself did something wrong and may go on. `user`: a program was ended by a fault
or for want of memory. `warning`: the kernel no longer vouches for itself. `stall`: it was kept from running, or its
clock was; that is said of a loaded host as often as of a bad kernel. The first kind that fits a line is its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal

from benchproof.model import Frozen
from benchproof.protocol.lines import Line, lines_of, plain
from benchproof.protocol.patterns import LINE_LIMIT, compiled

Kind = Literal["panic", "fault", "user", "warning", "stall"]

_STAMP = r"(?:<\d{1,3}>)?(?:\[ {0,12}[0-9.]{1,20}\] ?)?(?:\[ {0,8}[TC]\d{1,8}\] ?)?"
_PANIC = re.compile(
    r"kernel panic\b|panicked at|\bpanic(?::|\()|(?-i:\bPANIC\b)|\bDOUBLE_FAULT\b|\bfatal (?:trap|exception)\b"
    r"|\b(?:double|triple) fault(?! (?:handler|stack|entry|gate|vector|ist))|kernel exception"
    r"|(?:unhandled|unrecoverable) (?:kernel )?(?:exception|trap|fault)(?! handler)",
    re.IGNORECASE,
)
_SETTING = re.compile(r"\b(?:panic|oops|panic_on_\w{1,30}|\w{1,30}_panic)=\S*", re.IGNORECASE)  # on a command line
_STALL = re.compile(
    r"soft lockup|hard LOCKUP|workqueue lockup|detected (?:expedited )?stalls? on|self-detected (?:expedited )?stall"
    r"|rcu\w{0,20} kthread (?:starved|timer wakeup)|blocked for more than \d{1,9} seconds|RT throttling activated"
    r"|Marking clocksource .{1,60} unstable|[Cc]locksource \S{1,40} unstable|TSC found unstable"
)
_USER = re.compile(
    r"\bsegfault at\b|segmentation fault|\bSIG(?:SEGV|BUS|ILL|FPE|ABRT|KILL|SYS)\b|potentially unexpected fatal signal"
    r"|\btraps: \S.{0,200}\bip:|killed by signal|Killed process|invoked oom-killer|\boom-kill\b|Out of memory"
    r"|GENERAL_PROTECTION_FAULT|INVALID_OPCODE|DIVIDE_ERROR|STACK_SEGMENT_FAULT|SEGMENT_NOT_PRESENT|user fault"
    r"|general protection fault(?!.{0,200}\[#\d)",
    re.IGNORECASE,
)
_FAULT = re.compile(
    r"\bBUG: |kernel BUG at|\bOops\b|: [0-9a-f]{4,16} \[#\d{1,6}\]|Unable to handle kernel"
    r"|[Ff]ault occurred in the kernel|page fault in kernel|assertion failed|\bASSERTION FAILED\b"
    r"|stack smashing detected|UBSAN: |KASAN: "
)
_WARNING = re.compile(
    rf"^ {{0,8}}{_STAMP}(?:\[[^\]]{{1,30}}\] ?)?WARNING: |\bTainted: [GL ]{{0,40}}[A-FH-KM-Z]|taint(?:s|ing) kernel"
    r"|due to kernel taint"
)
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("panic", _PANIC),
    ("stall", _STALL),
    ("user", _USER),
    ("fault", _FAULT),
    ("warning", _WARNING),
)


class Fault(Frozen, frozen=True):
    """One line that says that something went wrong."""

    kind: Kind
    line: int
    offset: int
    text: str

    def __str__(self) -> str:
        """The place and the words, for a message."""
        return str(Line(self.line, self.offset, 0, self.text))


def find(text: bytes, tolerate: Sequence[str] = ()) -> tuple[Fault, ...]:
    """Every fault on a console, in order, but for lines in which one of the patterns `tolerate` is found.

    Raises UsageError for a pattern that makes no sense.
    """
    faults, _ = sorted_out(lines_of(text), tolerate)
    return faults


def sorted_out(lines: Iterable[Line], tolerate: Sequence[str]) -> tuple[tuple[Fault, ...], tuple[Fault, ...]]:
    """The faults among the lines that count, and those that are tolerated."""
    patterns = [compiled(each, searched=True) for each in tolerate]
    found = list(_faults(lines))
    excused = [any(each.search(fault.text[:LINE_LIMIT]) for each in patterns) for fault in found]
    return (
        tuple(fault for fault, free in zip(found, excused, strict=True) if not free),
        tuple(fault for fault, free in zip(found, excused, strict=True) if free),
    )


def _faults(lines: Iterable[Line]) -> Iterator[Fault]:
    for line in lines:
        if kind := kind_of(line.text):
            yield Fault(kind, line.number, line.offset, line.text)


@lru_cache(maxsize=1 << 10)  # who prints for ever repeats himself
def kind_of(text: str) -> Kind | None:
    """What a line says went wrong; None: nothing."""
    said = _SETTING.sub(" ", plain(text))
    return next((kind for kind, pattern in _KINDS if pattern.search(said)), None)
