"""What a change did, as a short comment on a pull request: the verdicts first, all figures behind a fold.

A comment has a place for 65,536 characters; what does not fit is counted, and stands in the report of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchproof.analysis import compare
from benchproof.analysis.matrix import Cell, Column, Report, Row
from benchproof.reporters import layout, markdown, verdicts

MARK = "<!-- benchproof -->"  # by which the comment is found again
_MOST = 60_000  # characters
_MOST_LINES = 40  # of troubles
_HEAD = "| benchmark | unit | {base} | {head} | change | verdict |"
_LOUD = ("slower", "incomparable", "faster")  # shown first, in this order


def render(report: Report) -> str:
    """The comment. Each target that has a reference is held against it."""
    lines = [MARK, *_summary(report), *_gates(report), *_tables(report), *_troubles(report), *_evidence(report)]
    return _bounded(lines)


def safe(text: str) -> str:
    """As on a page; and a plan from a stranger's branch calls nobody and leads nowhere."""
    return markdown.safe(text).replace("@", "&#64;").replace("://", ":&#47;/")


def _pairs(report: Report) -> list[Column]:
    return [column for column in report.columns if column.target != column.reference]


def _summary(report: Report) -> Iterator[str]:
    found = [cell.comparison for column in _pairs(report) for _, cell in _cells(report, column) if cell.comparison]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in compare.counts(found).items())
    gates = f" Gates: {verdicts.counts(report.gates)}." if report.gates else ""
    yield f"### benchproof: {counts or 'nothing was compared'}"
    yield ""
    yield f"{safe(layout.coverage(report))}.{gates}"
    for warning in (*layout.labels(report), *report.warnings):
        yield f"> {safe(layout.cut(warning, layout.MOST_OF_A_NOTE))}"
        yield ">"
    yield ""


def _gates(report: Report) -> Iterator[str]:
    """Those that are not met in full, the others by their number."""
    loud = [each for each in report.gates if each.verdict not in {"met", "off"}]
    if not loud:
        return
    yield f"| {' | '.join(verdicts.HEAD)} |"
    yield f"|{' --- |' * len(verdicts.HEAD)}"
    for each in loud:
        yield f"| {' | '.join(safe(text) for text in verdicts.texts(each, report))} |"
    yield ""


def _tables(report: Report) -> Iterator[str]:
    for column in _pairs(report):
        cells = sorted(_cells(report, column), key=lambda pair: _rank(pair[1]))
        loud = [pair for pair in cells if _rank(pair[1]) < len(_LOUD)]
        quiet = [pair for pair in cells if pair not in loud]
        if loud:
            yield from _table(report, column, loud)
        if quiet:
            yield f"<details><summary>{len(quiet)} without a difference that could be shown</summary>"
            yield ""
            yield from _table(report, column, quiet)
            yield "</details>"
            yield ""
    for exact in sorted({column.exact for column in _pairs(report)}):
        yield layout.legend(report, exact=exact, paired=True)
        yield ""


def _table(report: Report, column: Column, pairs: Sequence[tuple[Row, Cell]]) -> Iterator[str]:
    base, head = (safe(layout.shown_target(report, name)) for name in (column.reference, column.target))
    yield _HEAD.format(base=base, head=head)
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for row, cell in pairs:
        divisor, unit = layout.scale(row)
        old = row.cells.get(column.reference)
        figures = [layout.figure_text(each, divisor, row.unit) if each else "missing" for each in (old, cell)]
        verdict = cell.comparison.verdict if cell.comparison else cell.status
        shown = (layout.question(report, row), unit, *figures, layout.ratio_text(cell.comparison), verdict)
        yield f"| {' | '.join(map(safe, shown))} |"
    yield ""


def _cells(report: Report, column: Column) -> list[tuple[Row, Cell]]:
    return [(row, row.cells[column.target]) for row in report.rows if column.target in row.cells]


def _rank(cell: Cell) -> int:
    """What a reader has to see comes first; a case without an answer is one."""
    verdict = cell.comparison.verdict if cell.comparison else "incomparable"
    return _LOUD.index(verdict) if verdict in _LOUD else len(_LOUD)


def _troubles(report: Report) -> Iterator[str]:
    told = [
        *(
            f"{column.target} was not compared: {'; '.join(column.context)}"
            for column in _pairs(report)
            if column.context
        ),
        *(
            f"{layout.question(report, row)} on {target}: {cell.status}: {'; '.join(cell.notes)}"
            for row in report.rows
            for target, cell in row.cells.items()
            if cell.status != "passed"
        ),
    ]
    yield from (f"- {safe(layout.cut(each, layout.MOST_OF_A_NOTE))}" for each in told[:_MOST_LINES])
    if len(told) > _MOST_LINES:
        yield f"- and {len(told) - _MOST_LINES} more, see the report"


def _evidence(report: Report) -> Iterator[str]:
    yield ""
    yield f"Run `{safe(report.run_id)}`; `benchproof verify` computes all of it anew from its bundle."


def _bounded(lines: Sequence[str]) -> str:
    """As many whole lines as fit; a fold that is open is closed."""
    kept, size = list[str](), 0
    for number, line in enumerate(lines):
        size += len(line) + 1
        if size > _MOST:
            closing = ["</details>", ""] * (
                kept.count("</details>") < sum(each.startswith("<details>") for each in kept)
            )
            return "\n".join(
                [*kept, "", *closing, f"{len(lines) - number} more lines are in the report of the run.", ""]
            )
        kept.append(line)
    return "\n".join(kept) + "\n"
