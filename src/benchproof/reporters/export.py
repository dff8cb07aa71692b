"""What all exporters share: which cells have a number, what the others are, and names that are safe in any format.

A number is exported only where the status is `passed`. What has none is named with its status where the format can
say it, and is left out where it cannot: it never becomes a 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from benchproof.analysis.matrix import Cell, Report, Row
from benchproof.reporters import layout

_NS_PER_S = 1e9
_SHORTEST_S, _LONGEST_S = 1e-30, 1e30
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
    "'",
)  # as some programs read it


class Number(NamedTuple):
    """A cell with verified values in the row's base unit, one an invocation. `name`: metric and what tells it apart.

    `target`: its name and its labels; a debug build is another series than what it is a build of.
    """

    name: str
    row: Row
    target: str
    cell: Cell


class Gap(NamedTuple):
    """A cell without a number: `status` is failed, unsupported, invalid, unverified or missing."""

    name: str
    row: Row
    target: str
    status: str
    reason: str


def numbers(report: Report) -> Iterator[Number]:
    """Every cell that has one."""
    for row in report.rows:
        for target, cell in row.cells.items():
            if cell.status == "passed" and cell.values:
                yield Number(_name(report, row), row, layout.shown_target(report, target), cell)


def gaps(report: Report) -> Iterator[Gap]:
    """Every cell that has none, with the reason in one line."""
    for row in report.rows:
        for target, cell in row.cells.items():
            if cell.status != "passed" or not cell.values:
                status = cell.status if cell.status != "passed" else "missing"
                shown = layout.shown_target(report, target)
                yield Gap(_name(report, row), row, shown, status, "; ".join(cell.notes))


def _name(report: Report, row: Row) -> str:
    same = [other for other in report.rows if (other.benchmark, other.metric) == (row.benchmark, row.metric)]
    return plain(f"{row.metric} {layout.parameters(row, same)}".rstrip() + _apart(report, row))


def _apart(report: Report, row: Row) -> str:
    """What makes it another series than the case of that name."""
    return layout.purpose(row.parameters) + layout.rules(report, row.benchmark)


def seconds(number: Number) -> list[float] | None:
    """Its values as seconds, for formats that know time alone; a rate is the time of one operation or byte.

    None for what is neither, and for what no clock could have measured: it would not survive the arithmetic of others.
    """
    values = number.cell.values
    if number.row.unit == "ns":
        found = [value / _NS_PER_S for value in values]
    elif number.row.unit in {"op/s", "bytes/s"} and min(values) > _SHORTEST_S:
        found = [1 / value for value in values]
    else:
        return None
    return found if all(value == 0 or _SHORTEST_S < abs(value) < _LONGEST_S for value in found) else None


def per(number: Number) -> str:
    """What a value of `seconds` is the time of."""
    words = {"op/s": "time of one operation, from a rate", "bytes/s": "time of one byte, from a rate"}
    return words.get(number.row.unit or "", "time")


def left_out(report: Report) -> list[dict[str, str]]:
    """The gaps as a list for formats that have room for one."""
    return [
        {"name": gap.name, "target": plain(gap.target), "status": gap.status, "reason": plain(gap.reason)}
        for gap in gaps(report)
    ]


def no_time(report: Report) -> list[dict[str, str]]:
    """The numbers that a format for time alone has no place for."""
    return [
        {"name": number.name, "target": plain(number.target), "unit": number.row.unit or ""}
        for number in numbers(report)
        if seconds(number) is None
    ]


def plain(text: str) -> str:
    """Text that a terminal, a log and a page show as what it is; different texts stay different.

    Line breaks, other control characters and those that turn the direction of writing become their escapes.
    """
    return "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def as_json(document: object) -> str:
    """A document in ASCII that cannot end a script element of a page it is put into."""
    text = json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") + "\n"


def no_formula(text: str) -> str:
    """A text that a spreadsheet takes as text: an apostrophe in front of one that it would run.

    One that begins with an apostrophe gets another, so that taking one away gives every text back.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def fields(values: Iterable[object]) -> list[object]:
    """A line of CSV that no spreadsheet runs."""
    return [no_formula(value) if isinstance(value, str) else value for value in values]
