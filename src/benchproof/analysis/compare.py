"""Which is faster, by how much, how sure: two sides of one metric, pair by pair, and a verdict against a stated margin.

The invocations of one block were neighbours in time; a pair is what both sides did in it. The margin parts the line of
ratios into slower, same and faster, and a verdict is given where the interval lies in one part alone. Where it does
not, the answer is `undecided`, with the number of pairs that would probably do. Nothing is compared without pairs,
units or directions that agree; and what cannot be compared is said, never left out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from benchproof.analysis import stats
from benchproof.analysis.stats import Interval
from benchproof.model import Better, Frozen

Key = TypeVar("Key")
Verdict = Literal["faster", "slower", "same", "undecided", "incomparable"]
DECIDED: frozenset[Verdict] = frozenset({"faster", "slower", "same"})

POWER_Z = statistics.NormalDist().inv_cdf(0.8)  # "would probably decide": in four of five repetitions
MANY_PAIRS = 1000  # beyond, it is only said that there would be more


class Look(Frozen, frozen=True):
    """One planned look at the data: after so many blocks, at this one-sided error."""

    blocks: int
    alpha: float


class Design(Frozen, frozen=True, kw_only=True):
    """What was fixed before the first number was seen."""

    margin: float = 0.02  # ratios up to 1 + margin, and down to 1 / (1 + margin), are the same
    fdr: float = 0.05  # Benjamini-Hochberg level over all metrics that are compared
    looks: tuple[Look, ...] = ()  # empty: one look at the end, at 95 %

    @property
    def alpha(self) -> float:
        """The one-sided error of all looks together: the sum bounds it, however they are correlated."""
        return sum(look.alpha for look in self.looks or (_AT_THE_END,))


STANDARD = Design()
_ROUNDING = 1 + 1e-12  # of logarithms: a ratio of just the margin is within it
_AT_THE_END = Look(0, (1 - stats.CONFIDENCE) / 2)  # of a run whose number of blocks is fixed


class Glance(Frozen, frozen=True):
    """What was seen at one look: the interval at the confidence of that look, and what it would have decided."""

    blocks: int
    confidence: float
    low: float | None
    high: float | None
    verdict: Verdict


class Comparison(Frozen, frozen=True, kw_only=True):
    """`new / base` of one metric. `ratio` is absent where there is no interval; `reason`: why, or what would help."""

    verdict: Verdict
    ratio: Interval | None = None
    reason: str = ""
    margin: float = 0.0  # that was decided against: the stated one, or the A/A floor where that is wider
    floor: float | None = None  # the measured A/A floor of this metric, as a share
    p: float | None = None  # two-sided, of "the ratio is within the margin"
    difference: Interval | None = None  # `new - base` in the metric's unit: of counts, and where a ratio makes no sense
    looks: tuple[Glance, ...] = ()  # that were taken, of a design that has any
    unlike: str = ""  # what each side really times, where that is not the same: no ratio is told without it


def incomparable(reason: str) -> Comparison:
    """Not compared, and why."""
    return Comparison(verdict="incomparable", reason=reason)


def exactly(base: float, new: float, better: Better) -> Comparison:
    """Of two counts without any spread: the difference is what it is, and any is one."""
    difference = Interval(estimate=new - base, low=new - base, high=new - base, confidence=1.0, n=1)
    ratio = Interval(estimate=new / base, low=new / base, high=new / base, confidence=1.0, n=1) if base else None
    return Comparison(verdict=_word(new - base, better), ratio=ratio, difference=difference)


class Side(Frozen, frozen=True, kw_only=True):
    """Both sides of one metric by block, one value an invocation.

    `floor`: what this pair of targets differs by when both are the same, as a share; it widens the margin.
    """

    base: dict[int, float]
    new: dict[int, float]
    better: Better
    floor: float | None = None

    def pairs(self, before: float) -> list[tuple[float, float]]:
        """Of the blocks before `before`; a block that only one side has is no pair."""
        blocks = sorted(block for block in self.base.keys() & self.new.keys() if block < before)
        return [(self.base[block], self.new[block]) for block in blocks]

    @property
    def reached(self) -> int:
        """Up to which block there are values; a look whose last block has none on either side is not taken."""
        return max((*self.base, *self.new), default=-1) + 1


def paired(side: Side, design: Design = STANDARD) -> Comparison:
    """One metric alone."""
    return judge({"": side}, design)[""]


def judge(sides: Mapping[Key, Side], design: Design = STANDARD) -> dict[Key, Comparison]:
    """All metrics of one pair of targets, look by look. What a look decided is not looked at again.

    A claim of `faster` or `slower` has to hold among all metrics, after Benjamini and Hochberg (1995).
    """
    found = {key: _unseen(side, design) for key, side in sides.items()}
    for look in design.looks or (_AT_THE_END,):
        now = {
            key: _look(side, look, design, found[key])
            for key, side in sides.items()
            if found[key].verdict not in DECIDED and (look is _AT_THE_END or side.reached >= look.blocks)
        }
        found |= now
        found |= _corrected(now, [each.p for each in found.values() if each.p is not None], design.fdr)
    return found


def _unseen(side: Side, design: Design) -> Comparison:
    reason = f"no planned look was reached in {side.reached} blocks"
    return Comparison(verdict="undecided", reason=reason, margin=_margin(side, design), floor=side.floor)


def _margin(side: Side, design: Design) -> float:
    return max(design.margin, side.floor or 0.0)


def _look(side: Side, look: Look, design: Design, before: Comparison) -> Comparison:
    """What is there now, and the looks that were taken before."""
    now = _at(side.pairs(math.inf if look is _AT_THE_END else look.blocks), side, design, look.alpha)
    if look is _AT_THE_END:
        return now
    interval = now.ratio or now.difference
    low, high = (interval.low, interval.high) if interval else (None, None)
    glance = Glance(look.blocks, 1 - 2 * look.alpha, low, high, now.verdict)
    # the smallest p of the looks, each weighted by the error that it was given, is a p of the whole
    seen = [p for p in (before.p, _weighted(now.p, design.alpha / look.alpha)) if p is not None]
    return msgspec.structs.replace(now, looks=(*before.looks, glance), p=min(seen, default=None))


def _weighted(p: float | None, weight: float) -> float | None:
    return None if p is None else min(1.0, p * weight)


def _corrected(now: Mapping[Key, Comparison], tested: list[float], fdr: float) -> dict[Key, Comparison]:
    """Those of this look; a claim that does not hold among all that were tested is undecided."""
    ordered = enumerate(sorted(tested), start=1)
    held = max((p for rank, p in ordered if p <= fdr * rank / len(tested)), default=-1.0)
    return {
        key: each
        if each.p is None or each.p <= held or each.verdict not in {"faster", "slower"}
        else msgspec.structs.replace(each, verdict="undecided", reason=_not_held(each, len(tested), fdr))
        for key, each in now.items()
    }


def _not_held(comparison: Comparison, many: int, fdr: float) -> str:
    return (
        f"{comparison.verdict} by itself (p = {comparison.p:.2g}), but not among {many} metrics at a false-discovery "
        f"rate of {fdr:.0%}: measure more blocks, or fewer metrics"
    )


def pooled(runs: Sequence[Side], design: Design, *, alpha: float) -> Comparison:
    """One metric of the same two targets in several runs, each interleaved: a nested design, by hierarchical bootstrap.

    From twelve runs on it speaks of runs like these, below of these alone, and says which. `alpha`: two-sided error.
    Needs numpy.
    """
    from benchproof.analysis import bootstrap  # noqa: PLC0415 - numpy, for those who ask

    pairs = [side.pairs(math.inf) for side in runs]
    margin = max(_margin(side, design) for side in runs)
    floor = max((side.floor for side in runs if side.floor is not None), default=None)
    none = Comparison(verdict="undecided", margin=margin, floor=floor)
    if any(value <= 0 for each in pairs for pair in each for value in pair):
        return msgspec.structs.replace(none, reason="several runs are compared by ratios; a value is not positive")
    shifts = [[math.log(new) - math.log(base) for base, new in each] for each in pairs]
    over: bootstrap.Over = "runs like these" if len(runs) >= bootstrap.LEAST_RUNS else "these runs"
    found = bootstrap.nested(shifts, over=over, confidence=1 - alpha)
    if found.interval is None:
        return msgspec.structs.replace(none, reason=f"insufficient evidence: {found.reason}")
    return msgspec.structs.replace(
        none,
        verdict=_verdict(found.interval, math.log1p(margin), runs[0].better),
        ratio=stats.exponential(found.interval),
        reason=f"of {over}, {len(runs)}: resampled were {found.resampled} ({found.method})",
    )


def planned_looks(blocks: int) -> tuple[Look, ...]:
    """The boundary for at most so many blocks: one-sided 1 % in all, .002 / .004 / .004 where three looks fit.

    Each look needs so many pairs that an exact test can reach its error at all. Raises ValueError where none fits.
    """
    for alphas in ((0.002, 0.004, 0.004), (0.004, 0.006), (0.01,)):
        first = blocks // len(alphas)
        if 2.0**-first <= alphas[0]:
            ends = [blocks * share // len(alphas) for share in range(1, len(alphas) + 1)]
            return tuple(Look(end, alpha) for end, alpha in zip(ends, alphas, strict=True))
    raise ValueError(f"planned looks need at least 7 blocks, found {blocks}")


def _at(pairs: Sequence[tuple[float, float]], side: Side, design: Design, alpha: float) -> Comparison:
    """One look at so many pairs. `alpha`: one-sided error."""
    margin, floor = _margin(side, design), side.floor
    on_ratios = all(value > 0 for pair in pairs for value in pair)
    shifts = [math.log(new) - math.log(base) if on_ratios else new - base for base, new in pairs]
    interval = stats.hodges_lehmann(shifts, confidence=1 - 2 * alpha)
    if interval is None:
        reason = _too_few(len(pairs), alpha)
        return Comparison(verdict="undecided", reason=reason, margin=margin, floor=floor)
    edge = math.log1p(margin) if on_ratios else margin * abs(stats.median([base for base, _ in pairs]))
    verdict = _verdict(interval, edge, side.better)
    return Comparison(
        verdict=verdict,
        ratio=stats.exponential(interval) if on_ratios else None,
        difference=None if on_ratios else interval,
        reason=_more(shifts, interval, edge, alpha) if verdict == "undecided" else "",
        margin=margin,
        floor=floor,
        p=_p(shifts, edge),
    )


def _verdict(interval: Interval, edge: float, better: Better) -> Verdict:
    edge *= _ROUNDING
    if -edge <= interval.low and interval.high <= edge:
        return "same"
    if interval.low > edge or interval.high < -edge:
        return _word(interval.estimate, better)
    return "undecided"


def _word(change: float, better: Better) -> Verdict:
    if change == 0:
        return "same"
    return "faster" if (change > 0) == (better == "higher") else "slower"


def _p(shifts: Sequence[float], edge: float) -> float:
    """Two-sided: the dual of an interval that lies beyond the margin on either side."""
    walsh, n = stats.walsh_averages(shifts), len(shifts)
    mirrored = [-each for each in reversed(walsh)]
    return min(1.0, 2 * min(stats.wilcoxon_tail(each, n, above=edge) for each in (walsh, mirrored)))


def _too_few(pairs: int, alpha: float) -> str:
    least = max(stats.LEAST_N, math.ceil(-math.log2(alpha)))
    many = "1 pair" if pairs == 1 else f"{pairs} pairs"
    return f"insufficient evidence: {many}, an interval at {1 - 2 * alpha:.4g} needs {least}"


def _more(shifts: Sequence[float], interval: Interval, edge: float, alpha: float) -> str:
    """How many pairs of the same spread would probably decide, as a sentence."""
    spread = stats.MAD_TO_SD * stats.mad(shifts) or statistics.pstdev(shifts)
    gap = abs(abs(interval.estimate) - edge)
    z = statistics.NormalDist().inv_cdf(1 - alpha) + POWER_Z
    pairs = math.ceil(1.05 * (z * spread / gap) ** 2) if gap else MANY_PAIRS + 1
    if pairs > MANY_PAIRS:
        return f"the interval holds an edge of the margin; more than {MANY_PAIRS} pairs would be needed to decide"
    return f"the interval holds an edge of the margin; about {max(pairs, len(shifts) + 1)} pairs would decide"


def counts(comparisons: Iterable[Comparison]) -> dict[Verdict, int]:
    """How many ended how, in the order of the verdicts."""
    found = [each.verdict for each in comparisons]
    order: tuple[Verdict, ...] = ("faster", "slower", "same", "undecided", "incomparable")
    return {verdict: found.count(verdict) for verdict in order if verdict in found}
