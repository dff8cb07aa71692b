"""What the user sees while a run goes on: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from benchproof.errors import Interrupted

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from benchproof.plan import Case

_LINE_EVERY_S = 10.0


class Progress:
    """Draws only between invocations: nothing of ours runs while one is timed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Bar | None = None
        self._total = 0
        self._done = 0
        self._started_s = self._line_at_s = time.monotonic()
        self._path: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if isinstance(error, Interrupted) and self._path is not None:
            self._say(f"what was recorded is kept; go on with: benchproof run --resume {self._path}")

    def began(self, path: Path) -> None:
        """The run has a place."""
        self._path = path

    def planned(self, invocations: int) -> None:
        """How many invocations there will be."""
        self._total = invocations
        self._started_s = time.monotonic()
        if not self._stream.isatty():
            self._say(f"{invocations} invocations to do")
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description:44}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=Console(file=self._stream), auto_refresh=False, transient=True)
        self._bar.add_task("measuring", total=invocations)
        self._bar.start()

    def note(self, message: str) -> None:
        """Something that the user wants to know."""
        self._say(message)

    def done(self, block: int, case: Case) -> None:
        """One invocation has ended."""
        self._done += 1
        name = "warm-up" if block < 0 else f"block {block + 1}"
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0],
                advance=1,
                description=f"{name}: {case.target} {case.name}",
                refresh=True,
            )
        elif time.monotonic() - self._line_at_s >= _LINE_EVERY_S or self._done == self._total:
            self._line_at_s = time.monotonic()
            left_s = (self._line_at_s - self._started_s) / self._done * (self._total - self._done)
            self._say(f"{name}: {self._done} of {self._total} invocations, about {left_s:.0f} s left")

    def _say(self, message: str) -> None:
        print(f"benchproof: {message}", file=self._stream, flush=True)
