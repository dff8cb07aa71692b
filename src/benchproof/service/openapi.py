"""Operations by their ids in an OpenAPI 3 document: method, path, and what a request may hold. JSON only.

References (`$ref`) are followed within the document.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchproof.errors import UsageError
from benchproof.model import Frozen
from benchproof.plugins import nearest
from benchproof.service import pointers
from benchproof.service.http import Client

Document = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_TIMEOUT_S = 60.0
_DEEPEST = 16  # references that lead to references


class Found(Frozen, frozen=True):
    """One operation. `properties` and `parameters`: None where the document lets them be anything."""

    method: str
    path: str
    properties: tuple[str, ...] | None
    queries: tuple[str, ...]


def load(name: str, folder: Path, where: str) -> Document:
    """From a file beside the description. Raises UsageError."""
    try:
        return read((folder / name).read_bytes(), where)
    except OSError as error:
        raise UsageError(f"{where}: openapi: cannot read '{name}': {error.strerror}") from error


def fetch(url: str, where: str) -> Document:
    """From an address. Raises UsageError for what is no document, TargetFailed where nobody answers."""
    base, slash, path = url.partition("://")[2].partition("/")
    with contextlib.closing(Client(f"{url.partition('://')[0]}://{base}")) as client:
        return read(client.ask("openapi", "GET", slash + path, timeout_s=_TIMEOUT_S).body, where)


def read(content: bytes, where: str) -> Document:
    """Raises UsageError for what is no OpenAPI 3 document."""
    try:
        document = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{where}: openapi: expected JSON: {error}") from error
    if not str(document.get("openapi", "")).startswith("3.") or not isinstance(document.get("paths"), dict):
        raise UsageError(f"{where}: openapi: expected 'openapi': '3.x' and 'paths'")
    return document


def find(document: Document, identifier: str, where: str) -> Found:
    """The operation of that id. Raises UsageError with the nearest match."""
    known = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if isinstance(operation, dict) and "operationId" in operation:
                known[str(operation["operationId"])] = (method, path, item, operation)
    if identifier not in known:
        raise UsageError(f"{where}: operation: unknown id '{identifier}'; {nearest(identifier, list(known))}")
    method, path, item, operation = known[identifier]
    listed = [
        _followed(document, each, where) for each in (*item.get("parameters", ()), *operation.get("parameters", ()))
    ]
    queries = tuple(str(each.get("name")) for each in listed if each.get("in") == "query")
    return Found(method.upper(), path, _properties(document, operation, where), queries)


def _properties(document: Document, operation: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    """What a JSON body may hold, where the document is strict about it."""
    body = _followed(document, operation.get("requestBody", {}), where)
    schema = _followed(document, body.get("content", {}).get("application/json", {}).get("schema", {}), where)
    strict = schema.get("additionalProperties") is False
    return tuple(schema.get("properties", ())) if strict else None


def _followed(document: Document, value: Any, where: str) -> Mapping[str, Any]:
    for _ in range(_DEEPEST):
        if not isinstance(value, dict) or "$ref" not in value:
            return value if isinstance(value, dict) else {}
        try:
            value = pointers.find(document, str(value["$ref"]).removeprefix("#"))
        except pointers.Missing as error:
            raise UsageError(f"{where}: openapi: {error}") from error
    raise UsageError(f"{where}: openapi: references run in a circle")


def refuse_unknown(found: Found, *, body: Mapping[str, Any], query: Mapping[str, str], where: str) -> None:
    """Raises UsageError for a key that the document does not have, where it says that there are no others."""
    for key in body:
        if found.properties is not None and key not in found.properties:
            raise UsageError(f"{where}: body: unknown key '{key}'; {nearest(key, list(found.properties))}")
    for key in query:
        if key not in found.queries:
            raise UsageError(f"{where}: query: unknown parameter '{key}'; {nearest(key, list(found.queries))}")


def path_of(found: Found, parameters: Mapping[str, str]) -> str:
    """Its path with our placeholders for its own. Raises UsageError for one that nobody mapped."""

    def ours(match: re.Match[str]) -> str:
        if match[1] not in parameters:
            raise UsageError(f"path parameter '{match[1]}' of '{found.path}': expected it under `parameters`")
        return parameters[match[1]]

    return re.sub(r"\{([^{}]+)\}", ours, found.path)
