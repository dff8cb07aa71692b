"""`python -m benchmarks [names...]`: run studies, print one table, keep the raw figures.

Exit status 0 also where a goal is missed: on a shared machine that is something to look into, not a broken build.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import STUDIES
from benchmarks.rows import Neighbours, NoNumber, Row, with_neighbours
from benchproof import __version__, envelope
from benchproof.errors import BenchproofError
from benchproof.model import Frozen
from benchproof.plugins import nearest

_RESULTS = Path(__file__).parent / "results"
_WIDTH_ELSEWHERE = 150  # into a file or a pipe
_COLOURS = {"met": "green", "MISSED": "red", "no number": "yellow"}


class Finding(Frozen, frozen=True):
    """One study: its rows, and what else the machine did meanwhile."""

    study: str
    rows: Sequence[Row]
    neighbours: Neighbours


class Document(Frozen, frozen=True):
    """What is kept."""

    started_at: str
    benchproof: str
    python: str
    host: dict[str, str]
    findings: list[Finding]


def main() -> int:
    """Parse, run, print, keep."""
    names, quick = _arguments()
    started_at = datetime.now(UTC)
    findings = [_run(name, quick=quick) for name in names]
    _show(findings)
    document = Document(
        started_at=started_at.isoformat(timespec="seconds"),
        benchproof=__version__,
        python=sys.version,
        host=envelope.host(),
        findings=findings,
    )
    print(f"kept in {_keep(document, started_at)}", file=sys.stderr)
    return 0


def _arguments() -> tuple[list[str], bool]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures benchproof itself.")
    parser.add_argument("names", nargs="*", metavar="STUDY", help="only these studies; all by default")
    parser.add_argument("--list", action="store_true", help="name the studies and their questions")
    parser.add_argument("--quick", action="store_true", help="less of those studies that can do with less")
    arguments = parser.parse_args()
    if arguments.list:
        for name in STUDIES:
            print(f"{name:24}{_question(name)}")
        parser.exit()
    for name in arguments.names:
        if name not in STUDIES:
            parser.error(f"unknown study '{name}'; {nearest(name, list(STUDIES))}")
    return arguments.names or list(STUDIES), arguments.quick


def _load(name: str) -> Any:
    return importlib.import_module(STUDIES[name])


def _question(name: str) -> str:
    return (_load(name).__doc__ or "").partition("\n")[0]


def _run(name: str, *, quick: bool) -> Finding:
    print(f"{name}: {_question(name)}", file=sys.stderr, flush=True)
    rows, neighbours = with_neighbours(lambda: _rows(name, quick=quick))
    return Finding(study=name, rows=rows, neighbours=neighbours)


def _rows(name: str, *, quick: bool) -> Sequence[Row]:
    """Of one study; the others go on without the one that came to no number."""
    study = _load(name)
    try:
        rows: Sequence[Row] = getattr(study, "quick_study" if quick else "study", study.study)()
    except (NoNumber, BenchproofError) as error:
        return [Row(what=name, goal=study.GOAL, note=str(error))]
    return rows


def _show(findings: Sequence[Finding]) -> None:
    table = Table(title="benchproof, measured", title_justify="left", pad_edge=False)
    for heading in ("measured", "", "against", "", "ratio", "goal", "verdict"):
        table.add_column(heading, justify="right" if heading in {"", "ratio"} else "left", overflow="fold")
    for finding in findings:
        for row in finding.rows:
            table.add_row(*_cells(row))
        table.add_section()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_ELSEWHERE, highlight=False, emoji=False)
    console.print(table)
    for finding in findings:
        for row in finding.rows:
            if row.note:
                console.print(escape(f"{row.what}: {row.note}"))
        console.print(escape(f"{finding.study}: {finding.neighbours}"))


def _cells(row: Row) -> list[str]:
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    verdict = f"[{_COLOURS[row.verdict.rstrip('?')]}]{row.verdict}[/]"
    words = [row.what, _figure(row.measured, row.unit), row.against, _figure(row.peer, row.unit), ratio, row.goal]
    return [*map(escape, words), verdict]


def _figure(number: float | None, unit: str) -> str:
    return "" if number is None else f"{number:,.1f} {unit}"


def _keep(document: Document, started_at: datetime) -> Path:
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{started_at:%Y%m%dT%H%M%SZ}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
