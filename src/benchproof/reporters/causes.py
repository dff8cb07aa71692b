"""The words of stages and likely causes: where the time of a call goes, and what often stands behind what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchproof.analysis.hints import Breakdown, Hint
from benchproof.analysis.matrix import Report
from benchproof.reporters import layout

TITLE = "where the time goes, and likely causes"
LEGEND = (
    "Stages are medians, by the word of whoever made the call and the service; a rest is what no stage has. "
    "A likely cause is no finding: it often stands behind what was seen, which is told with it."
)


def is_there(report: Report) -> bool:
    """Whether there is anything to tell."""
    return bool(report.stages or report.hints)


def lines(report: Report) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each answer by name: its stages in a line, then each likely cause with what was seen and what to do."""
    found: dict[str, list[str]] = {}
    for each in report.stages:
        found.setdefault(_name(report, each.target, each.benchmark, each.parameters), []).append(_stages(each))
    for hint in report.hints:
        told = _cause(hint)
        found.setdefault(_name(report, hint.target, hint.benchmark, hint.parameters), []).append(told)
    yield from ((name, tuple(told)) for name, told in found.items())


def _name(report: Report, target: str, benchmark: str, parameters: Mapping[str, object]) -> str:
    asked = {layout.question(report, row): row for row in report.rows if row.benchmark == benchmark}
    others = [row for row in asked.values() if row.parameters != parameters]
    row = next((row for row in asked.values() if row.parameters == parameters), None)
    differing = f" {layout.parameters(row, others)}" if row is not None and others else ""
    return f"{layout.shown_target(report, target)}: {benchmark}{differing}"


def _stages(each: Breakdown) -> str:
    whole = layout.amount(each.whole_ns, "ns")
    parts = ", ".join(f"{stage.name} {layout.amount(stage.ns, 'ns')} ({stage.share:.0%})" for stage in each.stages)
    return f"{whole} = {parts}"


def _cause(hint: Hint) -> str:
    return f"likely ({hint.rule}): {hint.cause}. Seen: {'; '.join(hint.seen)}. To do: {hint.remedy}"
