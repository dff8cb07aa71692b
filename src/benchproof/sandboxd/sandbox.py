"""One sandbox that is alive: its instance, the lock that keeps its commands apart, and its end.

A command that does not end in time, or that fails in a way that is not its exit status, leaves a doubt: the sandbox is
then asked for a random word, and ended if it does not give it back.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from benchproof.benchmarks.lifecycle import leaks
from benchproof.errors import Flooded, InvocationError, LabInvalid, NotSupported, TargetFailed
from benchproof.footprint import offspring
from benchproof.held import at_rest
from benchproof.model import Completed, Footprint, ForkableInstance, Frozen, Image, Instance
from benchproof.sandboxd.backend import Origin, check
from benchproof.sandboxd.limits import Limits, Refused
from benchproof.sandboxd.stages import Stages

_LOG = logging.getLogger(__name__)


@runtime_checkable
class _Abortable(Protocol):
    def abort(self) -> None: ...


@runtime_checkable
class _Rooted(Protocol):
    """All that it is stands below one process and in some files."""

    @property
    def pid(self) -> int | None: ...

    @property
    def files(self) -> tuple[Path, ...]: ...


@runtime_checkable
class _Freezing(Protocol):
    def footprint(self) -> Footprint: ...

    def freeze(self) -> Image: ...


@runtime_checkable
class _Beside(Protocol):
    def run_beside(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed: ...


class Ended(Frozen, frozen=True):
    """What became of a sandbox that was ended."""

    elapsed_ns: int  # until all that it held was gone, or until the patience was
    left: tuple[str, ...]  # what is still there
    complaint: str = ""  # what its target said of it when it ended


class Sandbox:
    """Its methods are called from any thread. `name` is empty as long as it waits in a pool."""

    def __init__(self, instance: Instance, life: ExitStack, origin: Origin, image: str = "") -> None:
        self.name = ""
        self.instance = instance
        self.origin = origin
        self.image = image
        self.since_s = time.monotonic()
        self._life = life
        self._lock, self._beside = threading.Lock(), threading.Lock()
        self._commanded = False  # a command runs
        self._waiting = 0
        self._waiting_lock = threading.Lock()
        self._ending = False
        self._own = leaks.held(Footprint(processes=self.processes, files=(), memory_bytes=0, disk_bytes=0))

    @property
    def ending(self) -> bool:
        """Whether it is being ended, or was."""
        return self._ending

    @property
    def age_s(self) -> float:
        """Since it was handed out."""
        return time.monotonic() - self.since_s

    @property
    def processes(self) -> tuple[int, ...]:
        """Of the host: the root of them first."""
        pid = self.instance.pid if isinstance(self.instance, _Rooted) else None
        return () if pid is None else (pid, *offspring(pid))

    @property
    def folder(self) -> Path | None:
        """Its workspace on the host; None: the workspace is inside alone."""
        return getattr(self.instance, "folder", None)

    @property
    def workspace(self) -> str:
        """Where files are put, as a command sees it."""
        return str(getattr(self.instance, "workspace", "/tmp"))  # noqa: S108 - a path inside

    def run(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float, limits: Limits, stages: Stages) -> Completed:
        """One command; `stages` get `wait` and `run`. Raises Refused, TargetFailed, TimedOut, Flooded."""
        with self.held(wait_s=timeout_s, limits=limits):
            stages.lap("wait")
            try:
                done = self._commanding(argv, stdin, timeout_s)
            except TargetFailed as error:
                stages.lap("run")
                self._refuse_if_ending()
                raise type(error)(f"{error} ({self._proven()})") from error
            stages.lap("run")
            self._refuse_if_ending()
        if max(len(done.stdout), len(done.stderr)) > limits.output_bytes:
            raise Flooded(f"'{argv[0]}' printed more than {limits.output_bytes} bytes (the sandbox is usable)")
        return done

    def _commanding(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        self._commanded = True
        try:
            return self.instance.run(argv, stdin=stdin, timeout_s=timeout_s)
        finally:
            self._commanded = False

    def run_beside(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float, limits: Limits) -> Completed:
        """A short command of the service's own: if it can be, beside one that runs, which may wait for what it does."""
        with self._beside:
            if self._commanded and isinstance(self.instance, _Beside):
                return self.instance.run_beside(argv, stdin=stdin, timeout_s=timeout_s)
        return self.run(argv, stdin=stdin, timeout_s=timeout_s, limits=limits, stages=Stages())

    @contextlib.contextmanager
    def held(self, *, wait_s: float, limits: Limits) -> Iterator[Instance]:
        """For one user alone. Raises Refused: 503 where others wait already or take too long, 410 where it is ended."""
        with self._waiting_lock:
            if self._waiting > limits.commands_waiting:
                words = f"{limits.commands_waiting} requests wait for sandbox '{self.name}' already"
                raise Refused(503, words, retry_after_s=1)
            self._waiting += 1
        try:
            if not self._lock.acquire(timeout=wait_s):
                words = f"sandbox '{self.name}' is busy: the command before did not end within {wait_s:g} s"
                raise Refused(503, words, retry_after_s=1)
        finally:
            with self._waiting_lock:
                self._waiting -= 1
        try:
            self._refuse_if_ending()
            yield self.instance
        finally:
            self._lock.release()

    def _refuse_if_ending(self) -> None:
        if self._ending:
            raise Refused(410, f"sandbox '{self.name}' was deleted meanwhile")

    def prove(self) -> None:
        """Raise TargetFailed where it serves no more, told by its own processes; where it has none, by a command."""
        if not self._own.processes:
            check(self.instance)
        elif dead := at_rest(self._own):
            raise TargetFailed(f"of the sandbox {', '.join(dead)} runs no more")

    def _proven(self) -> str:
        """Whether it still serves, in words; one that does not is ended by `Sandboxes` when it is told so."""
        try:
            check(self.instance)
        except InvocationError:
            self._ending = True
            return "the sandbox was ended"
        return "the sandbox is usable"

    def freeze(self, *, limits: Limits) -> Image:
        """Raises NotSupported, Refused, InvocationError."""
        if not isinstance(self.instance, _Freezing):
            raise NotSupported("sandboxes of this backend cannot be frozen", missing="--backend qemu or gvisor")
        with self.held(wait_s=limits.busy_s, limits=limits) as instance, self._beside:
            return cast("ForkableInstance", instance).freeze()

    def footprint(self) -> Footprint:
        """What it holds now. One whose commands are its only processes holds none between them. Raises LabInvalid."""
        if isinstance(self.instance, _Freezing):
            return self.instance.footprint()
        files = () if self.folder is None else (self.folder, *sorted(self.folder.rglob("*")))
        sizes = [path.lstat().st_blocks * 512 for path in files if path.exists()]
        return Footprint(processes=(), files=files, memory_bytes=0, disk_bytes=sum(sizes))

    def end(self) -> Ended:
        """End it, whatever it does; returns when all that it held is gone. Call it once."""
        began_ns = time.monotonic_ns()
        self._ending = True
        held = self._held()
        if not self._lock.acquire(blocking=False):  # a command is under way, and shall not hold up the end
            if isinstance(self.instance, _Abortable):
                self.instance.abort()
            self._lock.acquire()
        complaint = ""
        try:
            self._life.close()
        except (InvocationError, OSError) as error:  # it has ended all the same: each level below ends what it began
            complaint = str(error)
        finally:
            self._lock.release()
        gone_ns, left = leaks.await_gone(held)
        return Ended(gone_ns - began_ns, tuple(left), complaint)

    def _held(self) -> leaks.Held:
        """Without its memory, which takes longer to add up than the end takes."""
        if isinstance(self.instance, _Rooted):
            twice = dict.fromkeys((*self.processes, *self.processes))  # one that is missed once is seen the other time
            held = Footprint(processes=tuple(twice), files=self.instance.files, memory_bytes=0, disk_bytes=0)
            return leaks.held(held)
        try:
            return leaks.held(self.footprint())
        except (TargetFailed, LabInvalid, OSError):  # it ended by itself: what it held is what its folders are
            return leaks.Held((), () if self.folder is None else (self.folder,))


def started(begin: contextlib.AbstractContextManager[Instance], origin: Origin, image: str = "") -> Sandbox:
    """A sandbox that serves. Raises InvocationError, having ended what it began."""
    with ExitStack() as life:
        instance = life.enter_context(begin)
        if not isinstance(instance, _Freezing):  # a start that made nothing but a folder has proven nothing
            check(instance)
        return Sandbox(instance, life.pop_all(), origin, image)
