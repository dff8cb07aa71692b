"""The tools that an agent calls: their arguments, what they do to a sandbox and its workspace, and what they answer.

Every call is timed and kept, whatever its end. What goes wrong is one line; nothing of ours is shown to the caller
beyond it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from benchproof.errors import BenchproofError, InvocationError, UsageError
from benchproof.model import Completed, Frozen
from benchproof.sandboxd import shell
from benchproof.sandboxd.calls import Calls
from benchproof.sandboxd.snapshots import Snapshots
from benchproof.sandboxd.workspace import Limits, Place, Workspace

_LONGEST_EXEC_S = 3600.0
_LOOK = {"snapshot_create", "snapshot_changes", "snapshot_revert"}  # at more than one file
_WRITES = {"write_file", "snapshot_revert"}  # one file of it


class Host(Protocol):
    """What the tools need of the daemon; each method may be called from any thread. All raise BenchproofError."""

    def run(self, sandbox: str, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """One command to its end."""

    def workspace(self, sandbox: str) -> Place:
        """The folder of the host that is its workspace; the sandbox `default` is made when it is first named."""

    def pull(self, sandbox: str) -> None:
        """Make a folder that is but a mirror like what the sandbox has."""

    def push(self, sandbox: str, parts: Sequence[str]) -> None:
        """Make one file of the sandbox what it is in the mirror."""

    def entries(self, sandbox: str, parts: Sequence[str]) -> list[dict[str, Any]]:
        """List one folder by way of the sandbox itself."""

    def get(self, sandbox: str, path: str) -> bytes:
        """Read a file by way of the sandbox itself."""

    def fork(self, sandbox: str, image: str) -> object:
        """Freeze it as an image of that name."""

    def discard(self, image: str) -> object:
        """Remove an image."""


class _Arguments(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sandbox: str = "default"


class Exec(_Arguments, frozen=True, kw_only=True):
    """Run a command in the sandbox: `argv`, its words, or `command`, a line for the sandbox's shell."""

    argv: tuple[str, ...] = ()
    command: str = ""
    stdin: str = ""
    timeout_s: float = 60.0


class ReadFile(_Arguments, frozen=True, kw_only=True):
    """Read a file of the workspace."""

    path: str


class WriteFile(_Arguments, frozen=True, kw_only=True):
    """Write a whole file of the workspace, as text or base64; folders are made."""

    path: str
    content: str = ""
    content_base64: str = ""
    mode: int | None = None


class ListDirectory(_Arguments, frozen=True, kw_only=True):
    """List a folder of the workspace."""

    path: str = ""


class SnapshotCreate(_Arguments, frozen=True, kw_only=True):
    """Keep the workspace as it is under a name; `system`: freeze the sandbox as an image too, where it can be."""

    name: str
    system: bool = False


class SnapshotList(_Arguments, frozen=True, kw_only=True):
    """List all snapshots, the oldest first, each with what changed from the one before it."""


class SnapshotChanges(_Arguments, frozen=True, kw_only=True):
    """Tell which files were added, modified and deleted in the workspace since a snapshot."""

    name: str


class SnapshotRevert(_Arguments, frozen=True, kw_only=True):
    """Make one file of the workspace what it was in a snapshot."""

    name: str
    path: str


class SnapshotDelete(_Arguments, frozen=True, kw_only=True):
    """Remove a snapshot and all its copies."""

    name: str


class SnapshotCompact(_Arguments, frozen=True, kw_only=True):
    """Merge snapshots into one of a new name, which has every file of each, the newest of each path."""

    names: tuple[str, ...]
    into: str


Document = dict[str, Any]


class _Place(NamedTuple):
    """Where the files of a sandbox are, and what was kept of them. `turn`: of those that fetch and send a mirror."""

    workspace: Workspace
    snapshots: Snapshots
    turn: threading.Lock


class _Room:
    """A sandbox, as its tools see it: a command needs no workspace on this host, and a file only where it has one."""

    def __init__(self, name: str, host: Host, find: Callable[[str], _Place]) -> None:
        self.name = name
        self.host = host
        self._find = find

    @property
    def workspace(self) -> Workspace:
        """What the sandbox has, or a mirror of it."""
        return self._find(self.name).workspace

    @property
    def snapshots(self) -> Snapshots:
        """Of the workspace."""
        return self._find(self.name).snapshots

    @property
    def turn(self) -> threading.Lock:
        """Held from the fetching of a mirror until what was changed in it is in the sandbox."""
        return self._find(self.name).turn

    def read(self, path: str) -> bytes:
        """From the folder, or where it is but a mirror by the sandbox itself."""
        workspace = self.workspace
        return self.host.get(self.name, path) if workspace.place.mirrored else workspace.read(path)

    def entries(self, path: str) -> list[dict[str, Any]]:
        """The same of a folder: a mirror of all would take the longer the more there is."""
        workspace = self.workspace
        if not workspace.place.mirrored:
            return workspace.entries(path)
        return workspace.refuse_many(path, self.host.entries(self.name, workspace.parts_of(path)))


class Reply(NamedTuple):
    """What a call gave: a document, or an error of one line."""

    document: Document
    error: str = ""


class Toolbox:
    """All tools of one daemon. `state`: where snapshots and the record of calls lie."""

    def __init__(self, host: Host, state: Path, *, limits: Limits | None = None) -> None:
        self._host = host
        self._state = state
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self.calls = Calls(state)

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Reply:
        """Do it, and keep that it was done. Raises KeyError for a tool that there is not."""
        kind, act = TOOLS[tool]
        started, began_ns = datetime.now(UTC), time.monotonic_ns()
        stages: dict[str, int] = {}
        error, outcome, document = "", "ok", {}
        try:
            document = _in_step(tool, act, self._room_of(arguments), _converted(arguments, kind))
            stages = document.get("stages_ns", {})
        except BenchproofError as trouble:
            error, outcome = str(trouble), "failed" if isinstance(trouble, InvocationError) else "refused"
        elapsed_ns = time.monotonic_ns() - began_ns
        sandbox = str(arguments.get("sandbox", "default"))[:63]
        self.calls.add(
            tool,
            started=started,
            elapsed_ns=elapsed_ns,
            outcome=outcome,
            sandbox=sandbox,
            stages_ns=stages,
            error=error,
        )
        return Reply(document | {"elapsed_ns": elapsed_ns}, error)

    def _room_of(self, arguments: Mapping[str, Any]) -> _Room:
        name = arguments.get("sandbox", "default")
        if not isinstance(name, str):
            raise UsageError(f"sandbox: expected a name, found {name!r}")
        return _Room(name, self._host, self._place_of)

    def _place_of(self, name: str) -> _Place:
        place = self._host.workspace(name)
        with self._lock:
            found = self._places.get(name)
            if found is None or found.workspace.place != place:
                workspace = Workspace(place, limits=self._limits)
                snapshots = Snapshots(workspace, self._state / "snapshots" / name, owner=name)
                found = _Place(workspace, snapshots, threading.Lock())
                self._places[name] = found
            return found

    def forget(self, sandbox: str) -> None:
        """Remove the snapshots of a sandbox that was deleted."""
        with self._lock:
            place = self._places.pop(sandbox, None)
        if place is not None:
            place.snapshots.delete_all()

    @property
    def sandboxes(self) -> tuple[str, ...]:
        """Those whose workspace a tool was called for."""
        return tuple(self._places)

    def close(self) -> None:
        """No call comes afterwards."""
        self.calls.close()


def _in_step(tool: str, act: Callable[[_Room, Any], Document], room: _Room, asked: Any) -> Document:
    """Do it; where the workspace is a mirror, on what the sandbox has now, and to what the sandbox has."""
    if tool not in _LOOK | _WRITES or not room.workspace.place.mirrored:
        return act(room, asked)
    with room.turn:  # else another's fetching would remove a file that was written and is not yet sent
        return _mirrored(tool, act, room, asked)


def _mirrored(tool: str, act: Callable[[_Room, Any], Document], room: _Room, asked: Any) -> Document:
    began_ns = time.monotonic_ns()
    if tool in _LOOK:
        room.host.pull(room.name)
    synced_ns = time.monotonic_ns() - began_ns
    document = act(room, asked)
    began_ns = time.monotonic_ns()
    if tool in _WRITES:
        room.host.push(room.name, room.workspace.parts_of(asked.path))
    synced_ns += time.monotonic_ns() - began_ns
    return document | {"stages_ns": {"sync": synced_ns} | document.get("stages_ns", {})}


def _converted(arguments: Mapping[str, Any], kind: type) -> Any:
    try:
        return msgspec.convert(dict(arguments), kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"arguments: {error}") from error


def schema_of(kind: type) -> Document:
    """The JSON schema of a tool's arguments, whole in itself."""
    (found,), components = msgspec.json.schema_components([kind])
    name = str(found["$ref"]).rpartition("/")[2]
    return dict(components[name])


def _exec(room: _Room, asked: Exec) -> Document:
    if bool(asked.argv) == bool(asked.command):
        raise UsageError("expected either argv or command")
    argv = list(asked.argv) or shell.words(asked.command)
    if asked.command.isspace() or not 0 < asked.timeout_s <= _LONGEST_EXEC_S:
        raise UsageError(f"expected a command, and a timeout_s of more than 0 and up to {_LONGEST_EXEC_S:g}")
    done = room.host.run(room.name, argv, stdin=asked.stdin.encode(), timeout_s=asked.timeout_s)
    if asked.command:
        shell.refuse_without(done)
    told = {"exit_status": done.exit_status, "stages_ns": {"command": done.elapsed_ns}}
    return told | _text("stdout", done.stdout) | _text("stderr", done.stderr)


def _text(name: str, content: bytes) -> Document:
    """As text, or where it is none as base64."""
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode()}


def _read_file(room: _Room, asked: ReadFile) -> Document:
    content = room.read(asked.path)
    told = {"path": asked.path, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return told | _text("content", content)


def _write_file(room: _Room, asked: WriteFile) -> Document:
    if asked.content and asked.content_base64:
        raise UsageError("expected either content or content_base64")
    try:
        content = base64.b64decode(asked.content_base64, validate=True) or asked.content.encode()
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"content: {error}") from error
    return room.workspace.write(asked.path, content, mode=asked.mode)


def _list_directory(room: _Room, asked: ListDirectory) -> Document:
    return {"path": asked.path, "entries": room.entries(asked.path)}


def _create(room: _Room, asked: SnapshotCreate) -> Document:
    def freeze(image: str) -> None:
        room.host.fork(room.name, image)

    return room.snapshots.create(asked.name, clone_system=freeze if asked.system else None)


def _delete(room: _Room, asked: SnapshotDelete) -> Document:
    told = room.snapshots.delete(asked.name)
    if told["image"]:
        room.host.discard(told["image"])
    return told


class Tool(NamedTuple):
    """Its arguments, whose docstring describes it, and what it does."""

    arguments: type[_Arguments]
    act: Callable[[_Room, Any], Document]


TOOLS: Mapping[str, Tool] = {
    "exec": Tool(Exec, _exec),
    "read_file": Tool(ReadFile, _read_file),
    "write_file": Tool(WriteFile, _write_file),
    "list_directory": Tool(ListDirectory, _list_directory),
    "snapshot_create": Tool(SnapshotCreate, _create),
    "snapshot_list": Tool(SnapshotList, lambda room, _: {"snapshots": room.snapshots.listed()}),
    "snapshot_changes": Tool(SnapshotChanges, lambda room, asked: room.snapshots.changes(asked.name)),
    "snapshot_revert": Tool(SnapshotRevert, lambda room, asked: room.snapshots.revert(asked.name, asked.path)),
    "snapshot_delete": Tool(SnapshotDelete, _delete),
    "snapshot_compact": Tool(SnapshotCompact, lambda room, asked: room.snapshots.compact(asked.names, asked.into)),
}
