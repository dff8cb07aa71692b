"""What the user sees while a run goes on: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from benchproof.errors import Interrupted, one_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_LINE_EVERY_S = 10.0


class Progress:
    """Draws only between invocations: nothing of ours runs while one is timed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Bar | None = None
        self._left: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._spent_s: defaultdict[str, float] = defaultdict(float)
        self._last_s = self._line_at_s = time.monotonic()
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

    def planned(self, targets: Sequence[str]) -> None:
        """The target of each invocation to come, in order."""
        self._left.update(targets)
        self._last_s = time.monotonic()
        if self._bar is not None:  # of the blocks until the last look
            self._bar.stop()
        if not self._stream.isatty():
            self._say(f"{len(targets)} invocations to do")
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description:50}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Bar(*columns, console=Console(file=self._stream), auto_refresh=False, transient=True)
        self._bar.add_task("measuring", total=len(targets), left="")
        self._bar.start()

    def note(self, message: str) -> None:
        """Something that the user wants to know."""
        self._say(message)

    def done(self, block: int, target: str, benchmark: str) -> None:
        """One invocation has ended."""
        now_s = time.monotonic()
        self._spent_s[target] += now_s - self._last_s
        self._last_s = now_s
        self._done[target] += 1
        self._left[target] -= 1
        name = "warm-up" if block < 0 else f"block {block + 1}"
        left = f"about {self._left_s():.0f} s left"
        if self._bar is not None:
            what = f"{name}: {target} {benchmark}"
            self._bar.update(self._bar.task_ids[0], advance=1, description=what, left=left, refresh=True)
        elif now_s - self._line_at_s >= _LINE_EVERY_S or not self._left.total():
            self._line_at_s = now_s
            self._say(f"{name}: {self._done.total()} of {self._done.total() + self._left.total()} invocations, {left}")

    def _left_s(self) -> float:
        """A guest takes much longer than a process: each target is reckoned at its own pace."""
        overall_s = sum(self._spent_s.values()) / self._done.total()
        pace_s = {target: self._spent_s[target] / count for target, count in self._done.items()}
        return sum(count * pace_s.get(target, overall_s) for target, count in self._left.items())

    def _say(self, message: str) -> None:
        print(f"benchproof: {one_line(message)}", file=self._stream, flush=True)
