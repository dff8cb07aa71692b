"""Does more CPU help? Speed-up and efficiency of one workload on one system over its widths (vCPUs), from wall time.

A ratio is only ever taken within a system: speed-ups of different systems may stand side by side, their times or
cycles are never divided by each other. CPU time is refused: it stays the same however badly the work is spread. A
speed-up is no claim where the CPU set has fewer CPUs than the width, where threads share a core, or where a greater
width is slower than the one before. A row whose widths do not all give the same answer is failed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from benchproof.analysis import stats, usl
from benchproof.analysis.stats import Interval
from benchproof.analysis.usl import Law
from benchproof.model import Frozen

GATE_WIDTH, GATE_SPEEDUP = 2, 1.6  # of the medians, from width 1
_SUITABLE_FROM = 4  # from this width on, a claim needs a CPU set whose cores are on record
_SPLIT_FROM = 5  # from this width on, how the work is split has to be on record
_NO_WALL_TIME = re.compile(r"(^|[._])(cpu|user|system|sys)([._]|$)|rusage|instructions|getrusage")


class Cpus(Frozen, frozen=True, kw_only=True):
    """The host's CPUs that the system may use. None: not on record."""

    allowed: str = ""  # as recorded: "0,1,2,3"
    count: int | None = None
    cores: int | None = None  # physical cores among them
    pinned: bool | None = None  # to fewer CPUs than the host has
    isolated: bool = False  # from the host's scheduler, so that nothing else runs on them
    isolation: str = ""  # by what: "isolcpus 1-3, nohz_full 1-3"


class Point(Frozen, frozen=True, kw_only=True):
    """All invocations at one width. `median` alone, without `times`, where only that was recorded."""

    width: int
    median: float | None  # None: no figure, `status` says why
    times: dict[int, float] = msgspec.field(default_factory=dict)  # block -> wall time
    runs: int | None = None  # where there are no `times`
    status: str = "passed"
    answers: tuple[str, ...] = ()  # the different ones that were given; empty: not on record
    partition: str = ""  # how the work was split among the workers; empty: not on record


class Series(Frozen, frozen=True, kw_only=True):
    """One workload on one system at several widths."""

    system: str
    workload: str
    metric: str
    unit: str
    points: tuple[Point, ...]
    clock: str = "target"
    cpus: Cpus = Cpus()
    partition: str = ""  # the split that the workload has today; empty: that of its points
    comparison: bool = False  # the system that others are held against
    virtual_host: bool = False
    nested: bool = False  # it is a guest itself


class Step(Frozen, frozen=True, kw_only=True):
    """One width of a row. `speedup` is the ratio of the medians, the interval that of pairs of one block."""

    width: int
    label: str  # smp4; smp8-smt where threads share a core
    status: str
    n: int
    median: float | None
    speedup: float | None = None
    efficiency: float | None = None  # speedup / width
    interval: Interval | None = None  # of the speed-up, Hodges-Lehmann
    claim: bool = False
    reason: str = ""  # why it is no claim


class ScalingRow(Frozen, frozen=True, kw_only=True):
    """One line of the table: a system, a workload, its widths, and what may be said of them."""

    system: str
    workload: str
    metric: str
    unit: str
    steps: tuple[Step, ...]
    status: str
    cpu_set: str
    law: Law | None = None
    no_law: str = ""
    benchmark: str = ""
    targets: tuple[str, ...] = ()  # whose invocations these are
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> str:
        """How many invocations a width has: one number, or one for each width."""
        counts = [step.n for step in self.steps if step.status != "unsupported"] or [0]
        return str(counts[0]) if len(set(counts)) == 1 else "/".join(map(str, counts))


def is_wall_time(metric: str, unit: str, clock: str) -> bool:
    """Whether it is the time that passed, by a clock on the wall or a counter that never stops."""
    return clock != "instructions" and unit != "instructions" and not _NO_WALL_TIME.search(metric)


def row(series: Series) -> ScalingRow:
    """The line of one series. Raises ValueError for what is no wall time, has no width 1, or a width twice."""
    _refuse(series)
    points = sorted(series.points, key=lambda point: point.width)
    steps = _steps(points, series)
    law, no_law = _law(points)
    return ScalingRow(
        system=series.system,
        workload=series.workload,
        metric=series.metric,
        unit=series.unit,
        steps=steps,
        status=_status(series, points, steps),
        cpu_set=cpu_set(series.cpus),
        law=law,
        no_law=no_law,
        notes=tuple(_notes(series, steps)),
    )


def _refuse(series: Series) -> None:
    if not is_wall_time(series.metric, series.unit, series.clock):
        raise ValueError(
            f"{series.metric}: expected wall time, found CPU time or a count, which no speed-up comes from"
        )
    widths = [point.width for point in series.points]
    if 1 not in widths:
        raise ValueError(f"{series.workload} on {series.system}: expected width 1 among the widths, found {widths}")
    if len(set(widths)) < len(widths) or min(widths) < 1:
        raise ValueError(f"{series.workload} on {series.system}: expected widths from 1, each once, found {widths}")


def _steps(points: Sequence[Point], series: Series) -> tuple[Step, ...]:
    """Each with what was measured, then with what may be claimed of it in the light of the one before."""
    steps: list[Step] = []
    for point in points:
        before = next((step for step in reversed(steps) if step.median is not None), None)
        steps.append(_step(point, points[0], before, series))
    return tuple(steps)


def _step(point: Point, one: Point, before: Step | None, series: Series) -> Step:
    speedup = one.median / point.median if one.median is not None and point.median else None
    reason = _no_claim(point, before, series) if point.width > 1 else ""
    return Step(
        width=point.width,
        label=_label(point.width, series.cpus),
        status=point.status,
        n=len(point.times) or point.runs or 0,
        median=point.median,
        speedup=speedup,
        efficiency=None if speedup is None else speedup / point.width,
        interval=_interval(one.times, point.times) if point.width > 1 else None,
        claim=point.width > 1 and not reason and speedup is not None,
        reason=reason,
    )


def _interval(one: Mapping[int, float], many: Mapping[int, float]) -> Interval | None:
    """Of the speed-up: a block that only one width has is no pair."""
    blocks = sorted(one.keys() & many.keys())
    return stats.ratio([many[block] for block in blocks], [one[block] for block in blocks])


def _label(width: int, cpus: Cpus) -> str:
    return f"smp{width}-smt" if _shares_cores(width, cpus) else f"smp{width}"


def _shares_cores(width: int, cpus: Cpus) -> bool:
    return cpus.cores is not None and cpus.count is not None and cpus.cores < width <= cpus.count


def _too_wide(width: int, cpus: Cpus) -> bool:
    return cpus.count is not None and width > cpus.count


def _no_claim(point: Point, before: Step | None, series: Series) -> str:
    """Why the speed-up at this width is none that may be claimed; empty if it may."""
    width, cpus = point.width, series.cpus
    unknown = f"needs {width} suitable host CPUs, and neither CPU set nor cores are on record"
    reasons = (
        (point.median is None, point.status),
        (_too_wide(width, cpus), f"functional-only oversubscription: {width} vCPUs on {cpus.count} host CPUs"),
        (_shares_cores(width, cpus), f"a diagnostic of threads that share a core: {cpus.cores} physical cores"),
        (_is_slower(point, before), f"slower than {before.label if before else ''}"),
        (width >= _SUITABLE_FROM and cpus.cores is None, unknown),
        (width >= _SPLIT_FROM and not point.partition, f"no {width}-way split is on record"),
    )
    return next((reason for holds, reason in reasons if holds), "")


def _is_slower(point: Point, before: Step | None) -> bool:
    return before is not None and None not in {point.median, before.median} and _median(point) > _median(before)


def _median(of: Point | Step) -> float:
    assert of.median is not None
    return of.median


def _status(series: Series, points: Sequence[Point], steps: Sequence[Step]) -> str:
    """The first that holds: failed, historical, no evidence, below the gate; then what is claimed."""
    if trouble := _failed(points) or _historical(series, points):
        return trouble
    two = next((step for step in steps if step.width == GATE_WIDTH), None)
    if two is None or two.speedup is None:
        return f"no claim: smp{GATE_WIDTH} has no speed-up" + (f" ({two.reason})" if two and two.reason else "")
    if _too_wide(GATE_WIDTH, series.cpus) or _shares_cores(GATE_WIDTH, series.cpus):
        return f"no speed-up evidence: {two.label} is {two.reason}"
    if two.speedup < GATE_SPEEDUP:
        return f"fails the 1-to-2 gate: {two.speedup:.3f}x, needs {GATE_SPEEDUP}x"
    return _passed(series, [step for step in steps if step.width > GATE_WIDTH])


def _failed(points: Sequence[Point]) -> str:
    answers = {answer: point.width for point in reversed(points) for answer in point.answers}
    if len(answers) > 1:
        said = ", ".join(f"{answer} at smp{width}" for answer, width in sorted(answers.items(), key=lambda it: it[1]))
        return f"failed: the answer is not the same at every width: {said}"
    wrong = [f"smp{point.width}" for point in points if point.status == "failed"]
    return f"failed: {', '.join(wrong)}" if wrong else ""


def _historical(series: Series, points: Sequence[Point]) -> str:
    splits = {point.partition for point in points if point.partition} | ({series.partition} - {""})
    return f"historical only: the split of the work changed: {', '.join(sorted(splits))}" if len(splits) > 1 else ""


def _passed(series: Series, wider: Sequence[Step]) -> str:
    """A row is retained as evidence where the CPUs that it ran on are on record; else it is a check of one's own."""
    apart = [f"{step.label} {_kind(step, series.cpus)}" for step in wider if _kind(step, series.cpus)]
    able = [step for step in wider if step.status != "unsupported" and not _kind(step, series.cpus)]
    lost = [f"no {step.width}-core claim" for step in able if not step.claim]
    if series.cpus.cores is None:
        only = " only" if wider and not any(step.claim for step in wider) else ""
        return "; ".join([f"Passes 1-to-2 gate{only}", *apart])
    return "; ".join(["Comparison run retained" if series.comparison else "retained", *lost, *apart])


def _kind(step: Step, cpus: Cpus) -> str:
    if step.median is None:
        return ""
    if _too_wide(step.width, cpus):
        return "functional-only oversubscription"
    return "diagnostic" if _shares_cores(step.width, cpus) else ""


def cpu_set(cpus: Cpus) -> str:
    """What a summary has to say of the CPUs: which they are, and whether anything else ran on them."""
    if not cpus.allowed:
        return "CPU set not on record"
    cores = "cores not on record" if cpus.cores is None else f"{cpus.cores} physical cores"
    pinned = {None: "", True: ", pinned", False: ", not pinned"}[cpus.pinned]
    isolated = f"isolated{f' ({cpus.isolation})' if cpus.isolation else ''}" if cpus.isolated else "not isolated"
    return f"CPU set {cpus.allowed} ({cores}){pinned}, {isolated}"


def _notes(series: Series, steps: Iterable[Step]) -> Iterable[str]:
    steps = tuple(steps)
    lacking = [step.label for step in steps if step.status == "unsupported"]
    if lacking:
        yield f"{', '.join(lacking)}: unsupported"
    yield from (f"{step.label}: {step.reason}" for step in steps if step.reason and step.label not in lacking)
    if not any(point.answers for point in series.points):
        yield "the answers are not on record: each width was judged by itself alone"
    if series.virtual_host:
        guest = "nested: a guest on a host that is itself virtual" if series.nested else "the host is itself virtual"
        yield f"{guest}: no proof for hardware"


def _law(points: Sequence[Point]) -> tuple[Law | None, str]:
    medians = {point.width: point.median for point in points if point.median is not None}
    try:
        found = usl.law(medians)
    except ValueError as error:
        return None, str(error)
    blocks = sorted(set(itertools.chain.from_iterable(point.times for point in points)))
    by_block = [{point.width: point.times[block] for point in points if block in point.times} for block in blocks]
    return usl.with_intervals(found, by_block), ""
