"""CSV after RFC 4180: a head line, CR LF, UTF-8. Numbers as they are, never rounded; what is missing is empty.

Lists and objects are JSON. A text that a spreadsheet would run as a formula has an apostrophe in front, and so has one
that begins with an apostrophe: whoever takes one away from every such text has what was recorded.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import IO

import msgspec

from benchproof.exports.tables import Row, Table
from benchproof.reporters.export import no_formula


def write(rows: Iterable[Row], table: Table, file: IO[bytes]) -> int:
    """Returns how many rows there are, the head not counted."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    writer = csv.writer(text)  # its own dialect is that of RFC 4180
    writer.writerow(column.name for column in table.columns)
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - the last one is how many
        writer.writerow(map(_field, row))
    text.detach()  # flushed; the file is its owner's to close
    return count


def _field(value: object) -> object:
    match value:
        case str():
            return no_formula(value)
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
        case tuple():
            return msgspec.json.encode(value).decode()
        case _:
            return value
