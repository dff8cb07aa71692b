"""A limit on the memory of some processes, and how often the kernel killed one for it: control groups, both versions.

A group is made beneath one that we may write to: as root, or where it was delegated to us. What a process has when it
is moved into a group stays charged to the old one; what it touches from then on counts.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from benchproof.errors import LabInvalid, NotSupported
from benchproof.model import Frozen

_ROOT, _OURS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_GRACE_S, _LOOK_S = 5.0, 0.005
_WAY = "root, or a delegated group with the memory controller: systemd-run --user --scope -p Delegate=yes ..."


class Hierarchy(Frozen, frozen=True):
    """Where groups with a limit on memory can be made, and which one we are in ourselves."""

    version: int
    parent: Path
    home: Path


class Group(Frozen, frozen=True):
    """A group with a limit."""

    hierarchy: Hierarchy
    path: Path

    def add(self, pid: int) -> None:
        """A process and what it starts from now on. Raises LabInvalid."""
        _write(self.path / "cgroup.procs", str(pid))

    @property
    def oom_kills(self) -> int:
        """How many processes in it the kernel killed because it was full."""
        name = "memory.events" if self.hierarchy.version == 2 else "memory.oom_control"
        words = (self.path / name).read_text().split()
        return int(words[words.index("oom_kill") + 1])


def hierarchy(*, root: Path = _ROOT, ours: Path = _OURS) -> Hierarchy:
    """The one for memory. Raises NotSupported where there is none that we may use."""
    try:
        lines = [line.split(":", 2) for line in ours.read_text().splitlines()]
    except OSError as error:
        raise NotSupported(f"this kernel has no control groups: {error.strerror}") from error
    paths = {name: path for _, names, path in lines for name in names.split(",")}
    if "memory" in paths:
        return _first(paths["memory"], root / "memory")
    if "" in paths and (root / "cgroup.controllers").exists():
        return _second(paths[""], root)
    raise NotSupported("no control group limits memory here", missing=_WAY)


@contextlib.contextmanager
def limited(where: Hierarchy, name: str, *, limit_bytes: int) -> Iterator[Group]:
    """A new group. When the context is left, what is in it goes back to where we are, and it is removed."""
    path = where.parent / name
    try:
        path.mkdir()
    except OSError as error:
        raise NotSupported(
            f"cannot make a control group in '{where.parent}': {error.strerror}", missing=_WAY
        ) from error
    group = Group(where, path)
    try:
        for file, value in _limits(where, limit_bytes).items():
            if (path / file).exists():
                _write(path / file, value)
        yield group
    finally:
        _remove(group)


def _limits(where: Hierarchy, limit_bytes: int) -> dict[str, str]:
    """Swap would let it have more."""
    if where.version == 1:
        return {"memory.limit_in_bytes": str(limit_bytes), "memory.memsw.limit_in_bytes": str(limit_bytes)}
    return {"memory.max": str(limit_bytes), "memory.swap.max": "0"}


def _first(path: str, mounted: Path) -> Hierarchy:
    """In a namespace of its own, our path may be one that is not seen from within: then the root is ours."""
    home = mounted / path.lstrip("/")
    home = home if home.is_dir() else mounted
    if not os.access(home, os.W_OK):
        raise NotSupported(f"the control group '{home}' cannot be written", missing=_WAY)
    return Hierarchy(1, parent=home, home=home)


def _second(path: str, root: Path) -> Hierarchy:
    """A group that has processes hands no controller on, so groups are made beside ours or further up."""
    home = root / path.lstrip("/")
    home = home if home.is_dir() else root
    for each in (home, *home.parents):
        if not each.is_relative_to(root):
            break
        handed_on = (each / "cgroup.subtree_control").read_text().split()
        if "memory" in handed_on and os.access(each, os.W_OK) and os.access(each / "cgroup.procs", os.W_OK):
            return Hierarchy(2, parent=each, home=home)
    raise NotSupported("no control group that we may write to hands on the memory controller", missing=_WAY)


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value)
    except ProcessLookupError:  # a process that has just ended needs no limit
        return
    except OSError as error:
        raise LabInvalid(f"cannot write '{value}' to '{path}': {error.strerror}") from error


def _remove(group: Group) -> None:
    deadline_s = time.monotonic() + _GRACE_S
    while True:
        for pid in (group.path / "cgroup.procs").read_text().split():
            _write(group.hierarchy.home / "cgroup.procs", pid)
        try:
            group.path.rmdir()
        except OSError as error:  # one that was killed counts until it is awaited
            if time.monotonic() > deadline_s:
                raise LabInvalid(f"the control group '{group.path}' cannot be removed: {error.strerror}") from error
            time.sleep(_LOOK_S)
        else:
            return
