"""What a stranger reads first: what was compared and under which envelope, what came out, how sure, what is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from benchproof.analysis.matrix import Column, Report
from benchproof.markup import Markup, element, join
from benchproof.reporters import layout
from benchproof.reporters.html import parts

_HOST = ("cpu", "cpus", "memory", "kernel", "distribution")
_KIB = re.compile(r"(\d{1,15}) kB", re.ASCII)  # as /proc/meminfo says it
_MOST_NAMES = 6


def subject(report: Report) -> str:
    """What the report is about, as a title."""
    compared = [column for column in report.columns if _is_compared(column)]
    references = dict.fromkeys(column.reference for column in compared)
    if not compared:
        return _listed([column.target for column in report.columns])
    return f"{_listed([column.target for column in compared])} against {_listed(list(references))}"


def header(report: Report) -> Markup:
    """The head of the page."""
    settings = f"Run {report.run_id}, {report.created_at}; {layout.settings(report)}"
    said = "; ".join(f"{key} {value}" for key, value in report.labels.items())
    return element(
        "header",
        element("h1", subject(report)),
        parts.paragraph(settings + (f"; {said}" if said else "") + ".", class_="quiet small"),
    )


def footer(report: Report) -> str:
    """By whom, and that there is no total."""
    return f"Made by benchproof {report.version} from run {report.run_id}. There is no total score."


def section(report: Report) -> Iterator[Markup]:
    """The paragraph, the warnings, and what came out."""
    yield parts.paragraph(_told(report))
    if warned := [*layout.labels(report), *_injected(report), *report.warnings]:
        yield element(
            "aside", element("strong", "Before you read a figure"), parts.items(warned), aria_label="Warnings"
        )
    yield parts.named_lists(_answers(report))


def _told(report: Report) -> str:
    cases = len({(row.benchmark, str(row.parameters)) for row in report.rows})
    targets = "one target" if len(report.columns) == 1 else f"{len(report.columns)} targets"
    asking = f"{targets[0].upper()}{targets[1:]} {'was' if len(report.columns) == 1 else 'were'} asked"
    asked = "one question" if cases == 1 else f"{cases} questions"
    if not report.vary:
        return f"What another tool recorded of {targets}, {asked} each. No oracle saw the work; nothing is compared."
    times = f"each {report.blocks} times" if report.blocks > 1 else "once"
    varied = ", ".join(report.vary)
    return (
        f"{asking} {asked}, {times}, in random order block by block, and every answer was checked before its figure "
        f"counted. Declared to differ between targets: {varied}; what differs in more is shown as context and not "
        f"compared. It ran on {_machine(report)}."
    )


def _machine(report: Report) -> str:
    hosts = {tuple(facts.get("host", {}).items()): facts.get("host", {}) for facts in report.envelopes.values()}
    if len(hosts) != 1:
        return "machines that the envelope names" if hosts else "a machine that nobody described"
    (host,) = hosts.values()
    return _described(host) or "a machine of which nothing is on record"


def _described(host: Mapping[str, str]) -> str:
    said = {"cpus": "{} CPUs", "memory": "{} of memory"}
    facts = {key: layout.cut(host[key], layout.MOST_OF_A_NAME) for key in _HOST if host.get(key)}
    if found := _KIB.fullmatch(facts.get("memory", "")):
        facts["memory"] = layout.amount(int(found[1]) * 1024.0, "bytes")
    return ", ".join(said.get(key, "{}").replace("{}", fact) for key, fact in facts.items())


def _injected(report: Report) -> Iterator[str]:
    named = dict.fromkeys(row.benchmark + words for row in report.rows if (words := layout.purpose(row.parameters)))
    if named:
        yield f"slower on purpose: {', '.join(named)}"


def _answers(report: Report) -> Iterator[tuple[str, str]]:
    for column in report.columns:
        if _is_compared(column):
            yield (
                f"{parts.name(layout.labelled(report, column))} against {parts.name(column.reference)}",
                _verdicts(report, column),
            )
        elif column.context:
            yield f"{parts.name(layout.labelled(report, column))}: context", _context(column)
    if any(_is_compared(column) and not column.exact for column in report.columns):
        confidence, margin = 1 - 2 * report.design.alpha, report.design.margin
        said = (
            f"Faster or slower is said only where the whole {confidence:.0%} interval of the ratio lies beyond a "
            f"margin of {margin:.3g} around 1, and holds among all metrics of the pair; same where it lies within. "
            "Undecided: no difference could be shown, which is not equality."
        )
        yield "How sure", said
    yield "Answered", join((f"{report.passed} of {report.total} cells have a verified figure. ", _missing(report)))


def _is_compared(column: Column) -> bool:
    return column.target != column.reference and not column.context


def _verdicts(report: Report, column: Column) -> Markup:
    found = [row.cells[column.target].comparison for row in report.rows if column.target in row.cells]
    there = [comparison for comparison in found if comparison is not None]
    counts = Counter(comparison.verdict for comparison in there)
    if not there:
        return element("span", "no metric of which both have a verified figure")
    by_verdict = {comparison.verdict: comparison for comparison in there}
    said = [join((parts.verdict(by_verdict[word]), f" in {count}")) for word, count in counts.most_common()]
    return join((join(said, ", "), f" of {len(there)} metrics"))


def _context(column: Column) -> str:
    more = f"; and {len(column.context) - 1} more facts" if len(column.context) > 1 else ""
    return f"shown, not compared with {column.reference}: {layout.cut(column.context[0], layout.MOST_OF_A_NOTE)}{more}"


def _missing(report: Report) -> Markup:
    others = {status: count for status, count in report.statuses.items() if status != "passed"}
    if not others:
        return element("span", "Nothing is missing." if report.passed == report.total else "")
    said = [join((f"{count} ", parts.status(status))) for status, count in others.items()]
    why = element("a", "why, and the way out", href="#correctness")
    return join((join(said, ", "), ": ", why, "."))


def _listed(names: list[str]) -> str:
    shown = [parts.name(name) for name in names[:_MOST_NAMES]]
    return ", ".join(shown) + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
