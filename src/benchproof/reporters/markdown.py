"""The report as Markdown, for a pull request or a page of documentation."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.matrix import Cell, Report, Row
from benchproof.errors import one_line
from benchproof.model import Unit
from benchproof.reporters import layout, speeds


def render(report: Report) -> str:
    """Executive table, coverage and troubles, then the configuration."""
    return (
        "\n".join(
            [
                *_head(report),
                *_tables(report),
                *_scaling(report),
                *_gates(report),
                *_correctness(report),
                *_configuration(report),
            ]
        )
        + "\n"
    )


def _head(report: Report) -> Iterator[str]:
    yield f"# benchproof run {report.run_id}"
    yield ""
    yield f"{report.created_at}, {layout.settings(report)}."
    yield f"Coverage: **{layout.coverage(report)}**. Evidence: `runs/{report.run_id}/` (`results.jsonl`, `logs/`)."
    yield ""
    for warning in (*layout.labels(report), *report.warnings):
        yield f"> **Note:** {_safe(warning)}"
        yield ">"
    yield ""


def _tables(report: Report) -> Iterator[str]:
    for part in layout.parts(report):
        yield from _table(report, part)
    if not all(column.exact for column in report.columns):
        yield report.method
        yield ""


def _table(report: Report, part: layout.Part) -> Iterator[str]:
    numbers = layout.notes(report)
    titles = [_safe(layout.title(column)) for column in part.columns]
    yield f"| benchmark | unit | {' | '.join(titles)} | status | notes |"
    yield f"| --- | --- |{' ---: |' * len(titles)} --- | --- |"
    for row in part.rows:
        divisor, unit = layout.scale(row)
        cells = [_cell(row.cells.get(column.target), divisor, row.unit) for column in part.columns]
        name = _safe(layout.question(report, row))
        yield f"| {name} | {unit} | {' | '.join(cells)} | {_status(row)} | {_marks(row, numbers)} |"
    yield ""
    yield part.legend
    yield ""


def _cell(cell: Cell | None, divisor: float, unit: Unit | None) -> str:
    if cell is None:  # it states this metric in another unit, in a row of its own
        return ""
    text = layout.figure_text(cell, divisor, unit)
    if cell.median is None:
        return f"*{text}*"
    ratio = layout.ratio_text(cell.comparison)
    return text + (f"<br>{ratio}" if ratio else "")


def _status(row: Row) -> str:
    passed = sum(cell.status == "passed" for cell in row.cells.values())
    return f"{passed}/{len(row.cells)} passed"


def _marks(row: Row, numbers: dict[str, int]) -> str:
    found = {numbers[note] for target, cell in row.cells.items() for note in layout.cell_notes(target, cell)}
    return " ".join(f"[{number}]" for number in sorted(found))


def _scaling(report: Report) -> Iterator[str]:
    if not report.scaling:
        return
    yield "## Scaling"
    yield ""
    head = speeds.head(report)
    yield f"| {' | '.join(head)} |"
    yield f"| --- | --- |{' ---: |' * (len(head) - 3)} --- |"
    for row in report.scaling:
        yield f"| {' | '.join(_safe(text) for text in speeds.texts(row, report))} |"
    yield ""
    yield speeds.LEGEND
    yield ""
    yield from (f"- {_safe(line)}" for row in report.scaling for line in speeds.details(row))
    yield ""


def _gates(report: Report) -> Iterator[str]:
    if not report.gates:
        return
    yield f"## Gates: {layout.gate_counts(report.gates)}"
    yield ""
    yield f"| {' | '.join(layout.GATE_HEAD)} |"
    yield "| --- | --- | --- | ---: | ---: | ---: | --- | --- |"
    for each in report.gates:
        yield f"| {' | '.join(_safe(text) for text in layout.gate_texts(each, report))} |"
    yield ""


def _correctness(report: Report) -> Iterator[str]:
    yield "## Not measured, not compared, to be doubted"
    yield ""
    contexts, notes = tuple(layout.contexts(report)), layout.notes(report)
    for target, reason in contexts:
        yield f"- **{_safe(target)}** is context: {_safe(reason)}"
    for note, number in notes.items():
        yield f"- [{number}] {_safe(note)}"
    if not contexts and not notes:
        yield "Nothing."
    yield ""


def _configuration(report: Report) -> Iterator[str]:
    yield "## Configuration"
    for column in report.columns:
        yield ""
        yield f"### {_safe(column.target)}"
        yield ""
        if column.envelope not in report.envelopes:
            yield "Not described: it could not be started."
            continue
        yield f"Envelope `{column.envelope}`"
        yield ""
        yield "| section | fact | value |"
        yield "| --- | --- | --- |"
        for section, facts in report.envelopes[column.envelope].items():
            yield f"| **{section}** | | `{report.section_hashes[column.envelope][section]}` |"
            for fact, value in facts.items():
                yield f"| {section} | {_safe(fact)} | {_safe(value)} |"


def _safe(text: str) -> str:
    """Text from a bundle cannot break out of its cell or become markup."""
    table = {
        "|": "\\|",
        "<": "&lt;",
        ">": "&gt;",
        "`": "\\`",
        "*": "\\*",
        "[": "\\[",
        "]": "\\]",
        "\n": " ",
        "\r": " ",
    }
    return "".join(table.get(character, character) for character in one_line(text))
