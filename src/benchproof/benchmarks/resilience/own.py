"""Signals to processes that we started ourselves, and to no others.

A process is known by its descent from this one, looked at while a descriptor holds its number: it cannot be a stranger
that got the number meanwhile. Supervisors are spared: they are what ends a sandbox if we are killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchproof.errors import LabInvalid, NotSupported
from benchproof.footprint import descendants
from benchproof.model import Frozen

_END_TIMEOUT_S = 10.0
_MISSING = "a target whose sandboxes run on this host as our children"


class Processes(Frozen, frozen=True):
    """Held by their descriptors, so that it is still them whatever happens to their numbers."""

    pids: tuple[int, ...]
    descriptors: tuple[int, ...]

    def kill(self) -> None:
        """SIGKILL, and wait until all of them have ended. Raises LabInvalid."""
        self.signal(signal.SIGKILL)
        deadline_s = time.monotonic() + _END_TIMEOUT_S
        for pid, descriptor in zip(self.pids, self.descriptors, strict=True):
            if not select.select([descriptor], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
                raise LabInvalid(f"process {pid} did not end within {_END_TIMEOUT_S:g} s of SIGKILL")

    def signal(self, number: signal.Signals) -> None:
        """To each that has not ended."""
        for descriptor in self.descriptors:
            with contextlib.suppress(ProcessLookupError):  # the end of another may have taken it along
                signal.pidfd_send_signal(descriptor, number)


@contextlib.contextmanager
def held(processes: Iterable[int]) -> Iterator[Processes]:
    """All of them but supervisors. Raises NotSupported where one is not ours, or there is none."""
    with contextlib.ExitStack() as stack:
        pids = tuple(pid for pid in processes if not _supervises(pid))
        descriptors = tuple(stack.enter_context(_descriptor(pid)) for pid in pids)
        ours = descendants(os.getpid())
        if not pids:
            raise NotSupported("cannot harm this sandbox: it has no process of its own", missing=_MISSING)
        if strangers := [pid for pid in pids if pid not in ours]:
            raise NotSupported(
                f"cannot harm this sandbox: we did not start its process {strangers[0]}", missing=_MISSING
            )
        yield Processes(pids, descriptors)


def untraced(processes: Iterable[int]) -> tuple[int, ...]:
    """Those that no other process traces. A traced one stands still with its tracer, as soon as it needs it.

    A stop of its own comes as a surprise: of gVisor's sandboxes on ptrace, 2 in 110 ended when all were stopped.
    """
    return tuple(pid for pid in processes if not _tracer_of(pid))


def _tracer_of(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("TracerPid:")), 0)


@contextlib.contextmanager
def _descriptor(pid: int) -> Iterator[int]:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        raise NotSupported(f"cannot harm this sandbox: process {pid}: {error.strerror}", missing=_MISSING) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _supervises(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[1:2] == [b"supervise"]
