"""The words of the table of agents: what becomes of each target as more of them use it at once."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.degradation import SLACK, Curve, Point
from benchproof.model import Unit
from benchproof.reporters import layout

HEAD = ("Target", "Agents", "All ready", "Latency", "Operations/s", "Memory", "Right operations (95 %)")
LEGEND = (
    f"Graceful: no operation failed, and latency grows at most {SLACK:g} times as fast as agents per CPU. Agents ask "
    "for the next thing when they have the last answer. Intervals are exact and count operations as independent: those "
    "that fail for one common reason are not."
)


def texts(curve: Curve) -> Iterator[tuple[str, ...]]:
    """A line for each number of agents, its fields as in `HEAD`."""
    for point in curve.points:
        yield (
            curve.target,
            str(point.agents),
            _told("ns", point.ready_ns, point),
            _told("ns", point.latency_ns, point),
            "" if point.throughput is None else f"{point.throughput:,.1f}",
            _told("bytes", point.memory_bytes, point),
            _success(point),
        )


def details(curve: Curve) -> Iterator[str]:
    """The verdict, and what one more agent costs."""
    yield f"{curve.target}: {curve.verdict}: {curve.reason}"
    if (marginal := curve.marginal_bytes) is not None and marginal > 0:
        yield f"{curve.target}: one more agent adds {marginal / 2**20:.1f} MiB"


def _told(unit: Unit, value: float | None, point: Point) -> str:
    if value is None:
        return point.status if unit == "ns" else ""
    divisor, word = layout.scale_of(unit, value)
    return f"{layout.figure(value / divisor)} {word}"


def _success(point: Point) -> str:
    if point.success is None:
        return "none"
    return f"{point.right} of {point.due} [{point.success.low:.3%}, {point.success.high:.3%}]"
