"""Named snapshots of a workspace: made, listed with what changed, compared, reverted file by file, merged, deleted.

A snapshot is a copy in full, each file by its hash. It is written under a draft's name and renamed when it is whole:
whenever we are killed, there is either all of it or nothing, and what was begun is swept away at the next start.
That is not said of a machine that loses its power: nothing here waits for the disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchproof import beneath
from benchproof.errors import StoreError, UsageError
from benchproof.model import Frozen
from benchproof.sandboxd import inventory
from benchproof.sandboxd.inventory import Entry
from benchproof.sandboxd.workspace import Workspace

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_UNFINISHED = ".draft-"
_DOOMED = ".gone-"
CloneSystem = Callable[[str], object]  # freezes the sandbox as an image of that name


class Manifest(Frozen, frozen=True):
    """What a snapshot holds, as it lies beside its copies."""

    name: str
    number: int  # counts up: which came first
    created_at: str  # RFC 3339, UTC
    clone: str  # reflink | copy | mixed | none
    entries: dict[str, Entry]
    skipped: int  # what cannot be in a snapshot
    changed_meanwhile: tuple[str, ...]  # written to while they were copied: their content is of no one moment
    stages_ns: dict[str, int]
    image: str = ""  # of the sandbox itself, where that was asked for

    @property
    def size_bytes(self) -> int:
        """Of all contents."""
        return sum(each.size_bytes for each in self.entries.values())


class Snapshots:
    """Of one workspace, in a folder that the sandbox does not see."""

    def __init__(self, workspace: Workspace, store: Path, *, owner: str = "default") -> None:
        self._workspace = workspace
        self._store = store
        self._owner = owner  # the sandbox, for the log
        self._lock = threading.RLock()
        store.mkdir(parents=True, exist_ok=True)
        for path in (*store.glob(f"{_UNFINISHED}*"), *store.glob(f"{_DOOMED}*")):
            shutil.rmtree(path)
        loaded = sorted(map(_loaded, store.iterdir()), key=lambda each: each.number)
        self._manifests = {each.name: each for each in loaded}

    def create(self, name: str, *, clone_system: CloneSystem | None = None) -> dict[str, Any]:
        """Copy and hash the workspace as it is now. Raises UsageError."""
        with self._lock:
            self._refuse_taken(name)
            with self._draft() as draft:
                manifest = self._filled(name, draft, clone_system)
                self._publish(manifest, draft)
            self._log(manifest)
            return self._described(manifest) | {"store": str(self._store / name)}

    def _filled(self, name: str, draft: Path, clone_system: CloneSystem | None) -> Manifest:
        stages, tally, cloner = _Stages(), inventory.Tally(self._workspace.limits), inventory.Cloner()
        changed: list[str] = []
        with stages.of("clone_ws"):
            entries = inventory.cloned(self._workspace, draft / "blobs", tally, cloner, changed.append)
        image = ""
        if clone_system:
            image = f"{self._owner}-{name}"[:63]
            with stages.of("clone_sys"):
                clone_system(image)
        with stages.of("hash"):
            hashed = {path: _with_hash(entry, draft / "blobs") for path, entry in entries.items()}
        return Manifest(
            name=name,
            number=max((each.number for each in self._manifests.values()), default=0) + 1,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            clone=cloner.way,
            entries=hashed,
            skipped=tally.skipped,
            changed_meanwhile=tuple(changed),
            stages_ns=stages.spent_ns,
            image=image,
        )

    def listed(self) -> list[dict[str, Any]]:
        """All, the oldest first, each with what changed from the one before it."""
        with self._lock:
            found: list[dict[str, Any]] = []
            before: inventory.Entries = {}
            for manifest in self._manifests.values():
                changes = inventory.differences(before, manifest.entries, most=self._workspace.limits.listed)
                found.append(self._described(manifest) | {"changes": changes})
                before = manifest.entries
            return found

    def changes(self, name: str) -> dict[str, Any]:
        """What the workspace has now that the snapshot has not, and the other way round. Raises UsageError."""
        with self._lock:
            manifest, stages = self._manifest(name), _Stages()
            with stages.of("hash"):
                found, skipped = inventory.now(self._workspace)
            changes = inventory.differences(manifest.entries, found, most=self._workspace.limits.listed)
            return {"name": name, **changes, "skipped": skipped, "stages_ns": stages.spent_ns}

    def revert(self, name: str, path: str) -> dict[str, Any]:
        """Make one file what it was in the snapshot; one that was not there is removed. Raises UsageError."""
        with self._lock:
            manifest, stages = self._manifest(name), _Stages()
            parts = self._workspace.parts_of(path)
            plain = "/".join(parts)
            entry = manifest.entries.get(plain)
            cloner = inventory.Cloner()
            with stages.of("restore"):
                if entry is None:
                    self._remove(parts, plain, name)
                else:
                    self._restore(parts, entry, self._store / name / "blobs" / str(entry.blob), cloner)
            told = {"action": "removed"} if entry is None else {"action": "restored", "sha256": entry.sha256}
            return {"name": name, "path": plain, **told, "clone": cloner.way, "stages_ns": stages.spent_ns}

    def _remove(self, parts: Sequence[str], path: str, name: str) -> None:
        if not parts:
            raise UsageError("path: expected a file in the workspace, found the workspace itself")
        with beneath.folder(self._workspace.root, parts[:-1]) as within:
            try:
                os.unlink(parts[-1], dir_fd=within)
            except FileNotFoundError as error:
                raise UsageError(f"'{path}' is neither in snapshot '{name}' nor in the workspace") from error

    def _restore(self, parts: Sequence[str], entry: Entry, blob: Path, cloner: inventory.Cloner) -> None:
        with beneath.folder(self._workspace.root, parts[:-1], make=True) as within:
            if entry.kind == "link":
                temporary = beneath.DRAFT + secrets.token_hex(8)
                os.symlink(entry.target, temporary, dir_fd=within)
                os.rename(temporary, parts[-1], src_dir_fd=within, dst_dir_fd=within)
                return
            with blob.open("rb") as kept, beneath.draft(parts[-1], within=within, mode=entry.mode) as copy:
                cloner.clone(kept.fileno(), copy, most_bytes=entry.size_bytes)
                os.lseek(copy, 0, os.SEEK_SET)
                digest, _ = inventory.digest_of(copy, most_bytes=entry.size_bytes)
                if digest != entry.sha256:
                    raise UsageError(f"the copy of '{'/'.join(parts)}' is damaged: expected sha256 {entry.sha256}")

    def compact(self, names: Sequence[str], into: str) -> dict[str, Any]:
        """Merge several into one that has every file of each, the newest of those with one path. Raises UsageError."""
        with self._lock:
            merged = sorted((self._manifest(name) for name in set(names)), key=lambda each: each.number)
            if len(merged) < 2:
                raise UsageError(f"expected two snapshots or more to merge, found {len(merged)}")
            self._refuse_taken(into, room=False)
            stages = _Stages()
            with stages.of("compact"), self._draft() as draft:
                entries = self._linked(merged, draft / "blobs")
                manifest = msgspec.structs.replace(
                    merged[-1], name=into, entries=entries, skipped=sum(each.skipped for each in merged), image=""
                )
                self._publish(manifest, draft)
                for each in merged:  # after that: killed in between, we keep too much, and lose nothing
                    self._discard(each.name)
            return self._described(manifest) | {
                "merged": [each.name for each in merged],
                "stages_ns": stages.spent_ns,
                "clone": "link",
            }

    def _linked(self, merged: Sequence[Manifest], blobs: Path) -> dict[str, Entry]:
        """The newest of each path, as one more name of the copy that is there."""
        newest = {path: (each.name, entry) for each in merged for path, entry in each.entries.items()}
        entries = {}
        for number, (path, (name, entry)) in enumerate(newest.items()):
            if entry.kind == "file":
                (blobs / str(number)).hardlink_to(self._store / name / "blobs" / str(entry.blob))
            entries[path] = msgspec.structs.replace(entry, blob=number if entry.kind == "file" else -1)
        return entries

    def delete(self, name: str) -> dict[str, Any]:
        """Remove it and all its copies before this returns. Raises UsageError."""
        with self._lock:
            manifest, stages = self._manifest(name), _Stages()
            with stages.of("remove"):
                self._discard(name)
            return {"name": name, "gone": True, "image": manifest.image, "stages_ns": stages.spent_ns}

    def delete_all(self) -> None:
        """Remove all of them, and the folder."""
        with self._lock:
            for name in tuple(self._manifests):
                self._discard(name)
            self._store.rmdir()

    def _discard(self, name: str) -> None:
        doomed = self._store / f"{_DOOMED}{secrets.token_hex(8)}"
        (self._store / name).rename(doomed)
        del self._manifests[name]
        shutil.rmtree(doomed)

    @contextlib.contextmanager
    def _draft(self) -> Iterator[Path]:
        draft = self._store / f"{_UNFINISHED}{secrets.token_hex(8)}"
        (draft / "blobs").mkdir(parents=True)
        try:
            yield draft
        finally:
            if draft.exists():
                shutil.rmtree(draft)

    def _publish(self, manifest: Manifest, draft: Path) -> None:
        (draft / "manifest.json").write_bytes(msgspec.json.encode(manifest))
        draft.rename(self._store / manifest.name)
        found = sorted((*self._manifests.values(), manifest), key=lambda each: each.number)
        self._manifests = {each.name: each for each in found}

    def _refuse_taken(self, name: str, *, room: bool = True) -> None:
        if not _NAME.fullmatch(name):
            raise UsageError(f"name: expected up to 63 of a-z, 0-9, '.', '_' and '-', found {name[:80]!r}")
        if name in self._manifests:
            raise UsageError(f"snapshot '{name}' exists already; delete it first, or choose another name")
        if room and len(self._manifests) >= self._workspace.limits.snapshots:
            raise UsageError(f"there are {len(self._manifests)} snapshots, as many as may be; delete one first")

    def _manifest(self, name: str) -> Manifest:
        if name not in self._manifests:
            raise UsageError(f"there is no snapshot '{name[:80]}'; known: {', '.join(self._manifests) or 'none'}")
        return self._manifests[name]

    def _described(self, manifest: Manifest) -> dict[str, Any]:
        return {
            "name": manifest.name,
            "created_at": manifest.created_at,
            "files": len(manifest.entries),
            "size_bytes": manifest.size_bytes,
            "clone": manifest.clone,
            "image": manifest.image,
            "skipped": manifest.skipped,
            "changed_meanwhile": list(manifest.changed_meanwhile),
            "stages_ns": manifest.stages_ns,
        }

    def _log(self, manifest: Manifest) -> None:
        """The line that a slow snapshot is looked for in; a stage that was not asked for has no time."""
        spent = {name: manifest.stages_ns.get(name) for name in ("clone_ws", "clone_sys", "hash")}
        times = " ".join(f"{name}_ms={'none' if ns is None else f'{ns / 1e6:.3f}'}" for name, ns in spent.items())
        told = f"sandbox={self._owner} snapshot={manifest.name} files={len(manifest.entries)} clone={manifest.clone}"
        _LOG.info("snapshot_into_slot timing %s %s", times, told)


class _Stages:
    """How long each part took, on the monotonic clock."""

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = {}

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        began_ns = time.monotonic_ns()
        yield
        self.spent_ns[name] = time.monotonic_ns() - began_ns


def _loaded(path: Path) -> Manifest:
    try:
        return msgspec.json.decode((path / "manifest.json").read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"'{path}' is no snapshot that can be read ({error}); remove that folder") from error


def _with_hash(entry: Entry, blobs: Path) -> Entry:
    if entry.kind == "link":
        return entry
    with (blobs / str(entry.blob)).open("rb", buffering=0) as copy:
        digest, _ = inventory.digest_of(copy.fileno(), most_bytes=entry.size_bytes)
    return msgspec.structs.replace(entry, sha256=digest)
