"""Compares two columns of a run, pair by pair: the invocations of one block were neighbours in time."""

from __future__ import annotations

from collections.abc import Mapping

from benchproof.analysis import stats
from benchproof.analysis.stats import Interval
from benchproof.model import Better, Frozen


class Comparison(Frozen, frozen=True):
    """`new / base` of one metric, or why there is none. `reading`: better, worse or ~ (the interval holds 1)."""

    ratio: Interval | None
    reading: str
    reason: str = ""
    difference: float | None = None  # `new - base` in the unit of the metric, where both are exact


def _why_none(pairs: int) -> str:
    if pairs < stats.LEAST_N:
        return f"{pairs} pairs: no interval, at least {stats.LEAST_N} are needed"
    return "no ratio: a value is zero or less"


def exactly(base: float, new: float, better: Better) -> Comparison:
    """Of two counts without any spread: the ratio is what it is."""
    ratio = Interval(estimate=new / base, low=new / base, high=new / base, confidence=1.0, n=1)
    reading = "~" if new == base else "better" if (new > base) == (better == "higher") else "worse"
    return Comparison(ratio=ratio, reading=reading, difference=new - base)


def paired(base: Mapping[int, float], new: Mapping[int, float], better: Better) -> Comparison:
    """Both by block, one value an invocation. Blocks that only one side has cannot be paired and are not used."""
    blocks = sorted(base.keys() & new.keys())
    ratio = stats.ratio([base[block] for block in blocks], [new[block] for block in blocks])
    if ratio is None:
        return Comparison(ratio=None, reading="", reason=_why_none(len(blocks)))
    if ratio.low <= 1 <= ratio.high:
        return Comparison(ratio=ratio, reading="~")
    grew = ratio.low > 1
    return Comparison(ratio=ratio, reading="better" if grew == (better == "higher") else "worse")
