"""The room to work in, and leaving it: a scratch folder, a cache, a probe for this host, and signals that unwind.

Nothing here knows of runs or plans. What a killed process left behind is cleared by the next one that opens a room.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from benchproof.errors import Interrupted, StoreError
from benchproof.model import Lab
from benchproof.places import cache_folder as cache_folder  # noqa: PLC0414 - part of what this offers
from benchproof.probe import Probe, build

_SCRATCH_PREFIX = "benchproof-scratch-"


class Room(Lab):
    """A lab that keeps the logs until the present invocation is recorded."""

    def __init__(self, *, scratch: Path, probe: Path) -> None:
        self.logs: list[tuple[str, bytes]] = []
        super().__init__(
            cache=cache_folder(),
            scratch=scratch,
            log=lambda name, content: self.logs.append((name, content)),
            probe=probe,
        )


@contextlib.contextmanager
def opened(probe: Probe) -> Iterator[Room]:
    """A scratch folder that is gone afterwards.

    Those that killed processes left behind go first; and last, for a service that was started here was killed here.
    """
    _clear()
    try:
        with _scratch(probe) as room:
            yield room
    finally:
        _clear()


def _clear() -> None:
    places = (_temporary_folder(), Path("/dev/shm"))  # noqa: S108 - the second is where targets keep files in memory
    for stale in (folder for place in places for folder in place.glob(f"{_SCRATCH_PREFIX}*")):
        if not _is_in_use(stale):
            shutil.rmtree(stale, ignore_errors=True)


@contextlib.contextmanager
def _scratch(probe: Probe) -> Iterator[Room]:
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH_PREFIX}{os.getpid()}-") as folder:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            room = Room(scratch=Path(folder), probe=probe.path)
            with room.until_closed:
                yield room
        finally:
            os.close(lock)


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StoreError(f"cannot write temporary files: {error.strerror}; make room or set TMPDIR") from error


def _is_in_use(folder: Path) -> bool:
    """Its process is alive, or (in another namespace of processes) someone holds its lock."""
    pid = folder.name.removeprefix(_SCRATCH_PREFIX).partition("-")[0]
    if not pid.isdigit() or Path("/proc", pid).exists():
        return True
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return True  # not ours to touch
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def prepare_probe(cache: Path) -> Probe:
    """The probe for this host. Raises NotSupported without a compiler, StoreError where the cache cannot be written."""
    try:
        return build(cache)
    except OSError as error:
        raise StoreError(
            f"cannot write to the cache '{cache}': {error.strerror}; set XDG_CACHE_HOME to a folder that can be written"
        ) from error


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM become `Interrupted`, once: what it unwinds is not interrupted again."""
    stopped = False
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        for each in before:
            signal.signal(each, lambda _number, _frame: None)  # SIG_IGN makes Python complain of those under way
        raise Interrupted(number)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        if not stopped:  # else we are on the way out, and nothing shall disturb that
            for number, handler in before.items():
                signal.signal(number, handler)
