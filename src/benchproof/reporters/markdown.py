"""The report as Markdown, for a pull request or a page of documentation."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.matrix import Cell, Report
from benchproof.errors import one_line
from benchproof.model import Unit
from benchproof.reporters import causes, crowds, doubts, elsewhere, goals, layout, profiles, speeds, tables, verdicts


def render(report: Report) -> str:
    """Executive table, coverage and troubles, then the configuration."""
    return (
        "\n".join(
            [
                *_head(report),
                *_smokes(report),
                *_tables(report),
                *_causes(report),
                *_published(report),
                *_profiles(report),
                *_scaling(report),
                *_crowds(report),
                *_gates(report),
                *_goals(report),
                *_correctness(report),
                *_doubts(report),
                *_configuration(report),
                *_artifacts(report),
            ]
        )
        + "\n"
    )


def _head(report: Report) -> Iterator[str]:
    yield f"# benchproof run {safe(report.run_id)}"
    yield ""
    yield f"{report.created_at}, {layout.settings(report)}."
    yield f"Coverage: **{layout.coverage(report)}**. Evidence: `runs/{safe(report.run_id)}/`, see the end."
    yield ""
    for warning in (*layout.labels(report), *report.warnings):
        yield f"> **Note:** {safe(warning)}"
        yield ">"
    yield ""


def _tables(report: Report) -> Iterator[str]:
    for table in tables.of(report):
        yield from _pair(table) if isinstance(table, tables.Pair) else _matrix(report, table)
        if table.legend:
            yield table.legend
            yield ""
    if not all(column.exact for column in report.columns):
        yield report.method
        yield ""


def _pair(pair: tables.Pair) -> Iterator[str]:
    yield f"## {safe(pair.title)}"
    yield ""
    for name, lines in tables.lines_by_tier(pair):
        yield from _section(name)
        new, base = (safe(column.target) for column in (pair.new, pair.base))
        yield f"| benchmark | what {new} times | status | unit | {new} | {base} | ratio | verdict | notes |"
        yield "| --- | --- | --- | --- | ---: | ---: | ---: | --- | --- |"
        for line in lines:
            yield f"| {' | '.join(_fields(line))} |"
        yield ""
    if pair.neither:
        yield f"Neither has: {safe(', '.join(pair.neither))}."
        yield ""


def _fields(line: tables.Line) -> Iterator[str]:
    mechanism = layout.cut(line.row.cells[line.target].mechanism, layout.MOST_OF_A_NOTE)
    yield from (safe(line.name), safe(mechanism), line.status if line.status == "passed" else f"*{line.status}*")
    yield from (line.unit, line.new, line.base)
    verdict = line.comparison.verdict if line.comparison else ""
    yield from (layout.ratio_text(line.comparison)[2:], verdict, " ".join(f"[{number}]" for number in line.notes))


def _section(name: str) -> Iterator[str]:
    if name:
        yield f"### {name.capitalize()}"
        yield ""


def _matrix(report: Report, part: tables.Part) -> Iterator[str]:
    numbers = layout.notes(report)
    titles = [safe(layout.title(report, column)) for column in part.columns]
    if part.title:
        yield f"## {part.title.capitalize()}"
        yield ""
    for name, rows in tables.by_tier(part.rows):
        yield from _section(name)
        yield f"| benchmark | unit | {' | '.join(titles)} | status | notes |"
        yield f"| --- | --- |{' ---: |' * len(titles)} --- | --- |"
        for row in rows:
            divisor, unit = layout.scale(row)
            cells = " | ".join(_cell(row.cells.get(column.target), divisor, row.unit) for column in part.columns)
            marks = " ".join(f"[{number}]" for number in tables.marks(row, part.columns, numbers))
            status = tables.share(row, part.columns)
            yield f"| {safe(layout.question(report, row))} | {unit} | {cells} | {status} passed | {marks} |"
        yield ""


def _cell(cell: Cell | None, divisor: float, unit: Unit | None) -> str:
    if cell is None:  # it states this metric in another unit, in a row of its own
        return ""
    text = layout.figure_text(cell, divisor, unit)
    if cell.median is None:
        return f"*{text}*"
    ratio = layout.ratio_text(cell.comparison)
    return text + (f"<br>{ratio}" if ratio else "")


def _causes(report: Report) -> Iterator[str]:
    if not causes.is_there(report):
        return
    yield f"## {causes.TITLE.capitalize()}"
    yield ""
    for name, told in causes.lines(report):
        yield f"- **{safe(name)}**"
        yield from (f"  - {safe(line)}" for line in told)
    yield ""
    yield causes.LEGEND
    yield ""


def _published(report: Report) -> Iterator[str]:
    if not report.published:
        return
    yield f"## {elsewhere.TITLE.capitalize()}"
    yield ""
    yield f"| {' | '.join(elsewhere.HEAD)} |"
    yield "| --- | ---: | --- |"
    yield from (f"| {' | '.join(map(safe, texts))} |" for texts in elsewhere.texts(report))
    yield ""
    yield from (f"- {safe(source)}" for source in elsewhere.sources(report))
    yield ""


def _profiles(report: Report) -> Iterator[str]:
    for table in (*profiles.costs(report), *profiles.every(report)):
        yield f"## {safe(table.title[0].upper() + table.title[1:])}"
        yield ""
        if table.lines:
            yield f"| {' | '.join(map(safe, table.heads))} |"
            yield f"|{' --- |' * len(table.heads)}"
        yield from (f"| {' | '.join(map(safe, line))} |" for line in table.lines)
        yield ""
        yield from (f"- {safe(remark)}" for remark in table.remarks)
        yield ""
    if report.profiles:
        yield profiles.LEGEND
        yield ""


def _scaling(report: Report) -> Iterator[str]:
    if not report.scaling:
        return
    yield "## Scaling"
    yield ""
    head = speeds.head(report)
    yield f"| {' | '.join(head)} |"
    yield f"| --- | --- |{' ---: |' * (len(head) - 3)} --- |"
    for row in report.scaling:
        yield f"| {' | '.join(safe(text) for text in speeds.texts(row, report))} |"
    yield ""
    yield speeds.LEGEND
    yield ""
    yield from (f"- {safe(line)}" for row in report.scaling for line in speeds.details(row))
    yield ""


def _crowds(report: Report) -> Iterator[str]:
    if not report.crowds:
        return
    yield "## Agents at once"
    yield ""
    yield f"| {' | '.join(crowds.HEAD)} |"
    yield f"| --- |{' ---: |' * (len(crowds.HEAD) - 1)}"
    for line in (line for curve in report.crowds for line in crowds.texts(curve)):
        yield f"| {' | '.join(map(safe, line))} |"
    yield ""
    yield from (f"- {safe(words)}" for curve in report.crowds for words in crowds.details(curve))
    yield ""
    yield crowds.LEGEND
    yield ""


def _gates(report: Report) -> Iterator[str]:
    if not report.gates:
        return
    yield f"## Gates: {verdicts.counts(report.gates)}"
    yield ""
    yield f"| {' | '.join(verdicts.HEAD)} |"
    yield "| --- | --- | --- | ---: | ---: | ---: | --- | --- |"
    for each in report.gates:
        yield f"| {' | '.join(safe(text) for text in verdicts.texts(each, report))} |"
    yield ""


def _goals(report: Report) -> Iterator[str]:
    if not goals.of(report):
        return
    yield f"## {goals.TITLE.capitalize()}"
    yield ""
    yield f"| {' | '.join(goals.HEAD)} |"
    yield "| --- | --- | ---: | ---: | --- | --- |"
    for texts in goals.texts(report):
        yield f"| {' | '.join(map(safe, texts))} |"
    yield ""
    yield goals.LEGEND
    yield ""


def _smokes(report: Report) -> Iterator[str]:
    found = tuple(doubts.smokes(report))
    if not found:
        return
    yield f"## {tables.tier_name(0).capitalize()}"
    yield ""
    yield f"Passed: {safe(', '.join(counts for counts, _ in found))}."
    yield ""
    for counts, troubles in found:
        yield from (
            f"- **{safe(counts.rpartition(' ')[0])}**: {safe(each)}; its figures are not kept" for each in troubles
        )
    yield ""


def _correctness(report: Report) -> Iterator[str]:
    yield f"## Correctness: {layout.coverage(report)}"
    yield ""
    troubles = doubts.troubles(report)
    if not troubles:
        yield "Every answer was checked and right."
    else:
        yield "| status | benchmark | target | why | logs |"
        yield "| --- | --- | --- | --- | --- |"
    for each in troubles:
        logs = ", ".join(_link(report, path) for path in each.logs)
        why = " ".join(f"[{number}]" for number in each.notes)
        yield f"| {each.status} | {safe(each.benchmark)} | {safe(each.target)} | {why} | {logs} |"
    yield ""


def _link(report: Report, path: str) -> str:
    """Relative to the page, which lies beside the folder `runs`."""
    whole = f"runs/{report.run_id}/{path}"
    return f"[{path}]({whole})" if doubts.is_path(whole) else safe(path)


def _doubts(report: Report) -> Iterator[str]:
    yield "## Not measured, not compared, to be doubted"
    yield ""
    contexts, notes, caveats = tuple(doubts.contexts(report)), layout.notes(report), tuple(doubts.caveats(report))
    for target, reason in contexts:
        yield f"- **{safe(target)}** is context: {safe(reason)}"
    for caveat in caveats:
        yield f"- {safe(caveat)}"
    for note, number in notes.items():
        yield f"- [{number}] {safe(note)}"
    if not contexts and not notes and not caveats:
        yield "Nothing."
    yield ""


def _artifacts(report: Report) -> Iterator[str]:
    """Raw artifacts, by links that hold where the page was written."""
    yield ""
    yield "## Artifacts"
    yield ""
    if report.vary:
        files = (*doubts.FILES, *(["smokes.jsonl"] if report.smokes else []))
        yield f"{', '.join(_link(report, name) for name in files)}; `benchproof verify` computes all of it anew."
    else:
        yield f"{_link(report, 'results.jsonl')}; {_link(report, 'objects/')} has the imported file."


def _configuration(report: Report) -> Iterator[str]:
    yield "## Configuration"
    if report.authorities:
        yield ""
        yield "What benchmarks may do; all others nothing:"
        yield ""
        yield from (f"- {safe(name)}: {safe(words)}" for name, words in report.authorities.items())
    for column in report.columns:
        yield ""
        yield f"### {safe(column.target)}"
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
                yield f"| {section} | {safe(fact)} | {safe(value)} |"


def safe(text: str) -> str:
    """Text from a bundle cannot break out of its cell or become markup."""
    table = {
        "\\": "\\\\",
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
