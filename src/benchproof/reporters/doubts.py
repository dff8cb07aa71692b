"""What a reader has to know beside the figures: labels, smokes, caveats, context, and which answers are missing.

In the order in which it matters: before the first figure, beside it, after the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from benchproof.analysis.matrix import Column, Report
from benchproof.reporters import layout

WORST_FIRST = ("failed", "invalid", "missing", "unverified", "unsupported")
_PATH = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*/?", re.ASCII)
FILES = ("manifest.json", "envelope.json", "results.jsonl", "warmups.jsonl", "report.json", "logs/")


def smokes(report: Report) -> Iterator[tuple[str, tuple[str, ...]]]:
    """By target: how many of its tier-0 checks passed, and each that did not go well."""
    for target in dict.fromkeys(each.target for each in report.smokes):
        found = [each for each in report.smokes if each.target == target]
        counted = [each for each in found if each.status != "unsupported"]
        passed = sum(each.status == "passed" for each in counted)
        troubles = tuple(
            layout.cut(f"{each.benchmark} {each.status}: {each.words}", layout.MOST_OF_A_NOTE)
            for each in counted
            if each.status != "passed"
        )
        yield f"{target} {passed}/{len(counted)}", troubles


def caveats(report: Report) -> Iterator[str]:
    """What kind of system stands behind a figure, where that limits what it says."""
    columns = {column.target: column for column in report.columns}
    guests = {
        column.reference
        for column in report.columns
        if _kind(report, column) == "kernel"
        and not column.context
        and column.reference in columns
        and _kind(report, columns[column.reference]) == "qemu"
    }
    for name, column in columns.items():
        if _kind(report, column) == "kernel":
            is_held = _system(report, column).get("pace", "").startswith("held")
            checked = "its own counts and the host's clock" if is_held else "its own counts alone"
            yield (
                f"{name} measures itself: what it said was checked against {checked}; that its code does what it says "
                "is its author's word"
            )
        if column.context and column.reference in columns and _is_native(report, column):
            yield f"{name} is native: a ceiling of what this machine can do, and nothing to hold a guest against"
        if name in guests:
            yield (
                f"{name} is a Linux guest on the same machine, timed by benchproof's probe: a stable reference, with "
                "mature drivers, scheduler and C library"
            )


def _is_native(report: Report, column: Column) -> bool:
    return report.envelopes.get(column.envelope, {}).get("machine", {}).get("execution") == "native"


def _kind(report: Report, column: Column) -> str:
    return _system(report, column).get("kind", "")


def _system(report: Report, column: Column) -> Mapping[str, str]:
    return report.envelopes.get(column.envelope, {}).get("system", {})


def contexts(report: Report) -> Iterator[tuple[str, str]]:
    """For each column that is context: its name, and why there is no ratio."""
    for column in report.columns:
        if column.context:
            shown = "; ".join(layout.cut(each, layout.MOST_OF_A_NOTE) for each in column.context[:3])
            rest = len(column.context) - 3
            command = f"benchproof compare {report.run_id} --targets {column.reference},{column.target}"
            more = f"; and {rest} more, told by {command}" if rest > 0 else ""
            yield (
                column.target,
                f"incomparable with '{column.reference}', the plan varies only {', '.join(report.vary)}: {shown}{more}",
            )


class Trouble(NamedTuple):
    """A cell that did not pass."""

    status: str
    benchmark: str
    target: str
    notes: tuple[int, ...]
    logs: tuple[str, ...]


def troubles(report: Report) -> list[Trouble]:
    """Every answer that is missing, the worst first."""
    numbers = layout.notes(report)
    found = [
        Trouble(
            status=cell.status,
            benchmark=layout.question(report, row),
            target=target,
            notes=tuple(numbers[note] for note in layout.cell_notes(target, cell)),
            logs=cell.logs,
        )
        for row in report.rows
        for target, cell in row.cells.items()
        if cell.status != "passed"
    ]
    return sorted(found, key=lambda trouble: WORST_FIRST.index(trouble.status))


def is_path(name: str) -> bool:
    """Whether it may become a link: a plain path within a run, leading nowhere else."""
    return _PATH.fullmatch(name) is not None
