"""What becomes of a service as more agents use it at once: a curve for each target, and whether it bends gracefully.

Graceful is: at no number of agents that was measured did an operation fail or an oracle object, and latency grows no
faster than agents per CPU do, times a slack, from the fewest agents on. (So many agents share so many CPUs; what grows
faster than that does not come from sharing.) It is a rule about what was measured, and says nothing of more agents.

The interval of a success rate counts operations as independent. Those that fail together (one daemon died) are not:
then it is too narrow, and the number of invocations with a failure is the better figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from benchproof.analysis import binomial, invocations, stats
from benchproof.analysis.stats import Interval
from benchproof.model import Frozen, Result

PARAMETER, BENCHMARK = "agents", "scale.agents"
SLACK = 1.5
Verdict = Literal["graceful", "fails", "degrades", "undecided"]
Case = tuple[str, str, Mapping[str, object], int]  # target, benchmark, parameters, tier


class Point(Frozen, frozen=True, kw_only=True):
    """So many agents. Times in ns, memory in bytes; None where the status is not passed."""

    agents: int
    status: str
    n: int  # invocations
    latency_ns: float | None = None  # median over invocations of the median of each
    ready_ns: float | None = None
    throughput: float | None = None  # right operations a second
    memory_bytes: float | None = None  # of all sandboxes together
    right: int = 0  # operations, of all invocations
    due: int = 0
    success: Interval | None = None


class Curve(Frozen, frozen=True, kw_only=True):
    """One target and one set of other parameters."""

    target: str
    workload: str
    cpus: int | None
    points: tuple[Point, ...]
    verdict: Verdict
    reason: str

    @property
    def first_failure(self) -> int | None:
        """The fewest agents at which an operation failed."""
        return next((point.agents for point in self.points if point.right < point.due), None)

    @property
    def marginal_bytes(self) -> float | None:
        """What one more agent adds: the slope of the memory over their number; None below two points."""
        known = [(each.agents, each.memory_bytes) for each in self.points if each.memory_bytes is not None]
        if len(known) < 2:
            return None
        (fewest, least), (most, largest) = known[0], known[-1]
        return (largest - least) / (most - fewest)


def curves(cases: Iterable[Case], results: Sequence[Result], cpus: Mapping[str, int | None]) -> tuple[Curve, ...]:
    """Those of a run; none where it was not asked at several numbers of agents. `cpus`: of each target."""
    last = invocations.last_tries(results)
    found: dict[tuple[str, str], dict[int, Point]] = {}
    for target, benchmark, parameters, _ in cases:
        agents = parameters.get(PARAMETER)
        if benchmark == BENCHMARK and isinstance(agents, int):
            others = {key: value for key, value in parameters.items() if key != PARAMETER}
            workload = invocations.question(benchmark, others)[1]
            seen = last.get(invocations.question(benchmark, parameters), {}).get(target, ())
            found.setdefault((target, workload), {})[agents] = _point(agents, seen)
    return tuple(
        _curve(target, workload, [points[agents] for agents in sorted(points)], cpus.get(target))
        for (target, workload), points in found.items()
        if len(points) > 1
    )


def judged(points: Sequence[Point], cpus: int | None) -> tuple[Verdict, str]:
    """Whether the curve is graceful, and why (not)."""
    for point in points:
        if point.right < point.due:
            return "fails", f"from {point.agents} agents on, operations fail: {point.right} of {point.due} were right"
    if failed := [point for point in points if point.status == "failed"]:
        return "fails", f"with {failed[0].agents} agents an oracle objected, though each operation was right"
    if missing := [point for point in points if point.latency_ns is None]:
        return "undecided", f"no figure with {missing[0].agents} agents: {missing[0].status}"
    if not cpus:
        return "undecided", "how many CPUs the agents share is not on record"
    for point, allowed_ns in zip(points, _allowed(points, cpus), strict=True):
        if point.latency_ns is not None and point.latency_ns > allowed_ns:
            times = f"{point.latency_ns / 1e6:.1f} ms, more than {allowed_ns / 1e6:.1f} ms"
            return "degrades", f"with {point.agents} agents, latency is {times}: it grows faster than agents per CPU"
    most = points[-1].agents
    return "graceful", f"up to {most} agents no operation failed, and latency grows no faster than agents per CPU"


def _allowed(points: Sequence[Point], cpus: int) -> Iterator[float]:
    """The latency that sharing so many CPUs explains, from that of the fewest agents."""
    first = points[0]
    for point in points:
        share = max(1.0, point.agents / cpus) / max(1.0, first.agents / cpus)
        yield (first.latency_ns or 0.0) * share * SLACK


def _curve(target: str, workload: str, points: Sequence[Point], cpus: int | None) -> Curve:
    verdict, reason = judged(points, cpus)
    return Curve(target=target, workload=workload, cpus=cpus, points=tuple(points), verdict=verdict, reason=reason)


def _point(agents: int, results: Sequence[Result]) -> Point:
    right, due = (sum(map(_count(name), results)) for name in ("operations_right", "operations_due"))
    status = invocations.status(results)
    believed = results if status == "passed" else ()  # as in every table: one wrong answer takes the number away
    return Point(
        agents=agents,
        status=status,
        n=len(results),
        latency_ns=_median(believed, "latency"),
        ready_ns=_median(believed, "ready"),
        throughput=_median(believed, "throughput"),
        memory_bytes=_median(believed, "memory"),
        right=right,
        due=due,
        success=binomial.interval(right, due) if due > 0 and right <= due else None,
    )


def _count(name: str) -> Callable[[Result], int]:
    """A whole number in the evidence; 0 where there is none."""

    def count(result: Result) -> int:
        text = result.evidence.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0

    return count


def _median(results: Sequence[Result], name: str) -> float | None:
    values = list(invocations.values(results, f"{BENCHMARK}.{name}").values())
    return stats.median(values) if values else None
