"""How far is each figure from what was promised for it? The words of a table of targets, beside the verdict of a gate.

A gate says whether the promise is kept; the status says whether that can be relied upon. It never makes a verdict
better: `Near target` may be on either side of the limit, and only `PASS` is clearly on the right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from benchproof.analysis import quantiles
from benchproof.analysis.limit import Limit

Priority = Literal["Critical", "High", "Medium", "Low"]
Status = Literal["PASS", "Near target", "Variable", "Missed", "Not measured"]
NEAR = 0.1  # of the limit, on either side


def status(limit: Limit, figure: float, each: Sequence[float]) -> Status:
    """Of a verified figure; `each`: what the invocations give alone. The first rule that fits decides.

    Variable: the 95 % interval of the median of the invocations holds values on both sides of the limit; where they are
    too few for an interval, the invocations themselves do.
    """
    interval = quantiles.median(each)
    ends = (interval.low, interval.high) if interval is not None else (min(each), max(each))
    if len({limit.holds(end) for end in ends}) > 1:
        return "Variable"
    if abs(figure - limit.bound) <= NEAR * limit.bound:
        return "Near target"
    return "PASS" if limit.holds(figure) else "Missed"
