"""Guests that start in tens of milliseconds: boot once, freeze, then map the frozen memory copy-on-write.

The first start of a machine boots it with its memory in a file and lets QEMU write the rest of its state (0.3 MB)
beside it. Each later start maps the same file privately and loads that state. A snapshot is keyed by the hash of all
that made it; whatever does not fit its own record is made anew, never trusted. Source of the mechanism: QEMU's
migration capability `x-ignore-shared`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from benchproof.errors import NotSupported, StartFailed, TargetFailed
from benchproof.guest import delta, disk, hashed
from benchproof.guest.machine import Guest, Log, Machine, boot, launched
from benchproof.guest.monitor import Refused
from benchproof.model import Frozen

CACHE_LIMIT_BYTES = 8 << 30  # disk blocks in use by all snapshots; the least recently used go first
_RECORD, _RAM, _STATE, _DISK = "record.json", "ram", "state", "disk"
_CAPABILITIES = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]
_RESTORE_TIMEOUT_S = 30.0
_FORMAT = "record 2"  # in each key, so that a version that knows another record leaves ours alone
_TRIES = 3
_LEAST_ROOM_BYTES = 1 << 20  # a file system with less is full
_NO_LIMIT = 1 << 40  # bytes a second
_NEWER = 'QEMU 4.0 or newer; or start = "cold" in the plan'
_WAY_OUT = 'room in, and write access to, the cache folder (XDG_CACHE_HOME); or start = "cold" in the plan'


class Record(Frozen, frozen=True):
    """What a snapshot must be to be used."""

    key: str
    ram_sha256: str  # of its data, as `hashed.memory_sha256` counts it
    state_sha256: str
    boot_id: str
    disk_sha256: str = ""  # of the layer that the guest wrote until it was frozen; empty if it has no disk


class Snapshot(Frozen, frozen=True):
    """A frozen guest on disk: its memory, None where all of it is in the state, and the state of the machine.

    What it wrote to its own disk lies in `disk`, of the cache, and above that in `layers`.
    """

    ram: Path | None
    state: Path
    boot_id: str
    disk: Path | None = None
    layers: tuple[Path, ...] = ()


def key_of(machine: Machine) -> str:
    """The hash of everything that makes the guest: both programs, both images, every argument."""
    emulator = shutil.which(machine.architecture.emulator) or machine.architecture.emulator
    parts = [_FORMAT, *map(hashed.sha256, (Path(emulator), machine.kernel, machine.initramfs))]
    parts += machine.described().command(wire="", monitor="", ram=_RAM, layers=[Path(_DISK)])
    for each in filter(None, (machine.disk, machine.below)):
        parts += [str(each.size_bytes), base_sha256(each)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def base_sha256(of: disk.Disk) -> str:
    """Of the image at the bottom; empty if there is none. Raises StartFailed."""
    try:
        return of.sha256 or (hashed.sha256(of.base) if of.base else "")
    except OSError as error:
        raise StartFailed(f"cannot read the disk image '{of.base}': {error.strerror}") from error


def ensure(
    machine: Machine,
    *,
    cache_folder: Path,
    supervisor: Path,
    timeout_s: float,
    log: Log,
    check: Callable[[Snapshot], None] = lambda _: None,
) -> Snapshot:
    """The snapshot of this machine, made now if there is none that is whole. Raises StartFailed, NotSupported.

    `check` raises TargetFailed for a fresh one that is not good enough; a few more are then tried.
    """
    key = key_of(machine)
    folder = cache_folder / "snapshots" / key
    record = _trusted(folder, key)
    if record is None:
        with _only_one(folder.parent):
            record = _trusted(folder, key) or _make(machine, key, folder, supervisor, timeout_s, log, check)
            _evict(folder.parent, keep=folder)
    try:
        os.utime(folder)
    except OSError as error:  # QEMU opens the memory for writing, though it maps it privately
        raise NotSupported(f"cannot use a snapshot: {error.strerror}", missing=_WAY_OUT) from error
    return _in(folder, record)


def _in(folder: Path, record: Record) -> Snapshot:
    layer = folder / _DISK if record.disk_sha256 else None
    return Snapshot(ram=folder / _RAM, state=folder / _STATE, boot_id=record.boot_id, disk=layer)


@contextlib.contextmanager
def restored(
    machine: Machine, snapshot: Snapshot, *, supervisor: Path, log: Log, layers: Sequence[Path] = ()
) -> Iterator[Guest]:
    """A fresh clone that runs, with `layers` on its disk; leaving the context ends it. Raises StartFailed."""
    ram = str(snapshot.ram or "")
    with launched(machine, supervisor=supervisor, log=log, ram=ram, restored=True, layers=layers) as guest:
        launched_ns = time.monotonic_ns()
        resume(guest, snapshot)
        resumed_ns = time.monotonic_ns()
        with _waking():
            fresh = guest.wire.freshen(timeout_s=_RESTORE_TIMEOUT_S)
            if fresh.boot_id != snapshot.boot_id:
                raise TargetFailed("it is not the one that was frozen, its boot id differs")
        guest.stages = {
            "launch": launched_ns - guest.requested_ns,
            "restore": resumed_ns - launched_ns,
            "freshen": time.monotonic_ns() - resumed_ns,
        }
        yield guest


@contextlib.contextmanager
def _waking() -> Iterator[None]:
    try:
        yield
    except TargetFailed as error:
        raise StartFailed(f"the frozen guest did not wake up: {error}") from error


@_waking()
def resume(guest: Guest, snapshot: Snapshot) -> None:
    """Load the frozen state into a machine that waits for it, and let it go on. Raises StartFailed."""
    _share(guest)
    with snapshot.state.open("rb") as state:
        guest.monitor.execute("getfd", descriptor=state.fileno(), fdname="state")
        guest.monitor.execute("migrate-incoming", uri="fd:state")
    guest.monitor.await_migration()
    guest.monitor.execute("cont")


def _share(guest: Guest) -> None:
    """The memory stays in its file, whichever way the state goes. Raises NotSupported."""
    try:
        guest.monitor.execute("migrate-set-capabilities", capabilities=_CAPABILITIES)
    except Refused as error:
        raise NotSupported(f"this QEMU cannot freeze guests: {error}", missing=_NEWER) from error


def freeze(guest: Guest, base: Path | None, state: Path, chain: disk.Chain) -> Snapshot:
    """Write what differs from `base`, the memory that the guest started with, into `state`; the guest goes on.

    So it does on a new layer of its disk, `chain`. Those below it get names that begin as that of `state` does.
    """
    boot_id = guest.wire.freshen(timeout_s=_RESTORE_TIMEOUT_S).boot_id
    guest.monitor.execute("stop")  # nothing is on its way to the disk any more
    layers = chain.freeze(guest.monitor, state)
    _share(guest)
    guest.monitor.execute("migrate-set-parameters", **{"max-bandwidth": _NO_LIMIT})
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb", buffering=1 << 20) as stream, state.open("wb") as out:
        try:
            guest.monitor.execute("getfd", descriptor=theirs, fdname="state")
            guest.monitor.execute("migrate", uri="fd:state")
        finally:
            os.close(theirs)
        delta.write(stream, out, base=base)
    guest.monitor.await_migration()
    guest.monitor.execute("cont")
    return Snapshot(ram=base, state=state, boot_id=boot_id, disk=chain.cached, layers=layers)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two runs that start at once make a snapshot once. Raises NotSupported where the cache cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise NotSupported(f"cannot write a snapshot: {error.strerror}", missing=_WAY_OUT) from error


def _make(
    machine: Machine,
    key: str,
    folder: Path,
    supervisor: Path,
    timeout_s: float,
    log: Log,
    check: Callable[[Snapshot], None],
) -> Record:
    draft = folder.with_name(".new")
    for attempt in range(_TRIES):
        for stale in (draft, folder):
            shutil.rmtree(stale, ignore_errors=True)
        draft.mkdir()
        try:
            record = _freeze(machine, key, draft, supervisor=supervisor, timeout_s=timeout_s, log=log)
            (draft / _RECORD).write_bytes(msgspec.json.encode(record))
            check(_in(draft, record))
            draft.rename(folder)
            break
        except TargetFailed as error:
            if _is_full(draft):  # QEMU itself dies of it, by a signal and without a word
                raise NotSupported("cannot write a snapshot: there is no room left", missing=_WAY_OUT) from error
            if attempt == _TRIES - 1 or isinstance(error, StartFailed):
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return record


def _freeze(machine: Machine, key: str, draft: Path, *, supervisor: Path, timeout_s: float, log: Log) -> Record:
    start = launched if machine.exact else partial(boot, timeout_s=timeout_s)
    layers = _first_layer(machine, draft)
    with start(machine, supervisor=supervisor, log=log, ram=str(draft / _RAM), layers=layers) as guest:
        if machine.exact:
            _await_self_freeze(guest, timeout_s)
            boot_id = ""
        else:
            guest.wire.run([machine.probe, "settle"], timeout_s=timeout_s)
            boot_id = guest.wire.freshen(timeout_s=_RESTORE_TIMEOUT_S).boot_id
            guest.monitor.execute("stop")
        _share(guest)
        with (draft / _STATE).open("wb") as state:
            guest.monitor.execute("getfd", descriptor=state.fileno(), fdname="state")
            guest.monitor.execute("migrate", uri="fd:state")
        guest.monitor.await_migration()
    return Record(
        key=key,
        ram_sha256=hashed.memory_sha256(draft / _RAM),
        state_sha256=hashed.sha256(draft / _STATE),
        boot_id=boot_id,
        disk_sha256=_sealed(layers),
    )


def _first_layer(machine: Machine, draft: Path) -> tuple[Path, ...]:
    if machine.disk is None:
        return ()
    disk.create(draft / _DISK, machine.disk.size_bytes)
    return (draft / _DISK,)


def _sealed(layers: Sequence[Path]) -> str:
    for layer in layers:
        disk.seal(layer)
    return "".join(map(hashed.sha256, layers))  # of the only one


def _await_self_freeze(guest: Guest, timeout_s: float) -> None:
    try:
        guest.monitor.await_event("GUEST_PANICKED", timeout_s=timeout_s)
    except TargetFailed as error:
        status = guest.program.wait(0.2)  # a machine that ended closes its monitor a little before
        late = f"did not freeze itself within {timeout_s:g} s ({error})"
        raise StartFailed(
            f"the guest {late if status is None else f'ended before it froze itself (exit status {status})'}"
        ) from error


def _is_full(folder: Path) -> bool:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < _LEAST_ROOM_BYTES


def _trusted(folder: Path, key: str) -> Record | None:
    """The record of a snapshot whose files are those that were written; None for anything else."""
    try:
        record = msgspec.json.decode((folder / _RECORD).read_bytes(), type=Record)
        found = [hashed.memory_sha256(folder / _RAM), hashed.sha256(folder / _STATE)]
        found += [hashed.sha256(folder / _DISK)] if record.disk_sha256 else []
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    expected = [each for each in (record.ram_sha256, record.state_sha256, record.disk_sha256) if each]
    return record if (record.key, expected) == (key, found) else None


def _evict(folder: Path, *, keep: Path) -> None:
    """Throw away the least recently used until the rest is within the limit; who runs from one keeps his mapping."""
    snapshots = [each for each in folder.iterdir() if each.is_dir()]
    used = {each: sum(file.stat().st_blocks * 512 for file in each.iterdir()) for each in snapshots}
    for each in sorted(snapshots, key=lambda each: each.stat().st_mtime):
        if sum(used.values()) > CACHE_LIMIT_BYTES and each != keep:
            shutil.rmtree(each, ignore_errors=True)
            del used[each]
