"""Boots a system that speaks by its serial console alone, and listens until it is over: what came, and when.

QEMU waits until its monitor answers, so that the way in which the machine ends is never missed: with `-no-reboot`, a
reset, such as that of a triple fault, ends QEMU with the same exit status as a proper power-off.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Literal

import msgspec

from benchproof.errors import StartFailed, TargetFailed
from benchproof.guest import kvm, ports
from benchproof.guest.appliance import Appliance
from benchproof.guest.monitor import Monitor
from benchproof.guest.ports import Forward
from benchproof.model import Frozen
from benchproof.process import Supervised

FLOOD_BYTES = 4 << 20
_COMPLAINT_BYTES = 64 << 10
_CHUNK_BYTES = 1 << 16
_MERGED_NS = 1_000_000  # pieces that came within it are one: a serial port brings a byte at a time
_SILENCE_S = 1.0  # of a console, before it is looked at for a panic: a dead system is not waited for
_END_S = 5.0  # for QEMU to be gone once its console has closed
_COMPLAINT = re.compile(r"^qemu(?![^\n]*: warning: )[^\n]+", re.MULTILINE)
_SHUTDOWNS = {  # what QEMU's monitor says of an end that was none of ours
    "guest-reset": "the guest reset the machine (a reboot, or a triple fault)",
    "guest-panic": "the guest said that it panicked",
}

How = Literal["trailer", "power-off", "debug-exit", "exited", "time-out", "flood"]


class Patience(Frozen, frozen=True, kw_only=True):
    """How long to listen, and what is an end."""

    timeout_s: float
    linger_s: float | None  # after the trailer; None: until the machine ends by itself
    exit_status: int  # of a debug exit that means success
    is_over: Callable[[bytes], bool]  # of the end of the console: whether the trailer has come
    is_dead: Callable[[bytes], bool] = lambda _: False  # of all of it: whether there is nothing more to wait for


class Recording(Frozen, frozen=True, kw_only=True):
    """All that came, and how it ended. `complaint`: in QEMU's own words, or in those of its monitor."""

    text: bytes
    arrivals: tuple[tuple[int, int], ...]  # offset of the first byte of a piece, when its last had come (monotonic, ns)
    how: How
    exit_status: int | None
    complaint: str
    at_ns: int
    stderr: bytes = b""  # all that QEMU said, warnings too
    fell: bool = False  # by a reset or a panic that it reported, whatever it had printed before
    leads: dict[int, int] = msgspec.field(default_factory=dict)  # port of the guest -> the host's that led to it


def record(
    appliance: Appliance,
    patience: Patience,
    *,
    supervisor: Path,
    arguments: str = "",
    forward: Sequence[Forward] = (),
    records: Path,
) -> Recording:
    """Boot it, with ports that lead to it, and listen to its end. `records`: where those of us with ports are known.

    Raises StartFailed with QEMU's words if QEMU itself does not start, LabInvalid if a port is taken.
    """
    with _powered(appliance, supervisor, arguments) as (program, monitor):
        if not forward:
            return _listened(program, monitor, patience)
        leads = ports.open_all(monitor, forward, records=records)
        with ports.recorded(program.pid, records):
            return msgspec.structs.replace(_listened(program, monitor, patience), leads=leads)


def kvm_verdict(appliance: Appliance, *, supervisor: Path, cache: Path) -> str:
    """Empty if KVM boots this very system, which it does if anything is said; else why not."""

    def boots() -> str:
        patience = Patience(timeout_s=kvm.TIMEOUT_S, linger_s=0, exit_status=0, is_over=bool)
        try:
            heard = record(appliance.with_kvm(), patience, supervisor=supervisor, records=cache)
        except TargetFailed as error:
            return str(error)
        return "" if heard.text else heard.complaint or "it printed nothing"

    command = appliance.described().command(monitor="", arguments="")
    return kvm.verdict(appliance, image=appliance.image, command=command, boots=boots, cache=cache)


@contextlib.contextmanager
def _powered(appliance: Appliance, supervisor: Path, arguments: str) -> Iterator[tuple[Supervised, Monitor]]:
    """A QEMU whose system does not run yet; leaving the context ends it. Raises StartFailed with QEMU's words."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            descriptor = theirs.fileno()
            argv = appliance.command(monitor=str(descriptor), arguments=arguments)
            argv[0] = shutil.which(argv[0]) or argv[0]
            program = Supervised(argv, supervisor=supervisor, pass_fds=[descriptor], cpus=appliance.cpus)
        with program:
            monitor = Monitor(ours)
            try:
                monitor.pin(appliance.cpus, vcpus=appliance.vcpus)
                monitor.execute("query-status")
            except TargetFailed as error:
                program.stop()
                words = _complaint(program.stderr.read(_COMPLAINT_BYTES)) or str(error)
                raise StartFailed(f"QEMU did not start: {words}") from error
            yield program, monitor


def _listened(program: Supervised, monitor: Monitor, patience: Patience) -> Recording:
    ear = _Ear(program, monitor, patience)
    monitor.execute("cont")
    return ear.listen()


class _Ear:
    """Reads console, complaints and events of one QEMU until there is nothing more to wait for."""

    def __init__(self, program: Supervised, monitor: Monitor, patience: Patience) -> None:
        self._program = program
        self._monitor = monitor
        self._patience = patience
        self._text = bytearray()
        # an empty piece: all is said after it, so that a clock that runs ahead is found from the first line on
        self._arrivals = [(0, time.monotonic_ns())]
        self._group_ns = 0  # when the first piece of the last group came
        self._complaints = bytearray()
        self._looked_at = 0  # up to where no trailer was found

    def listen(self) -> Recording:
        """Until the console closes, the time is over, or all was said."""
        deadline_s = time.monotonic() + self._patience.timeout_s
        is_over = is_looked_at = False
        sources: list[IO[bytes] | Monitor] = [self._program.stdout, self._program.stderr, self._monitor]
        while self._program.stdout in sources:
            left_s = max(0.0, deadline_s - time.monotonic())
            ready, _, _ = select.select(sources, [], [], left_s if is_looked_at else min(left_s, _SILENCE_S))
            if len(self._text) > FLOOD_BYTES:
                return self._ended_by_us("flood")
            if time.monotonic() > deadline_s or (not ready and self._patience.is_dead(bytes(self._text))):
                return self._ended_by_us("trailer" if is_over else "time-out")
            is_looked_at = not ready
            for source in ready:
                if not self._take(source):
                    sources.remove(source)
            if not is_over and self._program.stdout in ready and self._is_over():
                is_over = True
                deadline_s = min(deadline_s, time.monotonic() + (self._patience.linger_s or 0))
        return self._ended_by_itself()

    def _take(self, source: IO[bytes] | Monitor) -> bool:
        """Read what is there; False at the end of it."""
        if isinstance(source, Monitor):
            return self._monitor.take_events()
        chunk = os.read(source.fileno(), _CHUNK_BYTES)
        if source is self._program.stderr:
            self._complaints += chunk[: max(0, _COMPLAINT_BYTES - len(self._complaints))]
        elif chunk:
            self._note_arrival()
            self._text += chunk
        return bool(chunk)

    def _note_arrival(self) -> None:
        """Its latest moment stands for a group, so that no byte is said to have come before it did."""
        now_ns = time.monotonic_ns()
        if self._group_ns and now_ns - self._group_ns < _MERGED_NS:
            self._arrivals[-1] = (self._arrivals[-1][0], now_ns)
        else:
            self._group_ns = now_ns
            self._arrivals.append((len(self._text), now_ns))

    def _is_over(self) -> bool:
        begins = self._text.rfind(b"\n", 0, self._looked_at)  # ahead of the line that was not whole yet
        looked_at = bytes(self._text[max(begins, self._looked_at - _CHUNK_BYTES, 0) :])
        self._looked_at = len(self._text)
        return self._patience.linger_s is not None and self._patience.is_over(looked_at)

    def _ended_by_us(self, how: How) -> Recording:
        at_ns = time.monotonic_ns()
        self._program.stop()
        return self._recording(how, exit_status=None, at_ns=at_ns)

    def _ended_by_itself(self) -> Recording:
        status = self._program.wait(_END_S)
        at_ns = time.monotonic_ns()
        self._program.stop()
        while self._monitor.take_events(timeout_s=_END_S):
            pass
        if status == 0 and self._monitor.shutdown == "guest-shutdown":
            return self._recording("power-off", exit_status=0, at_ns=at_ns)
        if status is not None and status == self._patience.exit_status and not self._monitor.shutdown:
            return self._recording("debug-exit", exit_status=status, at_ns=at_ns)
        return self._recording("exited", exit_status=status, at_ns=at_ns)

    def _recording(self, how: How, *, exit_status: int | None, at_ns: int) -> Recording:
        self._complaints += _left_in(self._program.stderr)[:_COMPLAINT_BYTES]
        return Recording(
            text=bytes(self._text),
            arrivals=tuple(self._arrivals),
            how=how,
            exit_status=exit_status,
            complaint=_complaint(self._complaints) or _SHUTDOWNS.get(self._monitor.shutdown, ""),
            at_ns=at_ns,
            stderr=bytes(self._complaints),
            fell=self._monitor.shutdown in _SHUTDOWNS,
        )


def _left_in(stream: IO[bytes]) -> bytes:
    """What a program that has ended left to be read."""
    os.set_blocking(stream.fileno(), False)
    return stream.read() or b""


def _complaint(said: bytes | bytearray) -> str:
    """The first line in which QEMU itself complains; its last word where none looks so."""
    text = bytes(said).decode(errors="replace")
    found = _COMPLAINT.search(text)
    lines = text.strip().splitlines()
    return found[0].strip() if found else lines[-1].strip() if lines else ""
