"""Sandboxes that are started before anyone asks for them, by a thread of their own.

Each has done its first work when it is ready, and its processes are looked at when it is handed out. What was taken is
made anew when the daemon has been without a request for a moment: a start takes a whole CPU, and the request that
follows a provision is the one that its client waits for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from benchproof.errors import BenchproofError, InvocationError
from benchproof.model import Frozen
from benchproof.sandboxd.backend import check
from benchproof.sandboxd.sandbox import Sandbox

_LOG = logging.getLogger(__name__)
_REFRESH_S = 600.0
_QUIET_S = 0.03  # without a request: then it is nobody's time that a start takes
_PATIENCE_S = 1.0  # but no longer than that
_BACK_OFF_S = 2.0  # after a start that failed
_LOOK_S = 0.01
_WARM_UPS = 3  # commands until an emulated guest has translated what a command takes: 100, 35, then 10 ms


class Stats(Frozen, frozen=True):
    """What `GET /pool` answers."""

    size: int  # how many are wanted
    ready: int
    taken: int
    missed: int  # provisions that found it empty
    replaced: int  # too old, or dead when they were to be handed out
    failed: int  # starts that went wrong
    last_error: str = ""


class Pool:
    """`start` makes one. Nothing is made before `resize`. `busy` says whether a request is under way."""

    def __init__(
        self, start: Callable[[], Sandbox], *, busy: Callable[[], bool], refresh_s: float = _REFRESH_S
    ) -> None:
        self._start = start
        self._busy = busy
        self._refresh_s = refresh_s
        self._changed = threading.Condition()
        self._ready: deque[Sandbox] = deque()
        self._size = self._taken = self._missed = self._replaced = self._failed = self._making = 0
        self._last_error = ""
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def size(self) -> int:
        """How many sandboxes it may hold."""
        return self._size

    def stats(self) -> Stats:
        """Now."""
        with self._changed:
            return Stats(
                self._size,
                len(self._ready),
                self._taken,
                self._missed,
                self._replaced,
                self._failed,
                self._last_error,
            )

    def resize(self, size: int, *, timeout_s: float) -> Stats:
        """Wait until so many are ready, a start fails, or the time is over."""
        with self._changed:
            failed = self._failed
            self._size = size
            if self._thread is None and size:
                self._thread = threading.Thread(target=self._tend, name="pool", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: len(self._ready) == self._size or self._failed > failed or self._closed, timeout_s
            )
        return self.stats()

    def take(self) -> Sandbox | None:
        """The oldest one that still serves; None where there is none, or no pool is wanted."""
        while self._size:
            with self._changed:
                if not self._ready:
                    self._missed += 1
                    return None
                oldest = self._ready.popleft()
                self._changed.notify_all()
            try:
                oldest.prove()
            except InvocationError as error:
                self._replace(oldest, str(error))
                continue
            with self._changed:
                self._taken += 1
            return oldest
        return None

    def close(self) -> None:
        """End all that nobody took."""
        with self._changed:
            self._closed = True
            self._size = 0
            self._changed.notify_all()
        if self._thread:
            self._thread.join()

    def _tend(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(self._is_work, timeout=self._refresh_s / 10)
            self._shrink()
            while len(self._ready) < self._size and self._give_way():
                self._fill()
        self._shrink()

    def _is_work(self) -> bool:
        return self._closed or len(self._ready) != self._size

    def _shrink(self) -> None:
        """End what is too much or too old."""
        while True:
            with self._changed:
                much = len(self._ready) > self._size
                old = bool(self._ready) and time.monotonic() - self._ready[0].since_s > self._refresh_s
                if not (much or old):
                    return
                oldest = self._ready.popleft()
                self._changed.notify_all()
            if much:
                oldest.end()
            else:
                self._replace(oldest, "it was too old")

    def _replace(self, sandbox: Sandbox, why: str) -> None:
        with self._changed:
            self._replaced += 1
        _LOG.info("pool replaced=1 why=%r", why)
        sandbox.end()

    def _give_way(self) -> bool:
        """Wait for a moment without requests; not where nothing is left to hand out, and never long."""
        until_s, quiet_since_s = time.monotonic() + _PATIENCE_S, time.monotonic()
        while self._ready and not self._closed and time.monotonic() < until_s:
            if self._busy():
                quiet_since_s = time.monotonic()
            elif time.monotonic() - quiet_since_s >= _QUIET_S:
                break
            time.sleep(_LOOK_S)
        return not self._closed

    def _fill(self) -> None:
        try:
            sandbox = self._checked()
        except (BenchproofError, OSError) as error:  # no room and no descriptor are OSError, and pass
            _LOG.warning("pool failed=1 error=%r", str(error))
            with self._changed:
                self._failed += 1
                self._last_error = str(error)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed, timeout=_BACK_OFF_S)
            return
        with self._changed:
            self._ready.append(sandbox)
            self._changed.notify_all()

    def _checked(self) -> Sandbox:
        """One that is warm: it has done its first work, more than once; one that cannot is ended."""
        sandbox = self._start()
        try:
            for _ in range(_WARM_UPS):
                check(sandbox.instance)
        except BaseException:
            sandbox.end()
            raise
        return sandbox
