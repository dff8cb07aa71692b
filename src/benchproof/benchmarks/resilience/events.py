"""Every operation as it happened, as a list that is kept with the result: all figures and verdicts follow from it.

Nothing is judged while it is recorded. An operation that failed is an event like any other, in the words of the
target; whether an answer was right is decided later, from what was asked and what was seen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from benchproof.errors import TargetFailed
from benchproof.model import Frozen
from benchproof.oracles import Evidence

_LONGEST = 200  # characters of what was seen
_NAME = "events"
Status = Literal["answered", "failed"]


class Event(Frozen, frozen=True, array_like=True):
    """One operation of one agent; times are ns since the invocation began, on the host's monotonic clock."""

    agent: int  # from 1; 0: the laboratory itself
    operation: str
    started_ns: int
    ended_ns: int
    status: Status
    asked: str  # what a right answer is
    seen: str  # the answer; of a failed operation, the words of its error

    @property
    def right(self) -> bool:
        """Whether the answer was the one expected."""
        return self.status == "answered" and self.asked == self.seen

    @property
    def wrong(self) -> bool:
        """Answered as if all was well, and not so."""
        return self.status == "answered" and self.asked != self.seen

    @property
    def elapsed_ns(self) -> int:
        """How long it took, whatever came of it."""
        return self.ended_ns - self.started_ns


class Journal:
    """Events of any number of threads, in the order in which they ended."""

    def __init__(self) -> None:
        self._zero_ns = time.monotonic_ns()
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        """Since the invocation began."""
        return time.monotonic_ns() - self._zero_ns

    def timed(self, agent: int, operation: str, asked: str, work: Callable[[], str]) -> Event:
        """Do it once, and note how it went. What the laboratory cannot do, and what is not supported, is raised."""
        started_ns = self.now_ns()
        status: Status = "answered"
        try:
            seen = work()
        except TargetFailed as error:
            status, seen = "failed", str(error)
        return self.note(agent, operation, started_ns, asked=asked, seen=seen, status=status)

    def note(
        self, agent: int, operation: str, started_ns: int, *, asked: str, seen: str, status: Status = "answered"
    ) -> Event:
        """Enter what ended just now."""
        with self._lock:
            event = Event(agent, operation, started_ns, self.now_ns(), status, asked, seen[:_LONGEST])
            self._events.append(event)
        return event

    def mark(self, operation: str, started_ns: int, seen: str = "") -> Event:
        """What the laboratory itself did."""
        return self.note(0, operation, started_ns, asked=seen[:_LONGEST], seen=seen)

    @property
    def events(self) -> tuple[Event, ...]:
        """All so far."""
        with self._lock:
            return tuple(self._events)

    def evidence(self) -> dict[str, str]:
        """What `read` reads."""
        return {_NAME: msgspec.json.encode(self.events).decode(), "wall_ns": str(self.now_ns())}


def read(evidence: Evidence) -> tuple[Event, ...]:
    """The events; none where the evidence has none that are whole."""
    try:
        return msgspec.json.decode(evidence.get(_NAME, "[]"), type=tuple[Event, ...])
    except msgspec.MsgspecError:
        return ()


def of(events: Sequence[Event], *operations: str) -> list[Event]:
    """Those of some operations, in their order."""
    return [event for event in events if event.operation in operations]
