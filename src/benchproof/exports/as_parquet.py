"""Parquet: a type for each column, names dictionary-encoded, times in UTC, units in the schema. Needs pyarrow.

Rows become Arrow's arrays some thousand at a time, and a row group is written when those are many or large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from benchproof import __version__
from benchproof.errors import StoreError
from benchproof.exports.tables import Column, Kind, Row, Table

_ROWS_AT_ONCE, _ITEMS_AT_ONCE = 2048, 250_000  # as Python's objects
_GROUP_ROWS = 65_536
_GROUP_BYTES = 64 << 20
_TYPES: dict[Kind, Any] = {
    "text": pa.string(),
    "name": pa.dictionary(pa.int32(), pa.string()),
    "integer": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "texts": pa.list_(pa.string()),
    "numbers": pa.list_(pa.float64()),
    "integers": pa.list_(pa.int64()),
    "json": pa.string(),
}


def write(rows: Iterable[Row], table: Table, file: IO[bytes]) -> int:
    """Returns how many rows there are."""
    schema, count = schema_of(table), 0
    names = [column.name for column in table.columns if column.kind == "name"]
    with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=names) as writer:
        for group in _groups(_batches(rows, table, schema)):
            writer.write_table(pa.Table.from_batches(group, schema).unify_dictionaries(), row_group_size=_GROUP_ROWS)
            count += sum(batch.num_rows for batch in group)
    return count


def schema_of(table: Table) -> Any:
    """The columns, each with its meaning and its unit where it has one of its own."""
    fields = [pa.field(each.name, _TYPES[each.kind], metadata=_metadata(each)) for each in table.columns]
    about = {"benchproof": __version__, "table": table.name, "meaning": table.meaning, "key": ", ".join(table.key)}
    return pa.schema(fields, metadata=about)


def _metadata(column: Column) -> dict[str, str]:
    told = {"meaning": column.meaning, "unit": column.unit, "content": "json" if column.kind == "json" else ""}
    return {key: text for key, text in told.items() if text}


def _batches(rows: Iterable[Row], table: Table, schema: Any) -> Iterator[Any]:
    for some in _some(rows):
        columns = zip(table.columns, schema, zip(*some, strict=True), strict=True)
        yield pa.RecordBatch.from_arrays([_array(*each, table) for each in columns], schema=schema)


def _some(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """As many rows as memory bears: one may hold thousands of samples."""
    some: list[Row] = []
    items = 0
    for row in rows:
        some.append(row)
        items += sum(len(value) for value in row if isinstance(value, tuple))
        if len(some) >= _ROWS_AT_ONCE or items >= _ITEMS_AT_ONCE:
            yield some
            some, items = [], 0
    if some:
        yield some


def _array(column: Column, field: Any, values: tuple[object, ...], table: Table) -> Any:
    try:
        return pa.array(values, type=field.type)
    except OverflowError:  # one bundle's nonsense is no reason to export nothing of the others
        return pa.array([value if _fits(value) else None for value in values], type=field.type)
    except (pa.ArrowException, UnicodeError) as error:
        raise StoreError(f"table {table.name}, column {column.name}: expected {column.kind}, found: {error}") from error


def _fits(value: object) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _groups(batches: Iterable[Any]) -> Iterator[list[Any]]:
    """As many batches as make a row group."""
    group: list[Any] = []
    for batch in batches:
        group.append(batch)
        if sum(each.num_rows for each in group) >= _GROUP_ROWS or sum(each.nbytes for each in group) >= _GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group
