"""Reads what a plan or a policy says: a file or a name, and all that it includes, as one document.

It knows TOML and files; whether the document makes sense is not its business.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchproof.errors import UsageError

DEFAULT = Path(__file__).parent / "plans" / "default.toml"
_INCLUDE_LIMIT = 16
_LIMIT_BYTES = 1 << 20


def plans() -> dict[str, Path]:
    """The plans that come with benchproof, by name."""
    return {file.stem: file for file in sorted(DEFAULT.parent.glob("*.toml"))}


def policies() -> dict[str, Path]:
    """The policies that come with benchproof, by name."""
    return {file.stem: file for file in sorted((Path(__file__).parent / "policies").glob("*.toml"))}


def document_of(path: Path, *, what: str = "plan", shipped: Mapping[str, Path] | None = None) -> dict[str, Any]:
    """The file, or what comes with benchproof under that name, as a document. Raises UsageError.

    A file that exists wins; includes are resolved.
    """
    if os.path.lexists(path):
        return _read(path, (), what)
    known = plans() if shipped is None else shipped
    try:
        return _read(known.get(str(path), path), (), what)
    except UsageError as error:
        need_none = f"the {'policies' if what == 'policy' else 'plans'} that need no file: {', '.join(known)}"
        raise UsageError(f"{error}; {need_none}") from error


def _read(path: Path, including: tuple[Path, ...], what: str) -> dict[str, Any]:
    name = f"{including[-1].name}: include: {path.name}" if including else str(path)
    try:
        resolved = path.resolve()
        if resolved in including or len(including) > _INCLUDE_LIMIT:
            circle = " -> ".join(each.name for each in (*including, resolved))
            raise UsageError(f"{name}: the files include each other in a circle: {circle}")
        document = tomllib.loads(_content(path).decode())
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, or nesting without end
        found = "a folder" if isinstance(error, IsADirectoryError) else getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{name}: expected a {what} (a TOML file), found: {found}") from error
    except UnicodeDecodeError as error:
        at = f"byte {error.object[error.start]:#04x} at offset {error.start}"
        raise UsageError(f"{name}: expected UTF-8, found {at}") from error
    except ValueError as error:  # not TOML, a number of thousands of digits, a zero byte in a path
        raise UsageError(f"{name}: not TOML: {error}") from error
    path = resolved
    included = document.pop("include", [])
    if not isinstance(included, list) or not all(isinstance(name, str) for name in included):
        raise UsageError(f"{path.name}: include: expected a list of file names, found {included!r}")
    merged: dict[str, Any] = {}
    for name in included:
        merged = _merge(merged, _read(path.parent / name, (*including, path), what))
    return _merge(merged, document)


def _content(path: Path) -> bytes:
    """Raises ValueError for what is too long to be written by hand: a device has no end."""
    with path.open("rb") as file:
        content = file.read(_LIMIT_BYTES + 1)
    if len(content) > _LIMIT_BYTES:
        raise ValueError(f"longer than {_LIMIT_BYTES >> 20} MiB")
    return content


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merge(base[key], over[key])
        for key in base.keys() & over.keys()
        if isinstance(base[key], dict) and isinstance(over[key], dict)
    }
    return base | over | both
