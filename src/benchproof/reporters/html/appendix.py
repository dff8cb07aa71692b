"""How it was computed and how to check it; and the envelope: facts, hashes, command lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from benchproof.analysis.matrix import Report
from benchproof.markup import Markup, element, join
from benchproof.reporters import doubts, layout
from benchproof.reporters.html import parts

_Sections = Mapping[str, Mapping[str, str]]  # section -> fact -> value
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
    known = {
        each.target: report.envelopes[each.envelope] for each in report.columns if each.envelope in report.envelopes
    }
    for column in report.columns:
        if column.target not in known:
            yield parts.paragraph(f"{parts.name(column.target)}: not described, it could not be started.")
    if report.authorities:
        yield parts.paragraph("What benchmarks may do; all others nothing:")
        yield parts.items(f"{name}: {words}" for name, words in report.authorities.items())
    if known:
        yield from _facts(known)
        yield _hashes(report, known)


def _facts(known: Mapping[str, _Sections]) -> Iterator[Markup]:
    """A fact that is the same for all is said once."""
    ordered = dict.fromkeys(name for sections in known.values() for name in _names(sections))
    same = {name for name in ordered if len({_fact(sections, name) for sections in known.values()}) == 1}
    if len(same) < len(ordered):
        rows = (_row(known, name) for name in ordered if name not in same)
        yield parts.table("What differs between the targets", ("Fact", *map(parts.name, known)), rows)
    first, sections = next(iter(known.items()))
    caption = f"What is {'the same for all targets' if len(known) > 1 else f'on record of {parts.name(first)}'}"
    common = ((": ".join(name), _cut(sections[name[0]][name[1]])) for name in ordered if name in same)
    yield parts.table(caption, ("Fact", "Value"), common)


def _names(sections: _Sections) -> Iterator[tuple[str, str]]:
    yield from ((section, fact) for section, facts in sections.items() for fact in facts)


def _fact(sections: _Sections, name: tuple[str, str]) -> str | None:
    return sections.get(name[0], {}).get(name[1])


def _row(known: Mapping[str, _Sections], name: tuple[str, str]) -> tuple[str, ...]:
    values = (_fact(sections, name) for sections in known.values())
    return ": ".join(name), *("absent" if value is None else _cut(value) for value in values)


def _cut(value: str) -> str:
    return layout.cut(value, _MOST_OF_A_FACT)


def _hashes(report: Report, known: Mapping[str, _Sections]) -> Markup:
    rows = []
    for column in report.columns:
        if column.target in known:
            rows.append((parts.name(column.target), "all", element("code", column.envelope)))
            sections = report.section_hashes.get(column.envelope, {})
            rows += [(parts.name(column.target), each, element("code", digest)) for each, digest in sections.items()]
    made = parts.table("SHA-256 of each envelope and of its sections", ("Target", "Section", "Hash"), rows)
    return element("details", element("summary", "Hashes"), made)
