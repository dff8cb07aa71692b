"""What a tree of processes and its files hold of this host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from benchproof.errors import LabInvalid
from benchproof.model import Footprint

_PARENT = 1  # field of /proc/PID/stat behind the name
_BLOCK_BYTES = 512  # of st_blocks


def footprint(root: int, files: Iterable[Path] = ()) -> Footprint:
    """Of the process `root`, its descendants, and `files`. Raises LabInvalid."""
    files = tuple(files)
    processes = (root, *descendants(root))
    return Footprint(
        processes=processes,
        files=files,
        memory_bytes=sum(map(proportional_set_bytes, processes)),
        disk_bytes=disk_bytes(files),
    )


def descendants(root: int) -> tuple[int, ...]:
    """Children of `root`, their children, and so on."""
    parents = _parents()
    found: set[int] = set()
    generation = {root}
    while generation:
        generation = {pid for pid, parent in parents.items() if parent in generation} - found
        found |= generation
    return tuple(sorted(found))


def _parents() -> dict[int, int]:
    """Parent of each process of this machine, by pid."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found[int(stat.parent.name)] = int(stat.read_text(errors="replace").rpartition(")")[2].split()[_PARENT])
    return found


def proportional_set_bytes(pid: int) -> int:
    """Memory of a process, a page that n processes share counted 1/n; 0 for one that has ended. Raises LabInvalid."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError as error:
        raise LabInvalid(f"the memory of process {pid} cannot be read: {error.strerror}") from error
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def disk_bytes(files: Iterable[Path]) -> int:
    """Blocks in use, not logical size; links are not followed."""
    return sum(path.lstat().st_blocks * _BLOCK_BYTES for path in files)
