"""Which answers were checked and right, which are missing and why, and what would bring them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from benchproof.analysis.matrix import Report
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
_MOST_NAMES = 20
_MOST_LOGS = 3


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
        heads = ("Status", "Targets", "Benchmarks", "Why, and the way out", "Logs")
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
    """What ended for one reason, on one target or on several alike, stands in one line."""
    together: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[_Ended]] = {}
    for each in _ended(report):
        together.setdefault((each.status, each.notes, tuple(each.links)), []).append(each)
    for (status, notes, benchmarks), found in sorted(together.items(), key=lambda pair: _rank(pair[0][0])):
        links = [found[0].links[name] for name in benchmarks[:_MOST_NAMES]]
        more = f" and {len(benchmarks) - _MOST_NAMES} more" if len(benchmarks) > _MOST_NAMES else ""
        logs = dict.fromkeys(path for each in found for path in each.logs)
        yield (
            parts.status(status),
            ", ".join(parts.name(layout.shown_target(report, each.target)) for each in found),
            join((join(links, ", "), more)),
            "; ".join(layout.cut(note, layout.MOST_OF_A_NOTE) for note in notes),
            join([parts.file_link(report, path) for path in list(logs)[:_MOST_LOGS]], ", "),
        )


class _Ended(NamedTuple):
    """The cells of one target that ended alike; `links`: by benchmark, to the evidence."""

    status: str
    target: str
    notes: tuple[str, ...]
    links: dict[str, Markup]
    logs: list[str]


def _ended(report: Report) -> Iterable[_Ended]:
    found: dict[tuple[str, str, tuple[str, ...]], _Ended] = {}
    for row in report.rows:
        for target, cell in row.cells.items():
            if cell.status != "passed":
                name, key = parts.name(layout.question(report, row)), (cell.status, target, cell.notes)
                ended = found.setdefault(key, _Ended(*key, links={}, logs=[]))
                ended.links[name] = element("a", name, href=f"#{parts.anchor(report, row, target)}")
                ended.logs.extend(cell.logs)
    return found.values()


def _rank(status: str) -> int:
    return doubts.WORST_FIRST.index(status) if status in doubts.WORST_FIRST else 0
