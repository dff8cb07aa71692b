"""What a sandbox service can be asked, and where its answers hold what: a TOML file, one table for each operation.

`provision`, `exec` and `delete` there must be; everything else an API may lack. What makes no sense is refused when the
plan is read, with the operation, the key, and the nearest match.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from benchproof.errors import UsageError
from benchproof.model import Frozen
from benchproof.plugins import nearest
from benchproof.quantities import Duration, decode
from benchproof.service import openapi, pointers

OWN = {"sandboxd": "sandboxd.toml", "capsem": "capsem.toml"}
_FOLDER = Path(__file__).parent / "apis"
_COMMAND = {
    "name": "of the sandbox",
    "argv": "the words of the command, a list",
    "command": "the same as one text for a shell",
    "stdin": "its input, where that is text",
    "stdin_base64": "its input",
    "timeout_s": "how long it may take",
    "timeout_whole_s": "the same, rounded up to whole seconds",
    "timeout_ms": "the same, in milliseconds",
}
PLACES: dict[str, dict[str, str]] = {  # operation -> what its templates may hold
    "health": {},
    "provision": {"name": "that we choose", "image": "what it starts from, if anything"},
    "exec": _COMMAND,
    "delete": {"name": "of the sandbox"},
    "list": {},
    "inspect": {"name": "of the sandbox"},
    "fork": {"name": "of the sandbox", "image": "a name that we choose"},
    "images": {},
    "delete_image": {"image": "its name"},
    "put": {"name": "", "path": "inside", "content_base64": "", "content": "", "mode": "in octal"},
    "get": {"name": "", "path": "inside"},
    "pool_warm": {"size": "how many"},
    "pool_stats": {},
}
ANSWERS: dict[str, tuple[str, ...]] = {  # operation -> what can be found in its answer
    "health": ("version", "status"),
    "provision": ("name", "image", "probe", "cat", "workspace", "processes", "from", "stages_ns"),
    "exec": ("exit_status", "stdout", "stdout_base64", "stderr", "stderr_base64", "stages_ns"),
    "delete": ("name", "gone"),
    "list": ("names", "pids"),
    "inspect": ("name", "processes", "files", "memory_bytes", "disk_bytes"),
    "fork": ("image", "size_bytes", "files", "stages_ns"),
    "images": ("names", "sizes_bytes"),
    "delete_image": (),
    "put": ("path",),
    "get": ("content", "content_base64"),
    "pool_warm": (),
    "pool_stats": ("size", "ready", "taken", "missed", "replaced"),
}
_MUST = ("provision", "exec", "delete")


class Operation(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One request. `operation`: its id in an OpenAPI document, which then says method and path.

    `parameters`: what that path calls our placeholders. `raw`: the body is this text as it is, the answer too where
    nothing of it is mapped. `expect`: statuses that are right; none: any 2xx. `answer`: JSON pointers.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", ""] = ""
    path: str = ""
    operation: str = ""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    query: dict[str, str] = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: dict[str, Any] | None = None
    raw: str = ""
    expect: tuple[int, ...] = ()
    timeout: Duration = Duration(60)
    answer: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def templates(self) -> tuple[object, ...]:
        """All that may hold placeholders."""
        return self.path, self.query, self.headers, self.body, self.raw, self.parameters

    def has(self, place: str) -> bool:
        """Whether it says this anywhere in a request."""
        return place in pointers.places(self.templates)


class Description(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sandbox API. `cat`: words of a command inside that copies its input, or files, to its output.

    `workspace`: a folder inside for files, where no answer names one. `shell`: commands may be a shell's, so that input
    can be piped in. `grace`: how much later than a command's time its answer may come. `token`: a header line with
    `{token}`. `error`: where an answer holds what went wrong, also one with a status that is right. `absent`: statuses
    that say that there is no such sandbox. `mcp`: the path of its MCP endpoint; `mcp_sandbox`: what its tools call the
    argument that names a sandbox, so that each invocation can have one of its own; `stdio`, `start`: words of commands.
    """

    title: str = ""
    openapi: str = ""
    cat: tuple[str, ...] = ("cat",)
    workspace: str = "/tmp"  # noqa: S108 - a path inside the sandbox
    shell: bool = True
    grace: Duration = Duration(5)
    token: str = "Authorization: Bearer {token}"  # noqa: S105 - a template
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    error: str = "/error"
    absent: tuple[int, ...] = (404, 410)
    mcp: str = ""
    mcp_sandbox: str = ""
    stdio: tuple[str, ...] = ()
    start: tuple[str, ...] = ()

    provision: Operation
    exec: Operation
    delete: Operation
    health: Operation | None = None
    list: Operation | None = None
    inspect: Operation | None = None
    fork: Operation | None = None
    images: Operation | None = None
    delete_image: Operation | None = None
    put: Operation | None = None
    get: Operation | None = None
    pool_warm: Operation | None = None
    pool_stats: Operation | None = None

    @property
    def sha256(self) -> str:
        """Of all that it says."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted", enc_hook=float)).hexdigest()


def load(api: str) -> Description:
    """By the name of one of ours, or the path of a file. Raises UsageError."""
    path = _FOLDER / OWN[api] if api in OWN else Path(api)
    if not path.is_file():
        raise UsageError(f"api: expected a description, found no such file: '{api}'; {nearest(api, sorted(OWN))}")
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path.name}: {error}") from error
    return parse(document, where=path.name, folder=path.parent)


def parse(document: Mapping[str, Any], *, where: str, folder: Path) -> Description:
    """Make sense of a description. Raises UsageError."""
    fields = Description.__struct_fields__
    for key, value in document.items():
        if key not in fields:
            raise UsageError(f"{where}: unknown key '{key}'; {nearest(key, list(fields))}")
        if key in PLACES:
            _refuse_table(value, f"{where}: {key}")
    for key in _MUST:
        if key not in document:
            raise UsageError(f"{where}: expected a table [{key}], found none")
    try:
        read = msgspec.convert(dict(document), Description, dec_hook=decode)
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"{where}: {_place_of(error)}") from error
    api = openapi.load(read.openapi, folder, where) if read.openapi and "://" not in read.openapi else None
    return checked(resolved(read, api, where) if api or not read.openapi else read, where)


def resolved(description: Description, api: openapi.Document | None, where: str) -> Description:
    """Operations that are named by their ids get their methods and paths. Raises UsageError."""
    changed = {}
    for name, places in PLACES.items():
        operation: Operation | None = getattr(description, name)
        if operation is None or not operation.operation:
            continue
        if api is None:
            raise UsageError(f"{where}: {name}: operation: expected `openapi` beside it, found none")
        found = openapi.find(api, operation.operation, f"{where}: {name}")
        openapi.refuse_unknown(found, body=operation.body or {}, query=operation.query, where=f"{where}: {name}")
        path = openapi.path_of(found, {place: f"{{{place}}}" for place in places} | operation.parameters)
        changed[name] = msgspec.structs.replace(operation, method=found.method, path=path)
    return msgspec.structs.replace(description, **changed)


def _refuse_table(table: Any, where: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: expected a table, found {table!r}")
    for key in table:
        if key not in Operation.__struct_fields__:
            raise UsageError(f"{where}: unknown key '{key}'; {nearest(key, list(Operation.__struct_fields__))}")


def _place_of(error: Exception) -> str:
    """`Expected int - at $.exec.expect[0]` with the place first."""
    words, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`')}: {words}" if place else words


def checked(description: Description, where: str) -> Description:
    """The description, if it says all that must be said and nothing that makes no sense. Raises UsageError."""
    for name, known in PLACES.items():
        operation: Operation | None = getattr(description, name)
        if operation is not None:
            try:
                _check(operation, name, known)
            except UsageError as error:
                raise UsageError(f"{where}: {name}: {error}") from error
    _check_whole(description, where)
    return description


def _check(operation: Operation, name: str, known: dict[str, str]) -> None:
    if not operation.operation and not (operation.method and operation.path.startswith("/")):
        raise UsageError("expected a method and a path that begins with '/', or the id of an `operation`")
    for template in operation.templates[:-1]:
        pointers.check_places(template, set(known))
    if operation.body is not None and operation.raw:
        raise UsageError("expected body or raw, found both")
    for field, pointer in operation.answer.items():
        if field not in ANSWERS[name]:
            raise UsageError(f"answer: unknown field '{field}'; {nearest(field, list(ANSWERS[name]))}")
        try:
            pointers.check(pointer)
        except UsageError as error:
            raise UsageError(f"answer: {field}: {error}") from error


def _check_whole(description: Description, where: str) -> None:
    """What must be said somewhere, or nothing could be measured."""
    if not (description.provision.has("name") or "name" in description.provision.answer):
        raise UsageError(f"{where}: provision: expected {{name}} in the request, or answer.name: how is it called?")
    for name in ("exec", "delete"):
        operation: Operation = getattr(description, name)
        if operation.path and not operation.has("name"):  # without a path, an OpenAPI document is still to say it
            raise UsageError(f"{where}: {name}: expected {{name}} in the request: which sandbox?")
    if not (description.exec.has("argv") or description.exec.has("command")):
        raise UsageError(f"{where}: exec: expected {{argv}} or {{command}} in the request: which command?")
    for field in ("exit_status", "stdout"):
        if field not in description.exec.answer:
            raise UsageError(f"{where}: exec: expected answer.{field}: nothing can be verified without it")
    for key, pointer in (("error", description.error),):
        try:
            pointers.check(pointer)
        except UsageError as error:
            raise UsageError(f"{where}: {key}: {error}") from error
    if description.token.count("{token}") != 1 or ":" not in description.token:
        raise UsageError(f"{where}: token: expected a header line with {{token}}, found '{description.token}'")
