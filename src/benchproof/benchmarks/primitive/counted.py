"""From the instructions of many batches to one figure, and from the evidence of a result back to it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from benchproof.model import Observation

_MANY = re.compile(r"(\d{1,18})x(\d{1,6})")


def figure(batches: Mapping[int, int]) -> tuple[int, str]:
    """Instructions of the batch that stands for all (length -> how many batches), and which one that is.

    Batches differ where a timer tick fell into one. It is the length of most batches, or, where no two in three
    agree, of the shortest; 0 without any.
    """
    batch, at_mode = max(batches.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
    if at_mode * 3 >= sum(batches.values()) * 2:
        return batch, "mode"
    return min(batches), "minimum"


def evidence(batches: Mapping[int, int]) -> dict[str, str]:
    """All batches, shortest first, and what was made of them."""
    chosen, statistic = figure(batches)
    return {
        "clock": "instructions",
        "statistic": statistic,
        "batches": str(sum(batches.values())),
        "batches_at_figure": str(batches.get(chosen, 0)),
        "batch_instructions": " ".join(f"{length}x{count}" for length, count in sorted(batches.items())),
    }


def violations(observation: Observation) -> Iterator[str]:
    """A count is compared with a second one when it is made, not with a clock; here with the batches behind it."""
    words = observation.evidence.get("batch_instructions", "").split()
    found = [_MANY.fullmatch(word) for word in words]
    batches = Counter({int(each[1]): int(each[2]) for each in found if each})
    if not observation.measurements or min(batches, default=0) < 1 or not all(found):
        yield "no batch was counted, or one took no instruction"
        return
    (measurement,) = observation.measurements
    expected = figure(batches)[0] / measurement.iterations
    if measurement.samples != (expected,):
        yield f"the figure is not that of its batches: expected {expected}, found {measurement.samples}"
