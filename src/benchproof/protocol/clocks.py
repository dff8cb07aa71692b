"""Whether a system's clock fits into the time that the host saw pass between the arrivals of two lines.

A console is read in pieces, so a line's moment is known only as an interval: after the piece before it had come, and
before its own had. Every check takes the end of the interval that speaks for the system.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction

from benchproof.model import Frozen
from benchproof.protocol.lines import Line

TOLERANCE = Fraction(1, 10)
SLACK_NS = 100_000_000
LEAST_NS = 200_000_000  # a shorter stretch says nothing of the pace
FASTEST_HZ = 10**11  # no clock of a machine ticks faster; what says so would make its figures too small
Arrivals = Sequence[tuple[int, int]]


def wrong_hz(hz: int) -> str:
    """What is wrong with the ticks a second that somebody states; empty if nothing is."""
    return "" if 0 < hz <= FASTEST_HZ else f"hz: expected 1 to {FASTEST_HZ} ticks a second, found {hz}"


class Window(Frozen, frozen=True):
    """What the host can say of the time between two lines. None: of the first one it knows no earliest moment."""

    shortest_ns: int
    longest_ns: int | None


def window(arrivals: Arrivals, first: Line, last: Line) -> Window | None:
    """From one line to another: to the first byte of each, as a clock is read before it is told. None: no arrivals."""
    start, end = _piece(arrivals, first.offset), _piece(arrivals, last.offset)
    if start < 0:
        return None
    shortest = max(0, arrivals[end - 1][1] - arrivals[start][1]) if end > start else 0
    return Window(shortest, arrivals[end][1] - arrivals[start - 1][1] if start else None)


def _piece(arrivals: Arrivals, offset: int) -> int:
    return bisect_right(arrivals, offset, key=lambda each: each[0]) - 1


def too_long(elapsed_ns: Fraction | int, seen: Window | None) -> bool:
    """Whether more time was counted than can have passed."""
    return (
        seen is not None and seen.longest_ns is not None and elapsed_ns > seen.longest_ns * (1 + TOLERANCE) + SLACK_NS
    )


def too_short(elapsed_ns: Fraction | int, seen: Window | None) -> bool:
    """Whether less time was counted than must have passed."""
    return (
        seen is not None and seen.shortest_ns >= LEAST_NS and elapsed_ns < seen.shortest_ns * (1 - TOLERANCE) - SLACK_NS
    )


def wrong_pace(elapsed_ns: Fraction | int, seen: Window | None) -> Iterator[str]:
    """What is wrong with a clock that counted so much between two lines."""
    if elapsed_ns < 0:
        yield "the clock went backwards"
    elif seen is not None and too_long(elapsed_ns, seen):
        yield f"the clock runs ahead: it counted {_s(elapsed_ns)} while the host saw {_s(seen.longest_ns or 0)} at most"
    elif seen is not None and too_short(elapsed_ns, seen):
        yield f"the clock runs behind: it counted {_s(elapsed_ns)} while the host saw {_s(seen.shortest_ns)} at least"


def _s(ns: Fraction | int) -> str:
    return f"{float(ns) / 1e9:.3f} s"
