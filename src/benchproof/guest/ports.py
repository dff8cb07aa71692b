"""TCP ports of this host that lead to a guest: free ones unless a plan insists, and who holds one that is taken.

Nothing is ended but a QEMU that a benchproof started, wrote down and left behind: its record has its pid and its start
time, so that no other process can be meant, and the benchproof that started it is gone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchproof.errors import LabInvalid
from benchproof.footprint import descendants
from benchproof.guest.hardware import NETWORK
from benchproof.guest.monitor import Monitor
from benchproof.model import Frozen

ADDRESS = "127.0.0.1"  # nobody but this host reaches a guest
_TRIES = 5  # to find a free port that nobody else takes in between
_LISTENS = "0A"
_STATE, _STARTED = 0, 19  # fields of /proc/PID/stat behind the name
_END_TIMEOUT_S = 10.0


class Forward(Frozen, frozen=True, forbid_unknown_fields=True):
    """A port of the guest, and that of the host that the plan insists on; None: a free one."""

    guest: int
    host: int | None = None

    def __post_init__(self) -> None:
        for port in (self.guest, self.host):
            if port is not None and not 1 <= port <= 65535:
                raise ValueError(f"expected a port from 1 to 65535, found {port}")


class Process(Frozen, frozen=True):
    """One process of one boot of this host, and no other that has its pid later."""

    pid: int
    started: str  # in clock ticks since the boot

    def lives(self) -> bool:
        """Whether it is still there."""
        return _identity(self.pid) == self


class Record(Frozen, frozen=True):
    """A QEMU with ports of this host, and who started it."""

    boot_id: str
    qemu: Process
    owner: Process


def _identity(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in {"Z", "X"} else Process(pid, fields[_STARTED])


def open_all(monitor: Monitor, wanted: Sequence[Forward], *, records: Path) -> dict[int, int]:
    """Port of the guest -> the host's that leads to it from now on. Raises LabInvalid if one is taken, and by whom."""
    return {
        each.guest: _open_fixed(monitor, each, records) if each.host else _open_free(monitor, each.guest)
        for each in wanted
    }


def _open_free(monitor: Monitor, guest: int) -> int:
    for _ in range(_TRIES):
        with socket.socket() as trial:
            trial.bind((ADDRESS, 0))
            port: int = trial.getsockname()[1]
        if not (refusal := _add(monitor, port, guest)):
            return port
    raise LabInvalid(f"no port of this host could be led to port {guest} of the guest: {refusal}")


def _open_fixed(monitor: Monitor, forward: Forward, records: Path) -> int:
    port = forward.host or 0
    refusal = _add(monitor, port, forward.guest)
    if refusal and any(_end_stale(pid, records) for pid in holders(port)):
        refusal = _add(monitor, port, forward.guest)
    if refusal:
        raise LabInvalid(
            f"port {port} of {ADDRESS}, on which the plan insists, is taken by {_told(port) or refusal}; "
            f"end that, or leave `host` out of forward: a free port is then found"
        )
    return port


def _add(monitor: Monitor, port: int, guest: int) -> str:
    """Empty if QEMU did it, else what it says."""
    command = f"hostfwd_add {NETWORK} tcp:{ADDRESS}:{port}-:{guest}"
    arguments: dict[str, Any] = {"command-line": command}
    return str(monitor.execute("human-monitor-command", **arguments)).strip()


# ---- who holds a port ----


def holders(port: int) -> list[int]:
    """The processes that listen there, as far as we may look."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    return sorted(pid for pid in _pids() if inodes & _open_files(pid))


def _listening(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without version 6
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                    yield rest[5]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _open_files(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(path.readlink()))
    return found


def _told(port: int) -> str:
    """Its holders in words; empty if nobody listens."""
    if not any(_listening(port)):
        return ""
    named = [f"'{_program(pid)}' (pid {pid})" for pid in holders(port)]
    return " and ".join(named) or "a process that this user may not look into"


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return "gone"


# ---- what we left behind ----


@contextlib.contextmanager
def recorded(supervisor_pid: int, records: Path) -> Iterator[None]:
    """While the context lasts, a record says that the QEMU under that supervisor is ours."""
    written = []
    for pid in descendants(supervisor_pid):
        qemu, owner = _identity(pid), _identity(os.getpid())
        if qemu and owner:
            path = records / f"{pid}.json"
            records.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(Record(_boot_id(), qemu, owner)))
            written.append(path)
    try:
        yield
    finally:
        for path in written:
            path.unlink(missing_ok=True)


def _end_stale(pid: int, records: Path) -> bool:
    """End this process if it is a QEMU of ours whose benchproof is gone; whether that was done."""
    try:
        record = msgspec.json.decode((records / f"{pid}.json").read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return False
    descriptor = _held(pid)
    if descriptor is None:
        return False
    try:
        # looked at after the descriptor was opened: what it says is of the process that would be ended
        if record.boot_id != _boot_id() or not record.qemu.lives() or record.owner.lives():
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], _END_TIMEOUT_S)
    finally:
        os.close(descriptor)
    (records / f"{pid}.json").unlink(missing_ok=True)
    return True


def _held(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
