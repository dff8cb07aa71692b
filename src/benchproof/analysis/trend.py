"""What became of a metric over time: where its level changed, by how much, for better or worse, between which runs.

Runs of a history were not neighbours in time, so a change found here is a reason to measure the two commits side by
side, not a verdict. Nothing is said of fewer than `LEAST_POINTS` runs, one new run never alarms anyone, and no change
is sought across an epoch: another machine, compiler, harness or unit is another series.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from benchproof.analysis import stats
from benchproof.model import Better, Clock, Frozen, Unit

LEAST_POINTS = 30  # for change points
LEAST_FOR_RANGE = 20  # for the range in which the next run is expected
CONFIRMED_POINTS = 5  # of a new level: from here on the running median itself stands on it
DELTA = 0.02  # smaller changes are not worth anyone's time
EXACT_DELTA = 0.001  # of counts of instructions, which have no noise of a machine in them
_RANGE_SD = 3.0
_CANCELS_WITHIN = 0.25  # of the smaller of two shifts
_CANCELS_AT_MOST = 0.5  # of it, however noisy the two are
_NEIGHBOURHOOD = 2  # runs by which two estimates of one place may differ


class Point(Frozen, frozen=True):
    """One run's value of one metric of one case: the median over its invocations."""

    run: str
    commit: str  # what was measured, in the words of its labels; empty where nobody said
    value: float
    verified: bool = True


class Epoch(Frozen, frozen=True, kw_only=True):
    """Runs that may be held against each other, in the order of time, and what they have in common."""

    facts: Mapping[str, str]  # what makes the epoch: machine, compiler, harness, parameters, unit
    unit: Unit
    better: Better
    clock: Clock
    points: tuple[Point, ...]


class Series(Frozen, frozen=True, kw_only=True):
    """One metric of one benchmark on one target. `epochs` are in the order of their newest runs."""

    target: str
    benchmark: str
    metric: str
    parameters: str  # those of the newest epoch, as JSON
    epochs: tuple[Epoch, ...]


class Change(Frozen, frozen=True, kw_only=True):
    """The level before and after, in the unit of the metric, and the two runs between which it changed."""

    before: Point
    after: Point
    place: int  # of `after` in its epoch, from 0
    old_level: float
    new_level: float
    size: float | None  # new / old - 1; None where the old level is 0
    direction: str  # better | worse
    state: str  # provisional | confirmed
    points: int  # on the new level
    error: float  # standard error of the difference of the levels
    notes: tuple[str, ...] = ()
    system: tuple[str, ...] = ()  # what the system under test says of itself that differs between the two runs


class Range(Frozen, frozen=True):
    """Where the next run of an unchanged system is expected: the median of the newest level and 3 robust SD around."""

    low: float
    middle: float
    high: float
    n: int


class Stretch(Frozen, frozen=True, kw_only=True):
    """What became of the metric within one epoch."""

    facts: Mapping[str, str]  # of the epoch
    differs: tuple[str, ...]  # what is not as in the epoch before
    unit: Unit
    better: Better
    n: int
    unverified: int  # of the points, imported without an oracle
    first_run: str
    last_run: str
    verdict: str  # steady | changed | undecided
    reason: str
    changes: tuple[Change, ...]
    expected: Range | None
    points: tuple[Point, ...] = ()  # where they were asked for


class Trend(Frozen, frozen=True, kw_only=True):
    """A series, judged. `verdict` is that of its newest epoch; the earlier ones are history."""

    target: str
    benchmark: str
    metric: str
    parameters: str
    verdict: str  # steady | changed | undecided | new epoch
    stretches: tuple[Stretch, ...]

    @property
    def newest(self) -> Stretch:
        """What the verdict is about."""
        return self.stretches[-1]

    @property
    def worsened(self) -> bool:
        """Whether the last change that is confirmed, in the newest epoch, is one for the worse."""
        confirmed = [change for change in self.newest.changes if change.state == "confirmed"]
        return bool(confirmed) and confirmed[-1].direction == "worse"


def judge(series: Sequence[Series], *, delta: float | None = None, points: bool = False) -> tuple[Trend, ...]:
    """Every series, all at once. `delta`: the least relative change; by default that of the metric's clock.

    `points`: hand back every value too.
    """
    epochs = [epoch for each in series for epoch in each.epochs]
    changes = iter(_moved_boundaries(series, _changes(epochs, delta)))
    return tuple(_trend(each, [next(changes) for _ in each.epochs], points=points) for each in series)


def exit_status(trends: Sequence[Trend]) -> int:
    """1 if anything became worse and stayed so, 3 if nothing could be decided, else 0."""
    if any(trend.worsened for trend in trends):
        return 1
    return 0 if any(trend.verdict in {"steady", "changed"} for trend in trends) else 3


def _changes(epochs: Sequence[Epoch], delta: float | None) -> list[tuple[Change, ...]]:
    """Of each epoch; none where it is too short."""
    long = [number for number, epoch in enumerate(epochs) if len(epoch.points) >= LEAST_POINTS]
    found: list[tuple[Change, ...]] = [()] * len(epochs)
    if long:
        from benchproof.analysis import changepoints  # noqa: PLC0415 - numpy is only needed here

        values = [[point.value for point in epochs[number].points] for number in long]
        deltas = [_delta(epochs[number].clock) if delta is None else delta for number in long]
        for number, shifts in zip(long, changepoints.find(values, deltas), strict=True):
            found[number] = tuple(_change(epochs[number], shift) for shift in shifts)
    return found


def _delta(clock: Clock) -> float:
    return EXACT_DELTA if clock == "instructions" else DELTA


class Shift(Frozen, frozen=True, kw_only=True):
    """Between two neighbouring levels: `place` is the index of the first value of the new one."""

    place: int
    old_level: float
    new_level: float
    points: int  # on the new level
    error: float  # standard error of the difference


def _change(epoch: Epoch, shift: Shift) -> Change:
    grew = shift.new_level > shift.old_level
    last = shift.place + shift.points == len(epoch.points)
    return Change(
        before=epoch.points[shift.place - 1],
        after=epoch.points[shift.place],
        place=shift.place,
        old_level=shift.old_level,
        new_level=shift.new_level,
        size=(shift.new_level - shift.old_level) / abs(shift.old_level) if shift.old_level else None,
        direction="better" if grew == (epoch.better == "higher") else "worse",
        state="provisional" if last and shift.points < CONFIRMED_POINTS else "confirmed",
        points=shift.points,
        error=shift.error,
    )


def _trend(series: Series, changes: Sequence[tuple[Change, ...]], *, points: bool) -> Trend:
    befores = (None, *series.epochs)
    stretches = tuple(
        _stretch(before, epoch, found, points=points)
        for before, epoch, found in zip(befores, series.epochs, changes, strict=False)  # the newest is before nothing
    )
    newest = stretches[-1]
    return Trend(
        target=series.target,
        benchmark=series.benchmark,
        metric=series.metric,
        parameters=series.parameters,
        verdict="new epoch" if newest.verdict == "undecided" and newest.differs else newest.verdict,
        stretches=stretches,
    )


def _stretch(before: Epoch | None, epoch: Epoch, changes: tuple[Change, ...], *, points: bool) -> Stretch:
    n = len(epoch.points)
    short = n < LEAST_POINTS
    return Stretch(
        facts=epoch.facts,
        differs=differing(before.facts, epoch.facts) if before else (),
        unit=epoch.unit,
        better=epoch.better,
        n=n,
        unverified=sum(not point.verified for point in epoch.points),
        first_run=epoch.points[0].run,
        last_run=epoch.points[-1].run,
        verdict="undecided" if short else "changed" if changes else "steady",
        reason=f"{n} {'run' if n == 1 else 'runs'}, change points need {LEAST_POINTS}" if short else "",
        changes=changes,
        expected=_expected(epoch, changes),
        points=epoch.points if points else (),
    )


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Each fact that is not the same in both, one line for each."""
    names = sorted(before.keys() | now.keys())
    return tuple(
        f"{name}: {before.get(name, 'absent')} -> {now.get(name, 'absent')}"
        for name in names
        if before.get(name) != now.get(name)
    )


def _expected(epoch: Epoch, changes: Sequence[Change]) -> Range | None:
    """None below 20 runs on the newest level."""
    start = changes[-1].place if changes else 0
    values = [point.value for point in epoch.points[start:]]
    if len(values) < LEAST_FOR_RANGE:
        return None
    middle, reach = stats.median(values), _RANGE_SD * stats.MAD_TO_SD * stats.mad(values)
    return Range(low=middle - reach, middle=middle, high=middle + reach, n=len(values))


# ---- moved boundaries: what one phase lost, the next one gained ----


class _Place(Frozen, frozen=True):
    """One change, and where it is to be found again."""

    epoch: int
    number: int
    metric: str
    runs: tuple[str, ...]  # around the change: two estimates of one place differ by a run or two
    change: Change


def _moved_boundaries(series: Sequence[Series], changes: Sequence[tuple[Change, ...]]) -> list[tuple[Change, ...]]:
    """The same changes; those that another metric of the same target cancels out say so."""
    noted = [list(each) for each in changes]
    for group in _places(series, changes).values():
        for one in group:
            if other := _opposite(one, group):
                change = noted[one.epoch][one.number]
                note = _boundary_note(one, other)
                noted[one.epoch][one.number] = msgspec.structs.replace(change, notes=(*change.notes, note))
    return [tuple(each) for each in noted]


def _places(
    series: Sequence[Series], changes: Sequence[tuple[Change, ...]]
) -> Mapping[tuple[str, str, str], list[_Place]]:
    """By target, unit and clock: only such changes can cancel out."""
    found: defaultdict[tuple[str, str, str], list[_Place]] = defaultdict(list)
    names = [(each, epoch) for each in series for epoch in each.epochs]
    for at, ((each, epoch), changed) in enumerate(zip(names, changes, strict=True)):
        for number, change in enumerate(changed):
            near = epoch.points[max(0, change.place - _NEIGHBOURHOOD) : change.place + _NEIGHBOURHOOD + 1]
            place = _Place(at, number, each.metric, tuple(point.run for point in near), change)
            found[each.target, epoch.unit, epoch.clock].append(place)
    return found


def _opposite(one: _Place, group: Iterable[_Place]) -> _Place | None:
    """The change that cancels it best, if any does."""
    near = [other for other in group if other.epoch != one.epoch and one.change.after.run in other.runs]
    return min(
        (other for other in near if _cancel(one.change, other.change)),
        key=lambda other: abs(_shift(one.change) + _shift(other.change)),
        default=None,
    )


def _cancel(one: Change, other: Change) -> bool:
    """One up, one down, and their sum as it was, as far as the noise of both lets one say that."""
    first, second = _shift(one), _shift(other)
    smaller = min(abs(first), abs(second))
    noise = 2 * (one.error**2 + other.error**2) ** 0.5
    tolerance = min(max(_CANCELS_WITHIN * smaller, noise), _CANCELS_AT_MOST * smaller)
    return first * second < 0 and abs(first + second) <= tolerance


def _shift(change: Change) -> float:
    return change.new_level - change.old_level


def _boundary_note(one: _Place, other: _Place) -> str:
    up, down = (one, other) if _shift(one.change) > 0 else (other, one)
    return f"moved boundary: {up.metric} went up, {down.metric} went down, their sum did not change"
