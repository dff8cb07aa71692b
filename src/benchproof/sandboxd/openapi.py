"""The OpenAPI document, made of the table of operations and of the structs of their bodies: it cannot say otherwise."""

from __future__ import annotations

from typing import Any

import msgspec

from benchproof import __version__
from benchproof.sandboxd.api import OPERATIONS, Error, Operation

_REF = "#/components/schemas/{name}"
_EVERYWHERE = (401, 403)  # without the token; from a page of another origin
_WORDS = {
    400: "The request makes no sense",
    401: "The token is missing or wrong",
    403: "It is not allowed",
    404: "There is no such thing",
    408: "The request did not arrive in time",
    409: "The name is taken, or the sandbox is being started or ended",
    410: "The sandbox was deleted meanwhile",
    413: "More than is taken",
    422: "The command printed more than is taken",
    429: "As many as are allowed are there",
    500: "Something is left",
    501: "The backend cannot do it",
    502: "The sandbox failed",
    503: "Too much is under way: try again after Retry-After",
    504: "The command did not end in time",
    507: "There is no room left",
}


def document(*, url: str, token: bool) -> dict[str, Any]:
    """OpenAPI 3.1, as plain values."""
    structs = [each for op in OPERATIONS for each in (op.body, op.answer) if each not in {None, bytes}]
    _, components = msgspec.json.schema_components([*structs, Error], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    security = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if token else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "benchproof-sandboxd", "version": __version__},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {"schemas": components} | security,
        **({"security": [{"token": []}]} if token else {}),
    }


def _described(operation: Operation) -> dict[str, Any]:
    refusals = {str(status): _answer(_WORDS[status], Error) for status in sorted({*operation.refusals, *_EVERYWHERE})}
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [
        {"name": name, "in": "query", "required": name == "path", "schema": schema}
        for name, schema in operation.query.items()
    ]
    body = {} if operation.body is None else {"requestBody": {"required": True, "content": _content(operation.body)}}
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        **body,
        "responses": {str(operation.status): _answer("Done", operation.answer), **refusals},
    }


def _answer(words: str, kind: type | None) -> dict[str, Any]:
    return {"description": words} | ({} if kind is None else {"content": _content(kind)})


def _content(kind: type) -> dict[str, Any]:
    if kind is bytes:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
