"""Clones that are started before anyone asks for them.

There are no threads: `tend` ends what is too old and starts what is missing, and is called between two samples, when
no clock runs. Whatever happens, leaving the pool ends every clone that nobody took.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple

from benchproof.model import ForkableInstance

Start = Callable[[], AbstractContextManager[ForkableInstance]]


class _Ready(NamedTuple):
    instance: ForkableInstance
    life: ExitStack  # closing it ends the clone
    since_s: float


class Pool:
    """`check` raises if a clone is not healthy; each is asked when it is started, and again when it is handed out."""

    def __init__(
        self,
        start: Start,
        *,
        size: int,
        refresh_s: float,
        check: Callable[[ForkableInstance], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._size = size
        self._refresh_s = refresh_s
        self._check = check
        self._clock = clock
        self._ready: deque[_Ready] = deque()
        self.taken = 0
        self.replaced = 0  # clones that grew too old before anyone took them

    def tend(self) -> None:
        """End what is too old, start what is missing. Raises StartFailed."""
        while self._ready and self._clock() - self._ready[0].since_s > self._refresh_s:
            self._ready.popleft().life.close()
            self.replaced += 1
        while len(self._ready) < self._size:
            with ExitStack() as life:
                instance = life.enter_context(self._start())
                self._check(instance)  # its first work is done: that is what makes it ready
                self._ready.append(_Ready(instance, life.pop_all(), self._clock()))

    @contextmanager
    def take(self) -> Iterator[ForkableInstance]:
        """The oldest clone, checked; leaving the context ends it. A pool that is empty is a bug of its user."""
        oldest = self._ready.popleft()
        with oldest.life:
            self._check(oldest.instance)
            self.taken += 1
            yield oldest.instance

    def close(self) -> None:
        """End every clone that is left, also where the end of one of them raises."""
        with ExitStack() as all_of_them:
            while self._ready:
                all_of_them.push(self._ready.popleft().life)


@contextmanager
def pooled(pool: Pool) -> Iterator[Pool]:
    """The pool, full; leaving the context empties it."""
    try:
        pool.tend()
        yield pool
    finally:
        pool.close()
