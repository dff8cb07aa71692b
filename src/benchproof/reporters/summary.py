"""What the invocations of each cell amount to: middle, extremes, spread, and the quantiles that so many support."""

from __future__ import annotations

from rich import box
from rich.table import Table

from benchproof.analysis.matrix import Cell, Report
from benchproof.analysis.stats import LEAST_OF, Summary
from benchproof.reporters import layout
from benchproof.reporters.screen import Screen, escape

FIGURES = ("median", "min", "max", "mean", "sd", "mad", "cv", *LEAST_OF)


def figure(summary: Summary | None, name: str) -> float | None:
    """One of `FIGURES`; None where the sample does not support it, or there is none."""
    if summary is None:
        return None
    found: float | None = summary.quantiles.get(name) if name in LEAST_OF else getattr(summary, name)
    return found


def render(report: Report, *, width: int = 132, color: bool = False, encoding: str = "utf-8") -> str:
    """A line a cell; nothing where n is too small for a figure."""
    console = Screen(width=width, color=color, encoding=encoding)
    for label in layout.labels(report):
        console.print(f"note: {escape(label)}", style="yellow")
    table = Table(title=f"run {report.run_id}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("benchmark", "target", "unit", "n", *FIGURES):
        table.add_column(name, justify="left" if name in {"benchmark", "target", "unit"} else "right", overflow="fold")
    for row in report.rows:
        divisor, unit = layout.scale(row)
        for target, cell in row.cells.items():
            names = (layout.question(report, row), target, unit)
            table.add_row(*(escape(each) for each in names), *_cells(cell, divisor))
    console.print(table)
    least = ", ".join(f"{name} {n}" for name, n in LEAST_OF.items())
    console.print(
        "Over invocations, one value each: the median of its samples after warm-up; behind the median its 95 % "
        "interval by order statistics. SD with n - 1; MAD unscaled; CV is SD / mean. "
        f"Quantiles by nearest rank, never interpolated, absent with fewer than: {least}.",
        style="dim",
    )
    return console.text


def _median(cell: Cell, divisor: float) -> str:
    """With its interval, where n is enough for one."""
    found = cell.intervals.get("median")
    if cell.median is None:
        return ""
    middle = layout.figure(cell.median / divisor)
    if found is None:
        return middle
    low, high = (layout.figure(each / divisor) for each in (found.low, found.high))
    return f"{middle} [{low}, {high}]"


def _cells(cell: Cell, divisor: float) -> list[str]:
    if cell.summary is None:
        return [str(cell.n), cell.status, *[""] * (len(FIGURES) - 1)]
    shown = [(name, figure(cell.summary, name)) for name in FIGURES]
    texts = [
        "" if value is None else f"{value:.1%}" if name == "cv" else layout.figure(value / divisor)
        for name, value in shown
    ]
    return [str(cell.n), _median(cell, divisor), *texts[1:]]
