"""Everything that a store holds, as tables for other programs: CSV and Parquet, row by row.

What a table has is said in `tables.py`, once for both formats; nothing is computed here, rounded or left out. A missing
figure is null with its status beside it. Memory holds some thousand rows, never a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO

from benchproof.errors import UsageError
from benchproof.exports.tables import Row, Table

FORMS = ("csv", "parquet")


def write(rows: Iterable[Row], table: Table, file: IO[bytes], form: str) -> int:
    """The table into the file; how many rows it has. Raises StoreError where a value does not fit its column."""
    return _writer(form)(rows, table, file)


def _writer(form: str) -> Callable[[Iterable[Row], Table, IO[bytes]], int]:
    if form == "csv":
        from benchproof.exports import as_csv  # noqa: PLC0415 - one of the two is used

        return as_csv.write
    try:
        from benchproof.exports import as_parquet  # noqa: PLC0415 - pyarrow is an extra, and large
    except ModuleNotFoundError as error:
        raise UsageError(f"Parquet needs {error.name}: pip install 'benchproof[parquet]'") from error
    return as_parquet.write
