"""Is an instance really gone? What it held is noted while it lives, and looked for when it was ended."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchproof.model import Footprint, Frozen

_GRACE_S = 2.0  # after the end of an instance was reported; what still exists then is a leak
_LOOK_S = 0.0002
_STATE, _START = 0, 19  # fields of /proc/PID/stat behind the name
_SHOWN = 5


class Held(Frozen, frozen=True):
    """What one instance held. A process is known by its pid and its start in clock ticks: pids are used again."""

    processes: tuple[tuple[int, int], ...]
    files: tuple[Path, ...]


def held(footprint: Footprint) -> Held:
    """Of the footprint, what exists now."""
    started = [(pid, _started(pid)) for pid in footprint.processes]
    return Held(
        processes=tuple((pid, ticks) for pid, ticks in started if ticks is not None),
        files=tuple(path for path in footprint.files if os.path.lexists(path)),
    )


def left(what: Held) -> list[str]:
    """What of it is still there. A process that ended and that nobody awaited is still there."""
    processes = [f"process {pid} ({_name(pid)})" for pid, ticks in what.processes if _started(pid) == ticks]
    return processes + [f"file {path}" for path in what.files if os.path.lexists(path)]


def await_gone(what: Held) -> tuple[int, list[str]]:
    """When all of it was gone, on the host's clock in ns, and what was left after the grace."""
    deadline_s = time.monotonic() + _GRACE_S
    while True:
        found, now_ns = left(what), time.monotonic_ns()
        if not found or time.monotonic() > deadline_s:
            return now_ns, found
        time.sleep(_LOOK_S)


class Ledger:
    """All instances that were ended in one invocation."""

    def __init__(self) -> None:
        self._held: list[Held] = []
        self._left: list[str] = []

    def ended(self, what: Held) -> int:
        """Enter an instance that was just ended; returns when all that it held was gone, in ns."""
        gone_ns, found = await_gone(what)
        self._held.append(what)
        self._left += found
        return gone_ns

    def evidence(self) -> dict[str, str]:
        """What `oracles.nothing_left` reads."""
        more = f" and {len(self._left) - _SHOWN} more" if len(self._left) > _SHOWN else ""
        return {
            "instances_ended": str(len(self._held)),
            "fewest_processes_held": str(min((len(each.processes) for each in self._held), default=0)),
            "files_held": str(sum(len(each.files) for each in self._held)),
            "left_behind": ", ".join(self._left[:_SHOWN]) + more or "nothing",
        }


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
