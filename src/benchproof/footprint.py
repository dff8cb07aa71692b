"""What a tree of processes and its files hold of this host, and what of its memory and CPU time it uses."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from benchproof.errors import LabInvalid
from benchproof.model import Footprint, Frozen

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


def offspring(root: int) -> tuple[int, ...]:
    """As `descendants`, by the lists of the kernel: quick, but a child whose brother ends meanwhile may be missing.

    Where this kernel keeps no such lists (CONFIG_PROC_CHILDREN), every process is looked at.
    """
    if not Path("/proc/self/task", str(os.getpid()), "children").exists():
        return descendants(root)
    found: list[int] = []
    unseen = [root]
    while unseen:
        children = [child for parent in unseen for child in _children(parent)]
        found += children
        unseen = children
    return tuple(sorted(found))


def _children(pid: int) -> list[int]:
    lists = []
    with contextlib.suppress(OSError):  # it ended meanwhile
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("[0-9]*/children")]
    return [int(child) for each in lists for child in each.split()]


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


# ---- what a tree of processes uses: memory at its peak, and CPU time ----

_LOOKS = 5  # at a tree in which processes end while it is looked at
_CPU_CLOCK_SCHED = 2  # of clock_gettime: what all threads of another process ran, those that ended too, in ns
_WAITED_USER, _WAITED_SYSTEM = 13, 14  # fields of /proc/PID/stat behind the name, in clock ticks: children awaited


class Usage(Frozen, frozen=True, kw_only=True):
    """Of a tree of processes at one moment. `pss`: a page that n processes share counts 1/n in each; `rss`: in full."""

    processes: tuple[int, ...]
    rss_bytes: int
    pss_bytes: int
    peak_rss_bytes: int  # the sum of what each had at its own most: no lower than the tree's peak


def tree(roots: Iterable[int]) -> tuple[int, ...]:
    """The processes and all their descendants, parents first."""
    return tuple(dict.fromkeys(pid for root in roots for pid in (root, *descendants(root))))


def usage(roots: Iterable[int]) -> Usage:
    """Of these processes and their descendants; one that ends meanwhile counts nothing. Raises LabInvalid."""
    processes = tree(roots)
    statuses = [_status(pid) for pid in processes]
    return Usage(
        processes=tuple(pid for pid, found in zip(processes, statuses, strict=True) if found),
        rss_bytes=sum(found.get("VmRSS", 0) for found in statuses),
        pss_bytes=sum(map(proportional_set_bytes, processes)),
        peak_rss_bytes=sum(found.get("VmHWM", 0) for found in statuses),
    )


def _status(pid: int) -> dict[str, int]:
    """The amounts of memory in /proc/PID/status, in bytes; empty for a process that ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    pairs = (line.partition(":") for line in lines if line.endswith(" kB"))
    return {name: int(amount.split()[0]) << 10 for name, _, amount in pairs}


def cpu_ns(roots: Iterable[int]) -> int:
    """CPU time of these processes and their descendants since each began, and of the children that they awaited.

    What lives is counted in ns, what was awaited in clock ticks. Who is awaited by nobody of the tree is lost, so it is
    looked again while anybody ends: a difference of two looks is no more than what was used. Raises LabInvalid.
    """
    for _ in range(_LOOKS):
        try:
            return sum(_cpu_ns(pid) for pid in tree(roots))
        except ProcessLookupError:
            continue
    raise LabInvalid(
        f"the CPU time of a tree of processes cannot be read: in {_LOOKS} looks one of them ended each time"
    )


def _cpu_ns(pid: int) -> int:
    try:
        own_ns = time.clock_gettime_ns(~pid << 3 | _CPU_CLOCK_SCHED)
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError as error:
        raise ProcessLookupError(f"process {pid} ended") from error
    ticks = int(fields[_WAITED_USER]) + int(fields[_WAITED_SYSTEM])
    return own_ns + ticks * 10**9 // os.sysconf("SC_CLK_TCK")
