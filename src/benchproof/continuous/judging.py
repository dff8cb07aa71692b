"""May the head be merged? From the sealed run of base and head: the gates of a policy or plan, else nothing slower.

Without a gate, what is shown to be worse by more than the margin is a bad answer, and so is what the head lost; a run
that decides nothing is no answer. With gates they alone decide, and any wrong answer of the head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from benchproof import gating
from benchproof.analysis.compare import DECIDED, Comparison
from benchproof.analysis.matrix import Cell, Report
from benchproof.continuous.sides import gates_on_heads
from benchproof.errors import UsageError
from benchproof.policy import Policy
from benchproof.store.bundle import Run


def judged(run: Run, policy: Policy, heads: Mapping[str, str], *, gone: tuple[str, ...]) -> Report:
    """The report of the run with the verdicts of a policy that was written for any run. Raises UsageError.

    `gone`: benchmarks and targets that were left out on purpose, and have not disappeared.
    """
    gates = gates_on_heads(policy.gates, heads, gone)
    own = msgspec.structs.replace(policy, gates=gates, baseline=None)
    return gating.judged(run, own, baseline=None, find=_no_other_run).report


def _no_other_run(name: str) -> Run:
    raise UsageError(f"baseline '{name}': `benchproof ci` holds the head against the base of the same run alone")


def status(found: Report) -> int:
    """The exit status: 0 good answer, 1 bad answer, 3 no answer."""
    pairs = list(_pairs(found))
    if any(head.status == "failed" for _, head in pairs):
        return 1
    if found.gates:
        return gating.status(found.gates) or (0 if any(head.status == "passed" for _, head in pairs) else 3)
    compared = [head.comparison for _, head in pairs if head.comparison is not None]
    if any(is_worse(each, found) for each in compared) or any(_is_lost(*pair) for pair in pairs):
        return 1
    return 0 if any(each.verdict in DECIDED for each in compared) else 3


def is_worse(comparison: Comparison, found: Report) -> bool:
    """Shown to be, by more than the margin: a count may differ by one, and that is a fact, but no regression yet."""
    if comparison.verdict != "slower":
        return False
    margin, ratio = 1 + found.design.margin, comparison.ratio
    is_count = comparison.difference is not None and ratio is not None
    return not is_count or ratio is None or not 1 / margin <= ratio.estimate <= margin


def _is_lost(base: Cell, head: Cell) -> bool:
    """What the laboratory spoiled is not lost."""
    return base.status == "passed" and head.status in {"unsupported", "missing"}


def _pairs(found: Report) -> Iterator[tuple[Cell, Cell]]:
    for column in found.columns:
        for row in found.rows:
            if column.target != column.reference and column.target in row.cells and column.reference in row.cells:
                yield row.cells[column.reference], row.cells[column.target]
