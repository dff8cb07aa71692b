"""How it was computed and how to check it; and the envelope: facts, hashes, command lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from benchproof.analysis.matrix import Report
from benchproof.markup import Markup, element, join
from benchproof.reporters import doubts, layout
from benchproof.reporters.html import parts

_MOST_OF_A_FACT = 2000
_MOST_ASKED = 8  # benchmarks of a run that was not of a whole plan


def method(report: Report) -> Iterator[Markup]:
    """The method in words, and the commands."""
    if not all(column.exact for column in report.columns):
        yield parts.paragraph(report.method)
    yield parts.paragraph("Beside the folder runs, these compute all of it anew and show it again:")
    run = shlex.quote(f"runs/{parts.name(report.run_id)}")  # it is copied into a shell, and a bundle says what it wants
    commands = [f"benchproof verify {run}", f"benchproof report {run} --format html", *_again(report)]
    yield element("pre", element("code", join([element("span", each) for each in commands], Markup("\n"))))
    files = (*doubts.FILES, *(["smokes.jsonl"] if report.smokes else [])) if report.vary else ("results.jsonl",)
    yield parts.paragraph("Raw files: ", join([parts.file_link(report, name) for name in files], ", "), ".")


def _again(report: Report) -> Iterator[str]:
    """What asks the same questions of the same targets in the same order; which plan it was is in the manifest."""
    benchmarks = tuple(dict.fromkeys(parts.name(row.benchmark) for row in report.rows))
    if not report.vary or any(column.exact for column in report.columns):
        return
    targets = shlex.quote(",".join(parts.name(column.target) for column in report.columns))
    asked = [f"-b {shlex.quote(each)}" for each in benchmarks] if len(benchmarks) <= _MOST_ASKED else []
    command = f"benchproof run --seed {report.seed} --blocks {report.blocks} --targets {targets}"
    yield " ".join([command, *asked, "  # and --plan, where it was not the default one: manifest.json has it"])


def envelope(report: Report) -> Iterator[Markup]:
    """What the targets differ in, what they have in common, and the hashes of both."""
    described = {column.target: report.envelopes.get(column.envelope) for column in report.columns}
    known = {target: facts for target, facts in described.items() if facts is not None}
    for target in described.keys() - known.keys():
        yield parts.paragraph(f"{parts.name(target)}: not described, it could not be started.")
    if report.authorities:
        yield parts.paragraph("What benchmarks may do; all others nothing:")
        yield parts.items(f"{name}: {words}" for name, words in report.authorities.items())
    if not known:
        return
    names = {(section, fact) for facts in known.values() for section, some in facts.items() for fact in some}
    order = [name for facts in known.values() for name in _names(facts) if name in names]
    ordered = list(dict.fromkeys(order))
    same = [name for name in ordered if len({_fact(facts, name) for facts in known.values()}) == 1]
    if len(same) < len(ordered):
        rows = (_row(known, name) for name in ordered if name not in same)
        yield parts.table("What differs between the targets", ("Fact", *map(parts.name, known)), rows)
    shown = next(iter(known.values()))
    common = ((f"{section}: {fact}", _cut(shown[section][fact])) for section, fact in same)
    caption = (
        "What is the same for all targets"
        if len(known) > 1
        else f"What is on record of {parts.name(next(iter(known)))}"
    )
    yield parts.table(caption, ("Fact", "Value"), common)
    yield from _hashes(report, known)


def _names(facts: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    yield from ((section, fact) for section, some in facts.items() for fact in some)


def _fact(facts: Mapping[str, Mapping[str, str]], name: tuple[str, str]) -> str | None:
    return facts.get(name[0], {}).get(name[1])


def _row(known: Mapping[str, Mapping[str, Mapping[str, str]]], name: tuple[str, str]) -> tuple[str, ...]:
    values = (_fact(facts, name) for facts in known.values())
    return f"{name[0]}: {name[1]}", *("absent" if value is None else _cut(value) for value in values)


def _cut(value: str) -> str:
    return layout.cut(value, _MOST_OF_A_FACT)


def _hashes(report: Report, known: Mapping[str, object]) -> Iterator[Markup]:
    rows = []
    for column in report.columns:
        if column.target in known:
            rows.append((parts.name(column.target), "all", parts.code(column.envelope)))
            sections = report.section_hashes.get(column.envelope, {})
            rows += [(parts.name(column.target), section, parts.code(digest)) for section, digest in sections.items()]
    made = parts.table("SHA-256 of each envelope and of its sections", ("Target", "Section", "Hash"), rows)
    yield element("details", element("summary", "Hashes"), made)
