"""A table of bands (Excellent, Good, ...): each states a limit on the median and one on the 95th percentile.

A figure belongs to the first band whose limit holds, exactly as written: with `<`, a value on an edge belongs to the
worse band. The worse of both figures decides; from one of them alone no band is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from benchproof.analysis.limit import Limit
from benchproof.model import Frozen

BEYOND = "Below target"  # what holds no limit of any band
BandStatistic = Literal["median", "p95"]
STATISTICS: tuple[BandStatistic, ...] = ("median", "p95")


class Band(Frozen, frozen=True, kw_only=True):
    """One line of the table; the tables go from the best to the worst."""

    name: str
    median: Limit
    p95: Limit

    def limit(self, statistic: BandStatistic) -> Limit:
        """That of the statistic."""
        return self.median if statistic == "median" else self.p95


class Placed(Frozen, frozen=True):
    """The band of a pair of figures; `each`: the band of either alone. `rank` 0 is the best."""

    name: str
    rank: int
    each: dict[str, str]


def place(bands: Sequence[Band], figures: Mapping[BandStatistic, float]) -> Placed:
    """The band that median and p95 have together: the worse of both."""
    names = [*(band.name for band in bands), BEYOND]
    ranks = {statistic: _rank(bands, statistic, figures[statistic]) for statistic in STATISTICS}
    worst = max(ranks.values())
    return Placed(names[worst], worst, {statistic: names[rank] for statistic, rank in ranks.items()})


def _rank(bands: Sequence[Band], statistic: BandStatistic, figure: float) -> int:
    held = (rank for rank, band in enumerate(bands) if band.limit(statistic).holds(figure))
    return next(held, len(bands))


def problem(bands: Sequence[Band]) -> str:
    """Why these are no table of bands, as a sentence; empty if they are one."""
    for statistic in STATISTICS:
        limits = [band.limit(statistic) for band in bands]
        for best, worse, name in zip(limits, limits[1:], (band.name for band in bands[1:]), strict=False):
            if (best.unit, best.comparison) != (worse.unit, worse.comparison):
                return f"{name}: {statistic}: expected a limit like '{best.text}' above it, found '{worse.text}'"
            if best.margin(worse.bound) >= 0:
                return f"{name}: {statistic}: expected a wider limit than '{best.text}' above it, found '{worse.text}'"
    if bands and bands[0].median.unit != bands[0].p95.unit:
        first = bands[0]
        return f"{first.name}: expected one unit for both figures, found '{first.median.text}' and '{first.p95.text}'"
    return ""
