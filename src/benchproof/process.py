"""Starts foreign programs so that nothing of theirs outlives us.

Each program runs under `probe supervise`, which holds one end of a pipe, the lifeline. When the lifeline closes,
because we closed it, crashed or were killed with signal 9, the supervisor ends the program and all its descendants,
also those that left for a session of their own. What a program prints is bounded in memory. No shell is used.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from benchproof.errors import Flooded, Interrupted, StartFailed, TimedOut
from benchproof.model import Completed
from benchproof.pinning import confined

OUTPUT_LIMIT_BYTES = 16 << 20  # of one stream of one command
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_CHUNK_BYTES = 1 << 16
_END_TIMEOUT_S = 30.0
_LONGEST_WAIT_S = 86_400.0  # the kernel counts a wait in 32 bits of milliseconds


class Supervised:
    """A program that runs until the context is left: then it and its descendants are ended and awaited."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        supervisor: Path,
        stdin: int = subprocess.DEVNULL,
        cwd: Path | None = None,
        environment: Mapping[str, str] = ENVIRONMENT,
        pass_fds: Sequence[int] = (),
        cpus: Sequence[int] = (),
    ) -> None:
        theirs, ours = os.pipe()
        self._lifeline: int | None = ours
        try:
            with confined(cpus):  # inherited by all that is started; ours again as soon as it runs
                self._process = subprocess.Popen(
                    [supervisor, "supervise", str(theirs), *argv],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=cwd,
                    env=dict(environment),
                    pass_fds=(theirs, *pass_fds),
                    start_new_session=True,  # Ctrl-C in a terminal is for us; the lifeline tells the rest
                )
        except BaseException as error:
            self._cut_lifeline()
            if isinstance(error, OSError) and error.errno == errno.E2BIG:
                size_bytes = sum(map(len, argv))
                raise StartFailed(f"a command line of {size_bytes} characters is too long for this host") from error
            raise
        finally:
            os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()

    @property
    def pid(self) -> int:
        """Of the supervisor; the program is its child."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def stderr(self) -> IO[bytes]:
        assert self._process.stderr is not None
        return self._process.stderr

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, negative for a signal; None if it still runs after `timeout_s`."""
        if self._process.returncode is None:
            try:
                descriptor = os.pidfd_open(self._process.pid)  # Popen.wait(timeout) would look only every 50 ms
            except ProcessLookupError:  # reaped already, by a wait that a signal interrupted
                return self._process.wait()
            try:
                ended, _, _ = select.select([descriptor], [], [], min(_LONGEST_WAIT_S, timeout_s))
            finally:
                os.close(descriptor)
            if ended:
                self._process.wait()
        return self._process.returncode

    def stop(self) -> None:
        """End it and all its descendants, and wait until they are gone; what they printed can still be read."""
        self._cut_lifeline()
        try:
            self.wait(_END_TIMEOUT_S)
        except Interrupted:  # comes once; the wait still has to be done
            self.wait(_END_TIMEOUT_S)
            raise

    def _cut_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def run(
    argv: Sequence[str],
    *,
    supervisor: Path,
    timeout_s: float,
    stdin: bytes = b"",
    cwd: Path | None = None,
    environment: Mapping[str, str] = ENVIRONMENT,
    cpus: Sequence[int] = (),
    began: Callable[[Supervised], object] = lambda _: None,
) -> Completed:
    """Run one command to its end. Raises TimedOut or Flooded, having ended all that it started.

    `began` is told of the program as soon as it runs, so that another thread can stop it.
    """
    started_ns = time.monotonic_ns()
    with Supervised(
        argv, supervisor=supervisor, stdin=subprocess.PIPE, cwd=cwd, environment=environment, cpus=cpus
    ) as program:
        began(program)
        stdout, stderr = _exchange(program, stdin, command=argv[0], deadline_s=time.monotonic() + timeout_s)
        status = program.wait(max(0.0, timeout_s - (time.monotonic_ns() - started_ns) / 1e9))
        elapsed_ns = time.monotonic_ns() - started_ns
    if status is None:
        raise TimedOut(_late(argv[0], timeout_s))
    return Completed(exit_status=status, stdout=stdout, stderr=stderr, elapsed_ns=elapsed_ns)


def _late(command: str, timeout_s: float) -> str:
    return f"'{command}' did not end within {timeout_s:g} s; it and all that it started were ended"


def _exchange(program: Supervised, stdin: bytes, *, command: str, deadline_s: float) -> tuple[bytes, bytes]:
    """Feed standard input and read both outputs until they close."""
    started_s = time.monotonic()
    outputs = {program.stdout: bytearray(), program.stderr: bytearray()}
    unsent = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for stream in outputs:
            selector.register(stream, selectors.EVENT_READ)
        os.set_blocking(program.stdin.fileno(), False)
        selector.register(program.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(min(_LONGEST_WAIT_S, max(0.0, deadline_s - time.monotonic())))
            if not ready and time.monotonic() >= deadline_s:
                raise TimedOut(_late(command, deadline_s - started_s))
            for key, _ in ready:
                if key.fileobj is program.stdin:
                    unsent = _feed(selector, program.stdin, unsent)
                else:
                    _drain(selector, key, outputs[key.fileobj], command)  # type: ignore[index]
    return bytes(outputs[program.stdout]), bytes(outputs[program.stderr])


def _feed(selector: selectors.BaseSelector, stream: IO[bytes], unsent: memoryview) -> memoryview:
    try:
        unsent = unsent[os.write(stream.fileno(), unsent[:_CHUNK_BYTES]) :]
    except BrokenPipeError:  # a command need not read its input
        unsent = unsent[:0]
    if not unsent:
        selector.unregister(stream)
        stream.close()
    return unsent


def _drain(selector: selectors.BaseSelector, key: selectors.SelectorKey, output: bytearray, command: str) -> None:
    chunk = os.read(key.fd, _CHUNK_BYTES)
    output += chunk
    if not chunk:
        selector.unregister(key.fileobj)
    if len(output) > OUTPUT_LIMIT_BYTES:
        raise Flooded(f"'{command}' printed more than {OUTPUT_LIMIT_BYTES >> 20} MiB; it was ended")


class Tail(threading.Thread):
    """Reads a stream to its end and keeps its first and last `keep_bytes`: a flood costs time, not memory."""

    def __init__(self, stream: IO[bytes], *, keep_bytes: int = 128 << 10) -> None:
        super().__init__(daemon=True)
        self._own = os.dup(stream.fileno())  # whoever closes the stream does not close it under this reader
        self._keep_bytes = keep_bytes
        self._head = bytearray()
        self._tail = bytearray()
        self.size_bytes = 0  # of all that came
        self.first_ns = 0  # when the first of it came, on the monotonic clock
        self.start()

    def run(self) -> None:
        with os.fdopen(self._own, "rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self.first_ns = self.first_ns or time.monotonic_ns()
        self.size_bytes += len(chunk)
        room = self._keep_bytes - len(self._head)
        self._head += chunk[:room] if room > 0 else b""
        self._tail += chunk[max(0, room) :]
        del self._tail[: max(0, len(self._tail) - self._keep_bytes)]

    def text(self) -> bytes:
        """What was kept, with a line that says how much was left out. Call it when the stream has ended."""
        self.join(_END_TIMEOUT_S)
        left_out = self.size_bytes - len(self._head) - len(self._tail)
        gap = b"\n[... %d bytes left out ...]\n" % left_out if left_out else b""
        return bytes(self._head) + gap + bytes(self._tail)
