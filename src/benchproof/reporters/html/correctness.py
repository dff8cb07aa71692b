"""Which answers were checked and right, which are missing and why, and what would bring them."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.matrix import Cell, Report
from benchproof.markup import Markup, element, join
from benchproof.reporters import doubts, layout
from benchproof.reporters.html import parts

_MEANINGS = {
    "passed": "checked by an oracle and right: the only ones with a figure that counts",
    "failed": "a wrong answer, a crash or a time-out: the target's fault",
    "unsupported": "the operation, or the means to measure it, is not there: nobody's fault",
    "invalid": "measured under conditions too bad to be believed: the laboratory's fault",
    "unverified": "stated without evidence: shown, in no ratio and in no gate",
    "missing": "not run",
}
_WORST_FIRST = ("failed", "invalid", "missing", "unverified", "unsupported")
_MOST_NAMES = 20


def section(report: Report) -> Iterator[Markup]:
    """Coverage by status, the smokes, and every answer that is missing."""
    counts = {status: count for status, count in report.statuses.items() if count}
    if counts:
        rows = [
            (parts.status(status), f"{count} of {report.total}", _MEANINGS.get(status, ""))
            for status, count in counts.items()
        ]
        caption = f"Coverage: {layout.coverage(report)}"
        yield parts.table(caption, ("Status", "Cells", "What it means"), rows)
    yield from _smokes(report)
    missing = list(_missing(report))
    if missing:
        heads = ("Status", "Target", "Benchmarks", "Why, and the way out", "Logs")
        yield parts.table("What has no verified figure, and why", heads, missing)
    elif report.total:
        yield parts.paragraph("Every answer was checked and right.")


def _smokes(report: Report) -> Iterator[Markup]:
    found = tuple(doubts.smokes(report))
    if found:
        yield parts.paragraph(f"Tier 0, before anything was measured, passed: {', '.join(said for said, _ in found)}.")
        yield parts.items(
            f"{said.rpartition(' ')[0]}: {each}; its figures are not kept"
            for said, troubles in found
            for each in troubles
        )


def _missing(report: Report) -> Iterator[tuple[str, ...]]:
    """What ended for one reason stands in one line."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[tuple[Markup, Cell]]] = {}
    for row in report.rows:
        for target, cell in row.cells.items():
            if cell.status != "passed":
                link = element(
                    "a", parts.name(layout.question(report, row)), href=f"#{parts.anchor(report, row, target)}"
                )
                groups.setdefault((cell.status, target, cell.notes), []).append((link, cell))
    for (status, target, notes), found in sorted(groups.items(), key=lambda each: _rank(each[0][0])):
        links = [link for link, _ in found[:_MOST_NAMES]]
        more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
        logs = dict.fromkeys(path for _, cell in found for path in cell.logs)
        yield (
            parts.status(status),
            parts.name(layout.shown_target(report, target)),
            join((join(links, ", "), more)),
            "; ".join(layout.cut(note, layout.MOST_OF_A_NOTE) for note in notes),
            join([parts.file_link(report, path) for path in list(logs)[:3]], ", "),
        )


def _rank(status: str) -> int:
    return _WORST_FIRST.index(status) if status in _WORST_FIRST else 0
