"""The report as JUnit XML, for a CI system: a test case for each gate, and one for each benchmark on each target.

Not met and failed are failures; undecided, invalid, missing and unverified are errors: there is no answer. Unsupported,
review and off are skipped, with the reason. Figures are in the text, not in `time`, which is that of the measuring.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, assert_never
from xml.etree import ElementTree as ET

from benchproof.analysis.gate import GateVerdict
from benchproof.analysis.matrix import Report, Row
from benchproof.errors import one_line
from benchproof.reporters import layout, verdicts

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Case(NamedTuple):
    """`kind` is the element that says how it ended: failure, error, skipped; empty if well."""

    suite: str
    name: str
    kind: str
    word: str
    said: str
    duration_ns: int = 0


def render(report: Report) -> str:
    """Two suites, `gates` and `cases`, in the order of the report."""
    root = ET.Element("testsuites")
    gates = [_of_gate(each, report) for each in report.gates]
    for number, (name, cases, said) in enumerate(
        (
            ("gates", gates, verdicts.counts(report.gates)),
            ("cases", _cases(report), "\n".join((layout.coverage(report), *_known(report)))),
        )
    ):
        _suite(root, report, number, name, cases, said)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, report: Report, number: int, name: str, cases: Sequence[_Case], said: str) -> None:
    counts = {kind: sum(case.kind == kind for case in cases) for kind in ("failure", "error", "skipped")}
    suite = ET.SubElement(root, "testsuite", {"name": name, "package": "benchproof", "id": str(number)})
    suite.attrib |= {"tests": str(len(cases)), "failures": str(counts["failure"]), "errors": str(counts["error"])}
    suite.attrib |= {"skipped": str(counts["skipped"]), "hostname": "localhost"} | _timestamp(report)
    suite.set("time", _seconds(sum(case.duration_ns for case in cases)))
    properties = ET.SubElement(suite, "properties")
    for key, value in {"run_id": report.run_id, "benchproof": report.version, **report.labels}.items():
        ET.SubElement(properties, "property", {"name": _text(key) or "?", "value": _text(value)})
    for case in cases:
        _case(suite, case)
    ET.SubElement(suite, "system-out").text = "\n".join(_text(line) for line in said.splitlines())
    ET.SubElement(suite, "system-err")


def _case(suite: ET.Element, case: _Case) -> None:
    known = {
        "name": _text(case.name),
        "classname": _text(f"benchproof.{case.suite}"),
        "time": _seconds(case.duration_ns),
    }
    found = ET.SubElement(suite, "testcase", known)
    if case.kind:
        known = {"message": _text(case.said)} | ({"type": case.word} if case.kind != "skipped" else {})
        ET.SubElement(found, case.kind, known).text = _text(case.said)


def _of_gate(verdict: GateVerdict, report: Report) -> _Case:
    name, target, *_ = verdicts.texts(verdict, report)
    said = verdicts.line(verdict, report)
    return _Case("gates", f"{name} on {target}", _kind_of_gate(verdict), verdict.verdict, said)


def _kind_of_gate(verdict: GateVerdict) -> str:
    match verdict.verdict:
        case "met":
            return ""
        case "not met":
            return "failure"
        case "undecided":
            return "error"
        case "review" | "off":
            return "skipped"
    assert_never(verdict.verdict)


def _cases(report: Report) -> list[_Case]:
    """A benchmark with several metrics is one case on each target: they end alike."""
    found: dict[tuple[str, str], _Case] = {}
    for row in report.rows:
        for target, cell in row.cells.items():
            name = _name(report, row)
            kind = {"passed": "", "failed": "failure", "unsupported": "skipped"}.get(cell.status, "error")
            said = "; ".join([cell.status, *cell.notes])
            shown = layout.shown_target(report, target)
            case = _Case("cases", f"{name} on {shown}", kind, cell.status, said, cell.duration_ns)
            found.setdefault((name, target), case)
    return list(found.values())


def _known(report: Report) -> Iterator[str]:
    """What a case that passed has no place for: labels, and what a system really times in place of the benchmark's."""
    yield from (one_line(each) for each in layout.labels(report))
    for row in report.rows:
        for target, cell in row.cells.items():
            if cell.difference:
                words = f"{_name(report, row)} on {target}: {cell.mechanism}; differs: {cell.difference}"
                yield one_line(words)


def _name(report: Report, row: Row) -> str:
    same = [other for other in report.rows if other.benchmark == row.benchmark]
    return f"{row.benchmark} {layout.parameters(row, same)}".rstrip() + (
        layout.purpose(row.parameters) + layout.rules(report, row.benchmark)
    )


def _timestamp(report: Report) -> dict[str, str]:
    """In UTC and without a zone, as the schema wants it; absent where the run does not say."""
    try:
        created = datetime.fromisoformat(report.created_at)
    except ValueError:
        return {}
    return {"timestamp": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")}


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / 1e9:.9f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    """One line without what XML 1.0 forbids or a terminal obeys."""
    return _NOT_IN_XML.sub("?", one_line(text))
