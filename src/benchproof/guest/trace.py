"""One batch of the probe, instruction by instruction: QEMU logs what an exact clone executes, and here it is counted.

QEMU writes one line for each guest instruction when each is a block of its own and no block is chained to the next.
The log goes through a pipe and is counted as it comes; nothing of it is kept. The probe calls a function at the begin
and at the end of each batch; from one call to the next is what its clock counts. When the wanted batch has ended, the
log is switched off, and the run goes on to its end at full speed, so that what it printed can be judged as a whole.
The pipe is read for as long as the run lasts: a processor that found the log still on may write its line into a full
pipe after QEMU's monitor has said that the log is off, and without a reader it would stand there for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchproof.errors import LabInvalid, NotSupported, TargetFailed
from benchproof.guest import exact
from benchproof.guest.machine import Guest
from benchproof.guest.snapshot import resume
from benchproof.model import Completed, Frozen

LINES_LIMIT = 60_000_000
_ONE_BY_ONE = ("one-insn-per-tb", "singlestep")  # QEMU since 8.1, and before
_PIPE_BYTES = 1 << 20
_PAUSE_S = 0.002  # a reader that waits for every line slows down who writes it
# A block that was logged, but then did not run: an interrupt came first, or its input and output wants another try.
_NOT_RUN = re.compile(rb"Trace [^\n]*\n(?:Stopped|cpu_io_recompile)[^\n]*\n")
_ADDRESS = re.compile(rb"/([0-9a-f]{16})/")


class Trace(Frozen, frozen=True):
    """How often each instruction of one batch ran, by its address; and the whole run that the batch was in."""

    counts: dict[int, int]
    completed: Completed


class Batch:
    """Counts the addresses between two calls of the function at `marker`, the first of them call number `first`."""

    def __init__(self, marker: int, first: int) -> None:
        self._marker = b"/%016x/" % marker
        self._calls_left = first + 1  # until the batch begins
        self._unread = b""
        self._counts: Counter[bytes] = Counter()
        self.lines = 0
        self.ended = False

    def feed(self, log: bytes) -> None:
        """Take the next part of the log, cut anywhere."""
        log = self._unread + log
        end = log.rfind(b"\nTrace ") + 1  # what comes behind the last one may take it back
        self._unread = log[end:]
        self._count(log[:end])

    def finish(self) -> None:
        """The log has ended: its last line counts too."""
        log, self._unread = self._unread, b""
        self._count(log)

    def _count(self, log: bytes) -> None:
        if b"\nStopped" in log or b"\ncpu_io_recompile" in log:
            log = _NOT_RUN.sub(b"", log)
        before, *behind = log.split(self._marker)
        self._take(before)
        for part in behind:
            self.ended |= self._calls_left == 0
            self._calls_left = max(0, self._calls_left - 1)
            self._take(self._marker + part)

    def _take(self, log: bytes) -> None:
        if self.ended:
            return
        self.lines += log.count(b"\n")
        if self._calls_left == 0:
            self._counts.update(_ADDRESS.findall(log))

    @property
    def counts(self) -> dict[int, int]:
        """Address -> how often it ran."""
        return {int(address, 16): count for address, count in self._counts.items()}


def trace(
    counter: exact.Counter,
    argv: Sequence[str],
    batch: Batch,
    *,
    timeout_s: float,
    stopped: threading.Event,
    lines_limit: int = LINES_LIMIT,
    left_out: tuple[int, int] | None = None,
) -> Trace:
    """Run the probe in a clone and count one batch. Leaves nothing running.

    What is `left_out`, from the first address to before the second, is not logged: the agent's long wait, for instance.

    Raises LabInvalid beyond a limit, or where the batch did not come; NotSupported where QEMU cannot do it;
    TargetFailed; and whatever ends the lab's work sets `stopped`.
    """
    deadline_s = time.monotonic() + timeout_s
    with ThreadPoolExecutor(2) as pool, counter.clone(argv, options=_filter(left_out)) as guest, _log_of(guest) as log:
        resume(guest, counter.snapshot)
        run = pool.submit(guest.wire.await_completed, timeout_s=timeout_s)
        off: Future[None] | None = None
        while _read(log, batch) or not run.done():
            _refuse_more(batch, deadline_s=deadline_s, lines_limit=lines_limit, timeout_s=timeout_s, stopped=stopped)
            if batch.ended and off is None:
                off = pool.submit(_switch_off, guest)
        batch.finish()
        completed = run.result()
    if not batch.ended:
        raise LabInvalid(
            f"the batch did not come in {batch.lines:,} instructions: the probe's own count of batches is wrong"
        )
    return Trace(counts=batch.counts, completed=completed)


def _filter(left_out: tuple[int, int] | None) -> tuple[str, ...]:
    if left_out is None:
        return ()
    start, end = left_out
    return "-dfilter", f"0x0..{start - 1:#x},{end:#x}..{2**64 - 1:#x}"


@contextlib.contextmanager
def _log_of(guest: Guest) -> Iterator[int]:
    """The reading end of the log of a frozen guest. Raises NotSupported."""
    with tempfile.TemporaryDirectory(prefix="benchproof-trace-") as folder:
        pipe = Path(folder) / "log"
        os.mkfifo(pipe, 0o600)
        log = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            with contextlib.suppress(PermissionError):  # more than this user's share of all pipes: it is only slower
                fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            _command(guest, f"logfile {pipe}")
            if all(_complaint(guest, f"{option} on") for option in _ONE_BY_ONE):
                raise NotSupported("this QEMU cannot run its guest instruction by instruction")
            _command(guest, "log exec,nochain")
            yield log
        finally:
            os.close(log)


def _command(guest: Guest, line: str) -> None:
    if words := _complaint(guest, line):
        raise NotSupported(f"this QEMU cannot trace, it answers '{line.partition(' ')[0]}' with: {words}")


def _complaint(guest: Guest, line: str) -> str:
    """What QEMU's monitor for humans says to a command; nothing if all is well."""
    arguments: dict[str, Any] = {"command-line": line}
    return str(guest.monitor.execute("human-monitor-command", **arguments)).strip()


def _read(log: int, batch: Batch) -> bool:
    """Count what there is, up to the size of the pipe; False if there was nothing."""
    size = fcntl.fcntl(log, fcntl.F_GETPIPE_SZ)
    try:
        part = os.read(log, size)
    except BlockingIOError:
        part = b""
    batch.feed(part)
    if len(part) < size // 2:
        time.sleep(_PAUSE_S)
    return bool(part)


def _refuse_more(
    batch: Batch, *, deadline_s: float, lines_limit: int, timeout_s: float, stopped: threading.Event
) -> None:
    if stopped.is_set():
        raise LabInvalid("the trace was ended with the work around it")
    if batch.lines > lines_limit:
        raise LabInvalid(f"the trace passed its limit of {lines_limit:,} instructions before the batch had ended")
    if time.monotonic() > deadline_s:
        raise LabInvalid(
            f"the trace was not done within {timeout_s:g} s (--timeout), after {batch.lines:,} instructions"
        )


def _switch_off(guest: Guest) -> None:
    """A QEMU that waits for its reader does not listen, so the pipe has to be read meanwhile."""
    with contextlib.suppress(TargetFailed):  # a guest that is gone says so itself
        for line in ("log none", *(f"{option} off" for option in _ONE_BY_ONE)):
            _complaint(guest, line)
