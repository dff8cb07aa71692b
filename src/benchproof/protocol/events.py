"""What a line of a protocol says, whatever the dialect. An event knows its line; the ledger does the counting."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from benchproof.model import Frozen
from benchproof.protocol.lines import Line

Tick = Literal["ns", "ticks", "cycles"]
Amount = int | Fraction  # a dialect may print parts of its unit
Role = Literal["warmup", "sample", "total"]


class Event(Frozen, frozen=True):
    """Something that a line says."""

    line: Line


class Begin(Event, frozen=True, kw_only=True):
    """The first line. None and empty: it does not say."""

    benchmarks: int | None = None
    token: str = ""
    system: str = ""
    build: str = ""
    hz: int | None = None
    at: int | None = None


class Listed(Event, frozen=True, kw_only=True):
    """A benchmark to come."""

    name: str
    unit: Tick
    clock: str
    mechanism: str
    scale: int = 1  # of what is printed to `unit`: 1000 where a dialect prints us


class Lacking(Event, frozen=True, kw_only=True):
    """Not measured, and why."""

    name: str
    reason: str


class Started(Event, frozen=True, kw_only=True):
    """A benchmark begins."""

    name: str


class Timed(Event, frozen=True, kw_only=True):
    """So many operations took so long, in the unit of the benchmark."""

    name: str
    role: Role
    operations: int
    elapsed: Amount


class Told(Event, frozen=True, kw_only=True):
    """A piece of evidence."""

    name: str
    key: str
    value: str


class Wrong(Event, frozen=True, kw_only=True):
    """The system noticed itself that an answer was wrong."""

    name: str
    reason: str


class Done(Event, frozen=True, kw_only=True):
    """A benchmark ends, with the sums of its samples."""

    name: str
    samples: int
    operations: int
    elapsed: int


class End(Event, frozen=True, kw_only=True):
    """The trailer. None: it does not count that."""

    benchmarks: int | None = None
    done: int | None = None
    failed: int | None = None
    unsupported: int | None = None
    lines: int | None = None
    token: str = ""
    hz: int | None = None
    at: int | None = None


class Damaged(Event, frozen=True, kw_only=True):
    """A line that belongs to the protocol and says nothing that can be relied on."""

    problem: str
