"""Tables of a TOML document as typed values: a plan's and a policy's are read in the same way.

What makes no sense is refused with file, key, what was expected and the nearest match; nothing is passed over.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from benchproof.errors import UsageError
from benchproof.plugins import nearest
from benchproof.quantities import decode


def table_of(document: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    """The table under a key of a document, empty where there is none."""
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {key}: expected a table, found {table!r}")
    return table


def convert(table: dict[str, Any], kind: Any, where: str, also: tuple[str, ...] = ()) -> Any:
    """The table as a struct of that kind; `also`: keys that are read elsewhere."""
    refuse_unknown(table, [*kind.__struct_fields__, *also], where)
    if "\\u0000" in msgspec.json.encode(table, enc_hook=str).decode():
        raise UsageError(f"{where}: expected text without zero bytes")
    for key, value in table.items():  # a key at a time, so that a message can name it
        field = next(field for field in msgspec.structs.fields(kind) if field.name == key)
        try:
            msgspec.convert(value, field.type, dec_hook=decode)
        except (msgspec.ValidationError, UsageError) as error:
            raise UsageError(f"{where}: {key}: {_words(error)}{_choices(field.type, value)}") from error
    try:
        return msgspec.convert(table, kind, dec_hook=decode)
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"{where}: {_words(error)}") from error


def _words(error: Exception) -> str:
    return str(error).partition(" - at `$")[0]


def _choices(kind: Any, value: Any) -> str:
    choices = _words_of(kind)
    return f"; {nearest(str(value), choices)}" if choices else ""


def _words_of(kind: Any) -> list[str]:
    """The words that a type lets choose from, however deep they are in it."""
    return [kind] if isinstance(kind, str) else [word for part in get_args(kind) for word in _words_of(part)]


def refuse_unknown(table: dict[str, Any], known: list[str], where: str) -> None:
    """Raises UsageError for the first key that means nothing here."""
    for key in table:
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; {nearest(key, known)}")
