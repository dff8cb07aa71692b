"""What does each profile of a matrix cost? Every target of it against every other, and all against one, no total.

The pairs are those of one run, measured in the same blocks. A claim of faster or slower holds among all metrics of its
pair after Benjamini and Hochberg, as everywhere (decision 9): the pair is what its reader asks about. Between two
profiles that differ in more than was declared nothing is compared, and that is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from benchproof.analysis.compare import Comparison
from benchproof.model import Frozen, Unit

MOST = 16  # targets of a matrix of which every pair is compared; of more, those with the base alone


class Metric(Frozen, frozen=True):
    """One row of every table."""

    benchmark: str
    parameters: dict[str, object]
    metric: str
    unit: Unit | None


class Pair(Frozen, frozen=True, kw_only=True):
    """`new / base` of every metric of the matrix, in their order; None: neither of the two was asked."""

    base: str
    new: str
    context: tuple[str, ...]  # the facts that forbid a ratio
    comparisons: tuple[Comparison | None, ...]


class Profiles(Frozen, frozen=True, kw_only=True):
    """The targets of one matrix, the base first. `pairs`: each of them with all that come after it."""

    name: str
    base: str
    targets: tuple[str, ...]
    metrics: tuple[Metric, ...]
    pairs: tuple[Pair, ...]
    emulated: bool = False  # by TCG: a ratio tells of these profiles alone, a figure of nothing

    @property
    def costs(self) -> tuple[Pair, ...]:
        """Each of the others against the base."""
        return tuple(pair for pair in self.pairs if pair.base == self.base)


class Compared(Protocol):
    """One metric of a comparison of two targets."""

    @property
    def benchmark(self) -> str: ...
    @property
    def parameters(self) -> dict[str, object]: ...
    @property
    def metric(self) -> str: ...
    @property
    def unit(self) -> Unit | None: ...
    @property
    def comparison(self) -> Comparison: ...


class Versus(Protocol):
    """A comparison of two targets."""

    @property
    def context(self) -> tuple[str, ...]: ...
    @property
    def rows(self) -> Sequence[Compared]: ...


def of(
    name: str, base: str, targets: Sequence[str], between: Callable[[str, str], Versus], *, emulated: bool
) -> Profiles:
    """The tables of one matrix. `between`: base and new to their comparison."""
    ordered = (base, *(each for each in targets if each != base))
    found = {pair: between(*pair) for pair in _pairs(ordered)}
    metrics: dict[tuple[str, str, str], Metric] = {}
    for versus in found.values():
        for row in versus.rows:
            metrics.setdefault(_key(row), Metric(row.benchmark, row.parameters, row.metric, row.unit))
    return Profiles(
        name=name,
        base=base,
        targets=ordered,
        metrics=tuple(metrics.values()),
        pairs=tuple(_pair(one, other, versus, list(metrics)) for (one, other), versus in found.items()),
        emulated=emulated,
    )


def _pairs(ordered: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(ordered) <= MOST:
        yield from itertools.combinations(ordered, 2)
    else:
        yield from ((ordered[0], each) for each in ordered[1:])


def _key(row: Compared) -> tuple[str, str, str]:
    return row.benchmark, repr(sorted(row.parameters.items())), row.metric


def _pair(base: str, new: str, versus: Versus, keys: Sequence[tuple[str, str, str]]) -> Pair:
    rows = {_key(row): row.comparison for row in versus.rows}
    return Pair(base=base, new=new, context=versus.context, comparisons=tuple(rows.get(key) for key in keys))
