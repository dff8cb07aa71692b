"""Where the instructions of one operation go: by function, for one system or as the difference of two. Pure.

Counts are whole instructions of one batch until the end; only then are they divided by the operations in it. Functions
of two kernels are the same if their names are, apart from what compilers append to the parts of a split function.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

from benchproof.model import Frozen

DEVIATION_LIMIT = 0.01  # of the sum of a profile from exact mode's figure
_PART = re.compile(r"(?:\.(?:constprop|isra|part|llvm|lto_priv|cfi|cold|clone)(?:\.\d+)*|\.\d+)+(?= |$)")


class Row(Frozen, frozen=True):
    """One function: `instructions` of it in one operation."""

    side: str  # kernel | user
    symbol: str
    instructions: float


class Profile(Frozen, frozen=True, kw_only=True):
    """One batch of one benchmark on one target. The rows add up to `total`: nothing is left out."""

    target: str
    system: str  # the kernel, in its own words
    operations: int  # in the batch
    batch: int  # which one of the run was counted, warm-ups included, from 0
    rows: tuple[Row, ...]  # most instructions first
    total: float
    figure: float  # what exact mode says of this benchmark on this target
    statistic: str  # of batches: mode | minimum

    @property
    def deviation(self) -> float:
        """How far the total is from exact mode's figure, as a share of that."""
        return self.total / self.figure - 1


class Change(Frozen, frozen=True):
    """One function in two profiles; None where it has no instruction."""

    side: str
    symbol: str
    base: float | None
    new: float | None
    difference: float


class Explanation(Frozen, frozen=True, kw_only=True):
    """The profile of one target, or of two and what differs between them."""

    benchmark: str
    unit: str = "instructions per operation"
    profiles: tuple[Profile, ...]
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every sum is what exact mode says."""
        return all(abs(each.deviation) <= DEVIATION_LIMIT for each in self.profiles)


def fold(name: str) -> str:
    """The name of a function without what compilers append: .constprop.0, .isra.0, .part.0, .cold, .llvm.123."""
    return _PART.sub("", name) if not name.startswith("[") else name


def by_function(counts: Mapping[int, int], name_of: Callable[[int], tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Instructions by (side, folded name)."""
    found: Counter[tuple[str, str]] = Counter()
    for address, count in counts.items():
        side, name = name_of(address)
        found[side, fold(name)] += count
    return dict(found)


def rows(functions: Mapping[tuple[str, str], int], operations: int) -> tuple[Row, ...]:
    """Most instructions first, then by name."""
    order = sorted(functions.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Row(side, symbol, count / operations) for (side, symbol), count in order)


def changes(base: Profile, new: Profile) -> tuple[Change, ...]:
    """The greatest difference first; functions that did not change come last. They add up to that of the totals."""
    of_base, of_new = ({(row.side, row.symbol): row.instructions for row in each.rows} for each in (base, new))
    found = [
        Change(side, symbol, was, now, (now or 0) - (was or 0))
        for side, symbol in of_base.keys() | of_new.keys()
        for was, now in [(of_base.get((side, symbol)), of_new.get((side, symbol)))]
    ]
    return tuple(sorted(found, key=lambda each: (-abs(each.difference), each.side, each.symbol)))
