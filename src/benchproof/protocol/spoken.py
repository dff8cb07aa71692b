"""A console taken apart: its lines, what they say in the protocol or a dialect, and what the log says of faults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from benchproof.errors import TargetFailed
from benchproof.model import Frozen
from benchproof.protocol import dialect, own
from benchproof.protocol.events import Damaged, End, Event
from benchproof.protocol.faults import Fault, sorted_out
from benchproof.protocol.grammar import OWN, Grammar
from benchproof.protocol.lines import Line, lines_of

_TRAILER = re.compile(rb"(?:^|\n)@bp end [^\n]*\n")
_LOOKED_AT_BYTES = 256 << 10  # of the end of a console, for its trailer
LONGEST_BYTES = 4 << 20  # of a console; the samples of a whole suite are a tenth of it


class Heard(Frozen, frozen=True):
    """A console from its start, and for each piece of it the offset of its first byte and the host's monotonic clock.

    Without arrivals (a recorded console) no clock is checked.
    """

    text: bytes
    arrivals: tuple[tuple[int, int], ...] = ()


class Ended(Frozen, frozen=True):
    """How the machine ended. `complaint`: QEMU's own words. `at_ns`: when, on the host's monotonic clock, if known.

    `trailer`: we ended it when all was said. `exited`: it ended in a way that nobody asked for.
    """

    how: Literal["trailer", "power-off", "debug-exit", "exited", "time-out", "flood"]
    exit_status: int | None = None
    expected_status: int | None = None
    complaint: str = ""
    at_ns: int = 0


class Spoken(Frozen, frozen=True):
    """A console taken apart."""

    heard: Heard
    grammar: Grammar
    lines: tuple[Line, ...]
    events: tuple[Event, ...]
    faults: tuple[Fault, ...]
    tolerated: tuple[Fault, ...]

    @property
    def starts(self) -> bool:
        """Whether a line says where a benchmark begins."""
        return self.grammar.is_own or bool(self.grammar.start)

    @property
    def is_over(self) -> bool:
        """Whether its trailer is there. A dialect without one is over when the machine has ended as it should."""
        return is_over(self.heard.text, self.grammar)

    @property
    def last(self) -> str:
        """The last line that says anything, and its place."""
        return str(self.lines[-1]) if self.lines else "nothing"


def is_over(text: bytes, grammar: Grammar = OWN) -> bool:
    """Whether the trailer has come, whole; asked after each piece, it looks at the end of the console alone."""
    tail = text[-_LOOKED_AT_BYTES:]
    if grammar.is_own:
        return _TRAILER.search(tail) is not None
    return bool(grammar.end) and any(isinstance(event, End) for event in map(dialect.reader(grammar), lines_of(tail)))


def taken_apart(heard: Heard, grammar: Grammar, tolerate: Sequence[str]) -> Spoken:
    """All of a console. Raises TargetFailed where it is too long to be one transcript."""
    if len(heard.text) > LONGEST_BYTES:
        raise TargetFailed(
            f"expected a console of at most {LONGEST_BYTES} bytes, found {len(heard.text)}; "
            f"it begins with {next(lines_of(heard.text))}"
        )
    lines = tuple(line for line in lines_of(heard.text) if line.text.strip())
    event_of = own.event if grammar.is_own else dialect.reader(grammar)
    said = [(line, event_of(line)) for line in lines]
    log = [line for line, event in said if event is None or isinstance(event, Damaged)]
    faults, tolerated = sorted_out(log, tolerate)
    return Spoken(heard, grammar, lines, tuple(event for _, event in said if event is not None), faults, tolerated)
