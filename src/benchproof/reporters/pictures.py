"""Small pictures for a line of text: a ratio's interval on a log scale, and values in the order of their blocks.

They say nothing that does not stand beside them in figures, and have one scale for a whole table: a bar that is longer
than another is wider. A run of values is drawn in steps of its median, not from its least to its most: steady is flat.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Cell
from benchproof.analysis.stats import Interval

_LEVELS = "▁▂▃▄▅▆▇█"
_MIDDLE = 3  # of them: the median
_STEP = 0.05
_MOST_BLOCKS = 24  # characters; of more blocks, each character is that which is farthest off
_FARTHEST = 1000.0  # times faster or slower that the scale reaches to
_WHOLE = 10  # times, from which on an end of the scale is told without digits behind the point
_BARS = "├──●──┤ the ratio with its interval, on one log scale; │ is 1x, ┊ the margin. "
_SPARKS = (
    f"{_LEVELS} one invocation after the other: {_LEVELS[_MIDDLE]} is the median, a step {_STEP:.0%}, "
    "the ends are so far or farther."
)


def legend(comparisons: Iterable[Comparison | None]) -> str:
    """How to read what is drawn of these."""
    return f"Drawn: {_BARS * any(each is not None and each.ratio is not None for each in comparisons)}{_SPARKS}"


class Scale(NamedTuple):
    """A log scale of ratios from `low` to `high`, `width` characters wide."""

    low: float
    high: float
    margin: float
    width: int

    def at(self, ratio: float) -> int:
        """The place of a ratio; beyond the ends, the end."""
        share = math.log(ratio / self.low) / math.log(self.high / self.low) if ratio > 0 else 0
        return min(max(round(share * (self.width - 1)), 0), self.width - 1)


def scale_of(comparisons: Iterable[Comparison | None], width: int) -> Scale | None:
    """The scale on which all of them can be drawn, 1x and the margin too; None where there is nothing to draw."""
    known = [each for each in comparisons if each is not None and each.ratio is not None]
    if not known or width < 1:
        return None
    margin = max(each.margin for each in known)
    ends = [end for each in known if each.ratio for end in (each.ratio.low, each.ratio.high)]
    low, high = min(*ends, (1 + margin) ** -2, 1 / 1.05), max(*ends, (1 + margin) ** 2, 1.05)
    return Scale(max(low, 1 / _FARTHEST), min(high, _FARTHEST), margin, width)


def bar(interval: Interval, scale: Scale) -> str:
    """The interval among the marks of the scale; an end that lies beyond it is an arrow."""
    drawn = [" "] * scale.width
    for ratio, mark in ((1 / (1 + scale.margin), "┊"), (1 + scale.margin, "┊"), (1.0, "│")):
        drawn[scale.at(ratio)] = mark
    first, last = scale.at(interval.low), scale.at(interval.high)
    drawn[first : last + 1] = ("┼" if mark == "│" else "─" for mark in drawn[first : last + 1])
    drawn[first] = "├" if interval.low >= scale.low * 0.999 else "\u2039"
    drawn[last] = "┤" if interval.high <= scale.high * 1.001 else "\u203a"
    drawn[scale.at(interval.estimate)] = "●"
    return "".join(drawn)


def axis(scale: Scale) -> str:
    """What stands above the bars: 1x, and both ends as far as there is room."""
    at = min(scale.at(1.0), scale.width - 2)
    left, right = (f"{end:.0f}x" if end >= _WHOLE else f"{end:.2g}x" for end in (scale.low, scale.high))
    before = left if len(left) < at else ""
    after = right if len(right) < scale.width - at - 2 else ""
    return f"{before:{at}}1x{after:>{scale.width - at - 2}}"


def spark(cell: Cell) -> str:
    """One character an invocation, in the order of the blocks; empty without two of them, or without a median."""
    if not cell.median or len(cell.values) < 2:
        return ""
    steps = [round((value / cell.median - 1) / _STEP) for value in cell.values]
    return "".join(_LEVELS[min(max(_MIDDLE + step, 0), len(_LEVELS) - 1)] for step in _thinned(steps))


def _thinned(steps: Sequence[int]) -> list[int]:
    size = math.ceil(len(steps) / _MOST_BLOCKS)
    return [max(steps[at : at + size], key=abs) for at in range(0, len(steps), size)]
