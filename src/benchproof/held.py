"""What one instance held of this host, told apart from what later has the same name: and what of it is still there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from benchproof.model import Footprint, Frozen

_STATE, _START = 0, 19  # fields of /proc/PID/stat behind the name
_AT_REST = "ZXTt"  # states: ended, or stopped by a signal or a tracer


class Held(Frozen, frozen=True):
    """What one instance held. A process is known by its pid and its start in clock ticks: pids are used again.

    `remains` asks the system that the instance was of, which may be on another host.
    """

    processes: tuple[tuple[int, int], ...]
    files: tuple[Path, ...]
    remains: Callable[[], Sequence[str]] | None = None


def held(footprint: Footprint) -> Held:
    """Of the footprint, what exists now."""
    started = [(pid, _started(pid)) for pid in footprint.processes]
    return Held(
        processes=tuple((pid, ticks) for pid, ticks in started if ticks is not None),
        files=tuple(path for path in footprint.files if os.path.lexists(path)),
        remains=footprint.remains,
    )


def left(what: Held) -> list[str]:
    """What of it is still on this host. A process that ended and that nobody awaited is still there."""
    processes = [f"process {pid} ({_name(pid)})" for pid, ticks in what.processes if _started(pid) == ticks]
    return processes + [f"file {path}" for path in what.files if os.path.lexists(path)]


def at_rest(what: Held) -> list[str]:
    """The processes that run no more: gone, ended but not awaited, or stopped."""
    states = [(pid, ticks, (_stat(pid) or ["X"])[_STATE]) for pid, ticks in what.processes]
    return [f"process {pid} ({_name(pid)})" for pid, ticks, now in states if now in _AT_REST or _started(pid) != ticks]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[_START]) if fields else None


def _name(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "gone"
    return f"{name}, ended but not awaited" if (_stat(pid) or ["?"])[_STATE] == "Z" else name
