"""Every invocation beside the others, an operation a column, and beneath them its least, mean and most and its gates.

For operations that are few and long, such as the start and the end of a sandbox, where people read each single figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.table import Table

from benchproof.analysis.cells import Extent
from benchproof.analysis.matrix import Cell, Report, Row
from benchproof.reporters import layout, verdicts
from benchproof.reporters.screen import Screen, escape

Column = tuple[Row, Cell]
_NAME_WIDTH, _FIGURE_WIDTH = 22, 26  # characters that a line's name and one operation need
_EXTREMES = ("min", "mean", "max")


def render(report: Report, *, width: int = 132, color: bool = False, encoding: str = "utf-8") -> str:
    """A table a target; as many of them as its operations need to fit."""
    console = Screen(width=width, color=color, encoding=encoding)
    for label in layout.labels(report):
        console.print(f"note: {escape(label)}", style="yellow")
    console.print(f"run {escape(report.run_id)}: {layout.coverage(report)}", style="italic")
    for target in (column.target for column in report.columns):
        columns = [(row, row.cells[target]) for row in report.rows if target in row.cells]
        for part in _parts(columns, max(1, (width - _NAME_WIDTH) // _FIGURE_WIDTH)):
            console.print(_table(report, target, part))
            for row, cell in part:
                if cell.median is None:
                    why = layout.cut("; ".join(cell.notes), layout.MOST_OF_A_NOTE)
                    console.print(escape(f"{layout.question(report, row)}: {cell.status}: {why}"), style="dim")
    console.print(
        "A line is one invocation: the median of its samples. Beneath: the least, the mean and the most of all "
        "samples, which are what a gate on min or max is held against.",
        style="dim",
    )
    return console.text


def _parts(columns: Sequence[Column], many: int) -> Iterator[Sequence[Column]]:
    for start in range(0, len(columns), many):
        yield columns[start : start + many]


def _table(report: Report, target: str, columns: Sequence[Column]) -> Table:
    shown = layout.shown_target(report, target)
    table = Table(title=escape(shown), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("invocation")
    scales = [_scale(row, cell) for row, cell in columns]
    for (row, _), (_, unit) in zip(columns, scales, strict=True):
        table.add_column(
            escape(f"{layout.question(report, row)} [{unit}]" if unit else row.metric), justify="right", overflow="fold"
        )
    for number in range(max(len(cell.values) for _, cell in columns)):
        table.add_row(str(number + 1), *_line(columns, scales, number))
    if any(cell.median is None for _, cell in columns):
        table.add_row("status", *("" if cell.values else cell.status for _, cell in columns))
    table.add_section()
    for name in _EXTREMES:
        table.add_row(name, *_extremes(columns, scales, name))
    for name, words in _gates(report, target, columns):
        table.add_row(name, *words)
    return table


def _scale(row: Row, cell: Cell) -> tuple[float, str]:
    """Of this operation on this target alone."""
    if row.unit is None or not cell.values:
        return 1.0, row.unit or ""
    return layout.scale_of(row.unit, min(cell.values))


def _line(columns: Iterable[Column], scales: Iterable[tuple[float, str]], number: int) -> Iterator[str]:
    for (_, cell), (divisor, _) in zip(columns, scales, strict=True):
        yield layout.figure(cell.values[number] / divisor) if number < len(cell.values) else ""


def _extremes(columns: Iterable[Column], scales: Iterable[tuple[float, str]], name: str) -> Iterator[str]:
    for (_, cell), (divisor, _) in zip(columns, scales, strict=True):
        yield _of(cell.extent, name, divisor)


def _of(extent: Extent | None, name: str, divisor: float) -> str:
    return "" if extent is None else layout.figure(getattr(extent, name) / divisor)


def _gates(report: Report, target: str, columns: Sequence[Column]) -> Iterator[tuple[str, Sequence[str]]]:
    """The limit of each operation and whether it is met; no line where there is no gate at all."""
    found = [_gate(report, target, row) for row, _ in columns]
    if any(limit for limit, _ in found):
        yield "limit", [limit for limit, _ in found]
        yield "gate", [word for _, word in found]


def _gate(report: Report, target: str, row: Row) -> tuple[str, str]:
    mine = [
        each
        for each in report.gates
        if (each.target, each.gate.benchmark, each.parameters) == (target, row.benchmark, row.parameters)
        and each.gate.metric in {None, row.metric}
    ]
    limits = (
        f"{each.gate.statistic or 'must pass'} {each.gate.limit.text if each.gate.limit else ''}" for each in mine
    )
    return "; ".join(map(str.strip, limits)), "; ".join(verdicts.VERDICTS[each.verdict] for each in mine)
