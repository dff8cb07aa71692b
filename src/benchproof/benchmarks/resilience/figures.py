"""Figures of a list of events. They are computed when it was measured, and again by the oracle: nothing else counts."""

from __future__ import annotations

from collections.abc import Sequence

from benchproof.analysis import binomial
from benchproof.benchmarks.resilience.events import Event
from benchproof.model import Better, Measurement, Unit


def figure(metric: str, samples: Sequence[float], unit: Unit, *, better: Better = "lower") -> Measurement:
    """On the host's clock, each sample of one operation."""
    return Measurement(
        metric=metric, unit=unit, better=better, clock="host", iterations=1, samples=tuple(map(float, samples))
    )


def success(metric: str, events: Sequence[Event], *, due: int) -> Measurement:
    """The share of what was to be done that was done right; what was not even tried was not done."""
    return figure(metric, [right(events) / due], "ratio", better="higher")


def right(events: Sequence[Event]) -> int:
    """How many ended as they should."""
    return sum(event.right for event in events)


def rate(events: Sequence[Event]) -> dict[str, str]:
    """The success rate as evidence, for its reader: it follows from the events, and `interval` from their number."""
    return {"operations_right": str(right(events)), "operations_done": str(len(events))}


def sure(successes: int, trials: int) -> str:
    """A success rate in words, with its interval."""
    found = binomial.interval(successes, trials)
    if found is None:
        return "nothing was done"
    return (
        f"{successes} of {trials} ({found.estimate:.3%}; {found.confidence:.0%}: {found.low:.3%} to {found.high:.3%})"
    )


def throughput(metric: str, events: Sequence[Event]) -> Measurement:
    """Right operations a second, from the begin of the first to the end of the last."""
    began_ns, ended_ns = min(each.started_ns for each in events), max(each.ended_ns for each in events)
    return figure(metric, [right(events) / ((ended_ns - began_ns) / 1e9)], "op/s", better="higher")
