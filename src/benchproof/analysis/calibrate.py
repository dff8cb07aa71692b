"""What the noise of this machine does to a verdict, measured between equal things and never assumed.

An A/A study measures one target under two names or more, interleaved like any other. How often are the copies called
different (false alarms), by how much are they said to differ (the floor), and how large must a real difference be to be
found (the detectable effect)? Floors and effects come from the pairs that were measured, drawn again in short stretches
so that what neighbours in time have in common stays together; no distribution is supposed. With too few blocks a figure
is absent, with the reason. Counts without noise have no place here.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from benchproof.analysis import invocations, stats
from benchproof.analysis.compare import STANDARD, Design, Look, Side, paired
from benchproof.analysis.invocations import Question
from benchproof.analysis.matrix import FloorKey
from benchproof.model import Better, Envelope, Frozen, Measurement, Passed, Result, Unit

FORMAT = 1  # of what is kept
LEAST_PAIRS = 20  # with fewer, a 95 % quantile is the maximum renamed
FLOOR_BLOCKS = (6, 10, 20, 30)  # lengths of comparison that a floor is kept for, beside that of the plan
POWERS = {"80 %": 0.80, "95 %": 0.95}
_DRAWS = 1000
_SEED = 1  # the figures of a study follow from its results alone

Series = Mapping[int, float]  # block -> value of the invocation
Shifts = Sequence[float]  # log ratios of one pair of copies, in the order of the blocks


class Rate(Frozen, frozen=True):
    """So many events of so many, with the 95 % interval of Clopper and Pearson (1934)."""

    events: int
    of: int
    low: float
    high: float


class Power(Frozen, frozen=True, kw_only=True):
    """How often a known delay was found, beside how often it should have been."""

    parameters: dict[str, object]  # of the injection alone
    asked: float | None  # as a share of the plain median; absent for instructions: their time is not known beforehand
    seen: float | None  # the median of all pairs
    caught: Rate  # windows with the verdict `slower`
    predicted: float | None


class Study(Frozen, frozen=True, kw_only=True):
    """One metric of one case. Shares are of the metric: 0.02 is a ratio of 1.02."""

    benchmark: str
    parameters: dict[str, object]
    metric: str
    unit: Unit
    better: Better
    copies: int
    pairs: int  # blocks in which copies stood side by side, all pairs of copies together
    median: float | None = None  # of all copies
    blocks: int  # of one window: as many as a comparison of the plan has
    margin: float  # that detectable effects and injections were held against: the plan's, or the floor where wider
    false: Rate | None = None  # windows called faster or slower, against the plan's margin
    excluded: Rate | None = None  # windows whose interval does not hold 1, whatever the margin
    floors: dict[int, float] = msgspec.field(default_factory=dict)  # blocks compared -> 95 % of windows differ by less
    floor_apart: float | None = None  # the most that a copy differed from itself, measured earlier in the study
    detectable: dict[str, float] = msgspec.field(default_factory=dict)  # power -> least effect found beyond `margin`
    detectable_bare: dict[str, float] = msgspec.field(default_factory=dict)  # ... whose interval does not hold 1
    injected: tuple[Power, ...] = ()
    absent: dict[str, str] = msgspec.field(default_factory=dict)  # figure -> why it is not there


class Calibration(Frozen, frozen=True, kw_only=True):
    """One A/A study of one target: what it found, the run that is its evidence, and the facts that it holds for."""

    format: int = FORMAT
    run_id: str
    created_at: str
    benchproof: str  # version
    target: str
    envelope: Envelope
    studies: tuple[Study, ...]
    troubles: tuple[str, ...] = ()


class Floor(Frozen, frozen=True, kw_only=True):
    """What a run was told of one metric of one of its targets, by the study `run_id`."""

    target: str
    benchmark: str
    parameters: dict[str, object]
    metric: str
    blocks: int  # of the windows that it was found with
    floor: float
    floor_apart: float | None  # the most that the target differed from itself after a while, in and between studies
    run_id: str
    measured_at: str


class Calibrated(Frozen, frozen=True):
    """What is recorded with a run: the floors that hold for it, and what must be known of them."""

    floors: tuple[Floor, ...] = ()
    notes: tuple[str, ...] = ()


def floors(recorded: Calibrated, references: Mapping[str, str]) -> dict[FloorKey, float]:
    """For the pairs of one run (target -> reference): the larger floor of the two."""
    by_target = _largest(recorded.floors, lambda each: each.floor)
    found: dict[FloorKey, float] = {}
    for asked, metric, of in by_target:
        for target in (name for name, reference in references.items() if of in {name, reference}):
            pair = (by_target.get((asked, metric, each)) for each in (target, references[target]))
            found[asked, metric, target] = max(each for each in pair if each is not None)
    return found


def drift(*sides: tuple[Calibrated, str]) -> dict[tuple[Question, str], float]:
    """For comparing runs made apart, each side what a run was told and its target: by metric, the larger of both."""
    recorded = [each for calibrated, target in sides for each in calibrated.floors if each.target == target]
    found: dict[tuple[Question, str], float] = {}
    for (asked, metric, _), share in _largest(recorded, lambda each: each.floor_apart).items():
        found[asked, metric] = max(share, found.get((asked, metric), 0.0))
    return found


def _largest(found: Iterable[Floor], share: Callable[[Floor], float | None]) -> dict[FloorKey, float]:
    largest: dict[FloorKey, float] = {}
    for each in found:
        key = (invocations.question(each.benchmark, each.parameters), each.metric, each.target)
        if (value := share(each)) is not None:
            largest[key] = max(value, largest.get(key, 0.0))
    return largest


# ---- from the results of an A/A run to its studies ----


def studies(results: Sequence[Result], copies: Sequence[str], *, blocks: int, design: Design) -> tuple[Study, ...]:
    """Every metric of every plain case that every copy answered; the injected cases stand beside their plain one.

    Where one copy was wrong once, there is no number, and so no floor to widen a margin with: see `troubles`.
    """
    asked = {
        question: by_target
        for question, by_target in invocations.last_tries(results).items()
        if all(invocations.status(by_target.get(copy, ())) == "passed" for copy in copies)
    }
    return tuple(
        _study(asked, question, measurement, copies, blocks=blocks, design=design)
        for question, by_target in asked.items()
        if not invocations.injection(_parameters(question))
        for measurement in _metrics(by_target).values()
    )


def troubles(results: Sequence[Result], copies: Sequence[str]) -> tuple[str, ...]:
    """Cases that are no basis for a study, and why."""
    return tuple(
        f"{name} on {copy}: {status}: {'; '.join(invocations.notes(by_target.get(copy, ())))}"
        for (name, _), by_target in invocations.last_tries(results).items()
        for copy in copies
        if (status := invocations.status(by_target.get(copy, ()))) != "passed"
    )


def _parameters(question: Question) -> dict[str, object]:
    parameters: dict[str, object] = msgspec.json.decode(question[1])
    return parameters


def _metrics(by_target: Mapping[str, Sequence[Result]]) -> dict[str, Measurement]:
    return {
        measurement.metric: measurement
        for results in by_target.values()
        for result in results
        if isinstance(result.outcome, Passed)
        for measurement in result.outcome.measurements
    }


def _study(
    asked: Mapping[Question, Mapping[str, Sequence[Result]]],
    question: Question,
    measured: Measurement,
    copies: Sequence[str],
    *,
    blocks: int,
    design: Design,
) -> Study:
    plain = _series(asked[question], measured.metric, copies)
    found = study(plain, measured, question=question, blocks=blocks, design=design)
    twins = {
        twin: _series(asked[twin], measured.metric, copies)
        for twin in asked
        if twin[0] == question[0] and invocations.injection(_parameters(twin)) and _plain(twin) == question
    }
    powers = [
        power(plain, slow, found, invocations.injection(_parameters(twin)), design) for twin, slow in twins.items()
    ]
    return msgspec.structs.replace(found, injected=tuple(powers))


def _series(by_target: Mapping[str, Sequence[Result]], metric: str, copies: Sequence[str]) -> dict[str, Series]:
    return {copy: invocations.values(by_target.get(copy, ()), metric) for copy in copies}


def _plain(question: Question) -> Question:
    kept = {name: value for name, value in _parameters(question).items() if name not in invocations.INJECTIONS}
    return invocations.question(question[0], kept)


# ---- one metric ----


def study(
    series: Mapping[str, Series], measured: Measurement, *, question: Question, blocks: int, design: Design = STANDARD
) -> Study:
    """The figures of one metric, from what each copy had in each block. `blocks`: of one comparison."""
    sides = [_side(series[base], series[new], measured.better) for base, new in itertools.combinations(series, 2)]
    pairs = sum(len(side.base) for side in sides)
    plain = Study(
        benchmark=question[0],
        parameters=_parameters(question),
        metric=measured.metric,
        unit=measured.unit,
        better=measured.better,
        copies=len(series),
        median=_median(series),
        pairs=pairs,
        blocks=blocks,
        margin=design.margin,
    )
    if any(value <= 0 for each in series.values() for value in each.values()):
        return msgspec.structs.replace(plain, absent={"all": "values that are not positive have no ratio"})
    return _with_figures(plain, series, sides, design)


def _median(series: Mapping[str, Series]) -> float | None:
    values = [value for each in series.values() for value in each.values()]
    return stats.median(values) if values else None


def _with_figures(plain: Study, series: Mapping[str, Series], sides: Sequence[Side], design: Design) -> Study:
    shifts = [_shifts(side) for side in sides]
    looks = _looks(design, plain.blocks)
    lengths = sorted({*FLOOR_BLOCKS, plain.blocks, looks[0].blocks})
    enough = [length for length in lengths if stats.LEAST_N <= length <= max(map(len, shifts), default=0)]
    known = {length: floor(shifts, length) for length in enough if plain.pairs >= LEAST_PAIRS}
    margin = max(design.margin, floor_for(known, looks[0].blocks) or 0.0)
    drawn = [] if plain.blocks not in known else [_thresholds(shifts, looks, math.log1p(each)) for each in (margin, 0)]
    beyond, bare = drawn or (None, None)
    windows = [window for side in sides for window in _windows(side, plain.blocks)]
    false, excluded = (_rate(windows, {"faster", "slower"}, _against(design, edge)) for edge in (design.margin, 0.0))
    apart = floor_apart(series.values(), plain.blocks)
    return msgspec.structs.replace(
        plain,
        margin=margin,
        false=false,
        excluded=excluded,
        floors=known,
        floor_apart=apart,
        detectable=_detectable(beyond),
        detectable_bare=_detectable(bare),
        absent=dict(_absent(plain, windows, known, apart)),
    )


def _absent(
    plain: Study, windows: Sequence[Side], known: Mapping[int, float], apart: float | None
) -> Iterator[tuple[str, str]]:
    if not windows:
        yield "false", f"a window has {plain.blocks} blocks, found {plain.pairs} pairs in all"
    if plain.blocks not in known:
        least = max(LEAST_PAIRS, plain.blocks)
        yield "floors", f"needs {least} blocks, found {plain.pairs} pairs in all"
        yield "detectable", f"needs {least} blocks, found {plain.pairs} pairs in all"
    if apart is None:
        yield "floor_apart", f"needs two stretches of {stats.LEAST_N} blocks"


def _side(base: Series, new: Series, better: Better) -> Side:
    """The blocks that both have."""
    both = sorted(base.keys() & new.keys())
    return Side(base={block: base[block] for block in both}, new={block: new[block] for block in both}, better=better)


def _shifts(side: Side) -> list[float]:
    return [math.log(new) - math.log(base) for base, new in side.pairs(math.inf)]


def _looks(design: Design, blocks: int) -> tuple[Look, ...]:
    return design.looks or (Look(blocks, design.alpha),)


def _against(design: Design, margin: float) -> Design:
    return msgspec.structs.replace(design, margin=margin)


def _windows(side: Side, blocks: int) -> list[Side]:
    """Disjoint windows of so many consecutive blocks, each numbered from 0 as a run of its own."""
    pairs = side.pairs(math.inf)
    return [
        Side(
            base={block: pairs[start + block][0] for block in range(blocks)},
            new={block: pairs[start + block][1] for block in range(blocks)},
            better=side.better,
        )
        for start in range(0, len(pairs) - blocks + 1, blocks)
    ]


def _rate(windows: Sequence[Side], verdicts: set[str], design: Design) -> Rate | None:
    if not windows:
        return None
    return rate(sum(paired(window, design).verdict in verdicts for window in windows), len(windows))


def rate(events: int, of: int, *, confidence: float = stats.CONFIDENCE) -> Rate:
    """A share with its exact interval: the probabilities that the binomial test does not reject."""
    tail = (1 - confidence) / 2
    low = 0.0 if events == 0 else _root(lambda p: 1 - _binomial(events - 1, of, p) - tail)
    high = 1.0 if events == of else _root(lambda p: tail - _binomial(events, of, p))
    return Rate(events, of, low, high)


def _binomial(most: int, of: int, p: float) -> float:
    """P(at most so many of so many)."""
    return math.fsum(
        math.exp(
            math.lgamma(of + 1)
            - math.lgamma(each + 1)
            - math.lgamma(of - each + 1)
            + each * math.log(p)
            + (of - each) * math.log1p(-p)
        )
        for each in range(most + 1)
    )


def _root(rising: Callable[[float], float]) -> float:
    """Where a function that rises over (0, 1) is zero."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


# ---- floors ----


def floor(shifts: Sequence[Shifts], blocks: int) -> float:
    """What 95 % of comparisons of so many blocks stay below: the larger of what windows showed and what draws show.

    Windows overlap here; they are few and hold what drift did. Draws are many and hold what single pairs can do.
    """
    drawn = [abs(_centre(each)) for each in _draws(shifts, blocks)]
    seen = [
        abs(_centre(each[start : start + blocks])) for each in shifts for start in range(max(0, len(each) - blocks + 1))
    ]
    readings = [stats.quantile(each, "p95") for each in (drawn, seen) if len(each) >= stats.LEAST_OF["p95"]]
    return math.expm1(max(readings))


def floor_for(known: Mapping[int, float], blocks: int) -> float | None:
    """Of a comparison of so many blocks: that of the longest windows that are not longer. None: they are all longer."""
    fitting = [length for length in known if length <= blocks]
    return known[max(fitting)] if fitting else None


def floor_apart(series: Iterable[Series], blocks: int) -> float | None:
    """The most by which a copy differed from itself between two stretches of a run: what drift does to runs made apart.

    The stretches are windows, or the two halves where there are fewer than two. None if a half is below `LEAST_N`.
    """
    ratios: list[float] = []
    for each in series:
        values = [each[block] for block in sorted(each)]
        length = blocks if len(values) >= 2 * blocks else len(values) // 2
        if length < stats.LEAST_N:
            continue
        medians = [stats.median(values[at : at + length]) for at in range(0, len(values) - length + 1, length)]
        ratios.append(max(medians) / min(medians))
    return max(ratios) - 1 if ratios else None


def _draws(shifts: Sequence[Shifts], blocks: int) -> Iterator[list[float]]:
    """Comparisons as they could have come: stretches of neighbouring pairs, of one pair of copies each.

    The moving block bootstrap of Künsch (1989), with stretches of n to the power of 1/3.
    """
    chance = random.Random(_SEED)
    usable = [each for each in shifts if each]
    for _ in range(_DRAWS):
        whole = chance.choice(usable)
        length = max(1, round(len(whole) ** (1 / 3)))
        drawn: list[float] = []
        while len(drawn) < blocks:
            start = chance.randrange(len(whole) - length + 1)
            drawn += whole[start : start + length]
        yield drawn[:blocks]


def _centre(shifts: Shifts) -> float:
    return stats.median(stats.walsh_averages(shifts))


# ---- detectable effects ----


def _thresholds(shifts: Sequence[Shifts], looks: Sequence[Look], edge: float) -> list[float]:
    """For each drawn comparison the least effect, as a log ratio, with which it would have said `slower`; ascending.

    An effect only shifts the interval of ranks, so the draws need no second round for each effect. Every other one is
    turned round: which copy is called the base is chance.
    """
    drawn = _draws(shifts, looks[-1].blocks)
    return sorted(_threshold([s if turn % 2 else -s for s in each], looks, edge) for turn, each in enumerate(drawn))


def _threshold(shifts: Shifts, looks: Sequence[Look], edge: float) -> float:
    """A look finds the effect if its interval is moved beyond the edge and no look before it had ended the question."""
    least, open_from = math.inf, -math.inf
    for look in looks:
        interval = stats.hodges_lehmann(shifts[: look.blocks], confidence=1 - 2 * look.alpha)
        if interval is None:
            continue
        least = min(least, max(edge - interval.low, open_from))
        fits_within = interval.high - interval.low <= 2 * edge
        open_from = max(open_from, (edge if fits_within else -edge) - interval.high)
    return least


def _detectable(thresholds: Sequence[float] | None) -> dict[str, float]:
    if not thresholds:
        return {}
    ranked = {name: thresholds[math.ceil(power * len(thresholds)) - 1] for name, power in POWERS.items()}
    return {name: math.expm1(max(0.0, least)) for name, least in ranked.items() if math.isfinite(least)}


# ---- injected delays ----


def power(
    plain: Mapping[str, Series],
    slow: Mapping[str, Series],
    found: Study,
    injected: dict[str, object],
    design: Design = STANDARD,
) -> Power:
    """How often the delayed copy was called slower than each other copy, window by window."""
    sides = [
        _side(plain[base], slow[new], found.better)
        for base, new in itertools.product(plain, slow)
        if base != new or len(plain) == 1
    ]
    windows = [window for side in sides for window in _windows(side, found.blocks)]
    caught = _rate(windows, {"slower"}, _against(design, found.margin)) or Rate(0, 0, 0.0, 1.0)
    shifts = [shift for side in sides for shift in _shifts(side)]
    seen = math.expm1(stats.median(shifts)) if shifts else None
    asked = _asked(found, injected)
    effect = asked if asked is not None else seen
    return Power(
        parameters=injected,
        asked=asked,
        seen=seen,
        caught=caught,
        predicted=None if effect is None else _predicted(plain, found, effect, design),
    )


def _asked(found: Study, injected: Mapping[str, object]) -> float | None:
    """Of a delay, as a share of the plain median; only of a metric that is a time."""
    delay_s = injected.get("inject")
    if found.unit != "ns" or not isinstance(delay_s, float) or set(injected) != {"inject"} or not found.median:
        return None
    return delay_s * 1e9 / found.median


def _predicted(plain: Mapping[str, Series], found: Study, effect: float, design: Design) -> float | None:
    if found.blocks not in found.floors or effect <= -1:
        return None
    shifts = [_shifts(_side(plain[base], plain[new], found.better)) for base, new in itertools.combinations(plain, 2)]
    thresholds = _thresholds(shifts, _looks(design, found.blocks), math.log1p(found.margin))
    return sum(each <= math.log1p(effect) for each in thresholds) / len(thresholds)
