"""What was decided and guessed from the figures: gates, targets, likely causes, profiles, and what others published."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.matrix import Report
from benchproof.markup import Markup, element
from benchproof.reporters import causes, doubts, elsewhere, goals, layout, profiles, verdicts
from benchproof.reporters.html import parts


def gates(report: Report) -> Iterator[Markup]:
    """Every gate with its figure, limit and verdict; beneath, the targets that were promised."""
    if report.gates:
        rows = []
        for each in report.gates:
            texts = verdicts.texts(each, report)
            badge = parts.gate(each.verdict, texts[6])
            rows.append((parts.name(texts[0]), parts.name(texts[1]), *texts[2:6], badge, texts[7]))
        yield parts.table(f"Gates: {verdicts.counts(report.gates)}", verdicts.HEAD, rows)
    if goals.of(report):
        yield parts.table("Targets by priority", goals.HEAD, goals.texts(report))
        yield parts.paragraph(goals.LEGEND, class_="quiet small")


def causes_section(report: Report) -> Iterator[Markup]:
    """Stages of calls, and hints with what was seen."""
    if not causes.is_there(report):
        return
    for name, told in causes.lines(report):
        yield element("h3", parts.name(name))
        yield parts.items(told)
    yield parts.paragraph(causes.LEGEND, class_="quiet small")


def profiles_section(report: Report) -> Iterator[Markup]:
    """The profiles of a matrix of targets, each against the base and against each other."""
    for table in (*profiles.costs(report), *profiles.every(report)):
        title = table.title[0].upper() + table.title[1:]
        if table.lines:
            yield parts.table(title, table.heads, table.lines)
        else:
            yield parts.paragraph(f"{title}.")
        yield parts.items(table.remarks)
    if report.profiles:
        yield parts.paragraph(profiles.LEGEND, class_="quiet small")


def published(report: Report) -> Iterator[Markup]:
    """What others say of other systems."""
    if report.published:
        yield parts.table("In no ratio and in no gate", elsewhere.HEAD, elsewhere.texts(report))
        yield parts.items(elsewhere.sources(report))


def notes(report: Report) -> Iterator[Markup]:
    """Every note by its number, why a target is context, and what limits a figure."""
    told = [f"{target} is context: {reason}" for target, reason in doubts.contexts(report)]
    told += doubts.caveats(report)
    if told:
        yield parts.items(told)
    numbered = [element("li", f"[{number}] {note}", id=f"n{number}") for note, number in layout.notes(report).items()]
    if numbered:
        yield element("ul", *numbered)
