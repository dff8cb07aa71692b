"""What goes over HTTP: bodies of requests and answers, and the operations, of which routes and OpenAPI are made."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from benchproof.model import Frozen

Stages = dict[str, int]  # stage -> ns; `total` is their sum


class _Body(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown keys are refused: a spelling mistake is no wish."""


class Provision(_Body, frozen=True, kw_only=True):
    """`from`: demand this start. Without it, one of the pool if it has one ready, else the usual one of the backend."""

    name: str | None = None
    image: str | None = None
    origin: Literal["pool", "snapshot", "cold"] | None = msgspec.field(name="from", default=None)


class Exec(_Body, frozen=True, kw_only=True):
    """Either `argv`, its words, or `command`: a line for `/bin/sh`, where the sandbox has one."""

    argv: list[str] | None = None
    command: str | None = None
    stdin: str | None = None
    stdin_base64: str | None = None
    timeout_s: float | None = None


class Fork(_Body, frozen=True, kw_only=True):
    """`image`: what it shall be called."""

    image: str | None = None


class Pool(_Body, frozen=True, kw_only=True):
    """`size`: how many sandboxes to keep ready; 0: none."""

    size: int


class Provisioned(Frozen, frozen=True, kw_only=True):
    """A sandbox that serves. `probe` and `cat` are inside: what to run to test it."""

    name: str
    image: str
    origin: str = msgspec.field(name="from")
    probe: str
    cat: list[str]
    workspace: str
    processes: list[int]
    stages_ns: Stages


class Executed(Frozen, frozen=True, kw_only=True, omit_defaults=True):
    """How a command ended. Output that is not UTF-8 is `stdout_base64` or `stderr_base64` in place of text."""

    exit_status: int
    elapsed_ns: int
    stages_ns: Stages
    stdout: str | None = None
    stdout_base64: str | None = None
    stderr: str | None = None
    stderr_base64: str | None = None


class Written(Frozen, frozen=True, kw_only=True):
    """A file that is in the workspace now."""

    path: str
    size_bytes: int


class Forked(Frozen, frozen=True, kw_only=True):
    """An image on disk: blocks in use, not logical size."""

    image: str
    sandbox: str
    size_bytes: int
    files: list[str]
    stages_ns: Stages


class Image(Frozen, frozen=True, kw_only=True):
    """An image that can be provisioned from."""

    image: str
    sandbox: str
    size_bytes: int
    files: list[str]
    created_at: str


class Images(Frozen, frozen=True, kw_only=True):
    """All of them, the oldest first."""

    images: list[Image]


class ImageDeleted(Frozen, frozen=True, kw_only=True):
    """No file of it is left."""

    image: str
    gone: bool


class Deleted(Frozen, frozen=True, kw_only=True):
    """No process and no file of it is left. `complaint`: what its backend said of it when it ended."""

    name: str
    gone: bool
    elapsed_ns: int
    complaint: str = ""


class Listed(Frozen, frozen=True, kw_only=True):
    """A sandbox, without what it takes time to look up."""

    name: str
    image: str
    origin: str = msgspec.field(name="from")
    age_s: float


class Sandboxes(Frozen, frozen=True, kw_only=True):
    """Those that serve, the oldest first."""

    sandboxes: list[Listed]


class Inspected(Listed, frozen=True, kw_only=True):
    """A sandbox and what it holds of the host; memory is the proportional set size of its processes."""

    workspace: str
    probe: str
    cat: list[str]
    processes: list[int]
    files: list[str]
    memory_bytes: int
    disk_bytes: int


class Health(Frozen, frozen=True, kw_only=True):
    """It serves. `sandboxes`: alive, those in the pool not included."""

    status: Literal["ok"]
    version: str
    backend: str
    sandboxes: int
    uptime_s: float


class PoolStats(Frozen, frozen=True, kw_only=True):
    """`taken` and `missed`: provisions that the pool served, and that found it empty; `replaced`: too old, or dead."""

    size: int
    ready: int
    taken: int
    missed: int
    replaced: int
    failed: int
    last_error: str


class Error(Frozen, frozen=True, kw_only=True):
    """One line, and the step that was not done."""

    error: str
    step: str


class Operation(NamedTuple):
    """`body` and `answer` are structs; None: there is none, `bytes`: as it is. `query`: name -> schema."""

    id: str
    method: str
    path: str
    summary: str
    status: int
    body: type | None
    answer: type | None
    refusals: tuple[int, ...]
    query: dict[str, dict[str, str]] = {}  # noqa: RUF012 - never changed


_NAMED = (400, 404, 409)
_FILE = {"path": {"type": "string", "description": "of a file in the workspace: absolute, or relative to it"}}
_MODE = {"mode": {"type": "string", "pattern": "^[0-7]{3,4}$", "description": "octal; 755 without it"}}

OPERATIONS = (
    Operation(
        "provision", "POST", "/provision", "Start a sandbox; it serves when this answers", 201,
        Provision, Provisioned, (400, 404, 408, 409, 413, 429, 501, 502, 503),
    ),
    Operation(
        "exec", "POST", "/exec/{name}", "Run one command to its end", 200,
        Exec, Executed, (*_NAMED, 408, 410, 413, 422, 501, 502, 503, 504),
    ),
    Operation(
        "put_file", "PUT", "/files/{name}", "Write a file of the workspace, whole or not at all", 201,
        bytes, Written, (*_NAMED, 403, 408, 410, 413, 501, 502, 503, 507), _FILE | _MODE,
    ),
    Operation(
        "get_file", "GET", "/files/{name}", "Read a file of the workspace", 200,
        None, bytes, (*_NAMED, 403, 410, 413, 502, 503), _FILE,
    ),
    Operation(
        "fork", "POST", "/fork/{name}", "Freeze a sandbox into an image; the sandbox goes on", 201,
        Fork, Forked, (*_NAMED, 408, 410, 413, 429, 501, 502, 503, 507),
    ),
    Operation("images", "GET", "/images", "All images", 200, None, Images, ()),
    Operation(
        "delete_image", "DELETE", "/images/{image}", "Remove an image; its clones go on", 200,
        None, ImageDeleted, _NAMED,
    ),
    Operation(
        "delete", "DELETE", "/delete/{name}", "End a sandbox; it is gone when this answers", 200,
        None, Deleted, (*_NAMED, 500),
    ),
    Operation("list", "GET", "/list", "All sandboxes that serve", 200, None, Sandboxes, ()),
    Operation(
        "inspect", "GET", "/sandboxes/{name}", "A sandbox and what it holds of the host", 200,
        None, Inspected, (*_NAMED, 502),
    ),
    Operation("health", "GET", "/health", "Whether the daemon serves", 200, None, Health, ()),
    Operation(
        "pool_warm", "POST", "/pool", "Keep so many sandboxes ready; answers when they are", 200,
        Pool, PoolStats, (400, 408, 413),
    ),
    Operation("pool_stats", "GET", "/pool", "What the pool did", 200, None, PoolStats, ()),
)  # fmt: skip
