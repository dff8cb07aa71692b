"""What the user sees while a run goes on: one line that is drawn anew, or plain lines where there is no terminal.

Nothing is drawn while an invocation is timed, by no thread either; and the terminal is changed in nothing (no hidden
cursor, no other screen), so that it is as it was however we end.
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from benchproof import letters
from benchproof.cli.output import in_colour, is_screen, letters_of
from benchproof.errors import Interrupted, one_line
from benchproof.model import Failed, Invalid, Outcome
from benchproof.outcomes import reason_of

_LINE_EVERY_S = 10.0
_MOST_TROUBLES = 20  # that are told at once; all of them are in the report
_LEAST_BAR, _MOST_BAR = 8, 40  # characters
_TO_BEGIN_OF_LINE = "\r\x1b[K"  # and away with what stands there

Invocation = tuple[int, str, str]  # block, target, benchmark


class Progress:
    """Draws only between invocations: nothing of ours runs while one is timed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._draws = is_screen(stream)
        self._left: deque[Invocation] = deque()
        self._done = 0
        self._counts: Counter[str] = Counter()
        self._told: set[tuple[str, str, str]] = set()
        self._pace = Pace()
        self._last_s = self._line_at_s = time.monotonic()
        self._path: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wipe()
        if isinstance(error, Interrupted) and self._path is not None:
            self._say(f"what was recorded is kept; go on with: benchproof run --resume {self._path}")

    def began(self, path: Path) -> None:
        """The run has a place."""
        self._path = path

    def planned(self, invocations: Sequence[Invocation]) -> None:
        """Each invocation to come, in order."""
        self._left.extend(invocations)
        self._pace.planned(invocations)
        self._last_s = time.monotonic()
        if self._draws:
            self._draw()
        else:
            self._say(f"{len(invocations)} invocations to do")

    def note(self, message: str) -> None:
        """Something that the user wants to know."""
        self._say(message)

    def done(self, block: int, target: str, benchmark: str, outcome: Outcome | None) -> None:
        """One invocation has ended, as what; None: there was nothing to do, its case is settled."""
        now_s = time.monotonic()
        self._pace.took(target, benchmark, now_s - self._last_s)
        self._last_s = now_s
        self._done += 1
        self._left.popleft()
        if outcome is not None:
            self._counts[type(outcome).__name__.lower()] += 1
            self._tell(block, target, benchmark, outcome)
        if self._draws:
            self._draw()
        elif now_s - self._line_at_s >= _LINE_EVERY_S or not self._left:
            self._line_at_s = now_s
            total = self._done + len(self._left)
            left = f"about {_span(self._pace.left_s())} left"
            self._say(f"{_named(block)}: {self._done} of {total} invocations, {left}; {self._counted()}")

    def _tell(self, block: int, target: str, benchmark: str, outcome: Outcome) -> None:
        """Trouble at once, and once: who waits for an hour wants to know in the first minute."""
        trouble = (target, benchmark, reason_of(outcome))
        if not isinstance(outcome, Failed | Invalid) or trouble in self._told or len(self._told) > _MOST_TROUBLES:
            return
        self._told.add(trouble)
        if len(self._told) > _MOST_TROUBLES:
            self._say("more went wrong; all of it is in the report")
        else:
            self._say(f"{type(outcome).__name__.lower()}: {target} {benchmark}, {_named(block)}: {trouble[-1]}")

    def _counted(self) -> str:
        return ", ".join(f"{count} {status}" for status, count in self._counts.items()) or "nothing yet"

    def _draw(self) -> None:
        if not self._left:
            self._wipe()
            return
        block, target, benchmark = self._left[0]
        left = f"{_span(self._pace.left_s())} left" if self._done else "how long is not known yet"
        total = self._done + len(self._left)
        words = [f"{self._done}/{total}", left, f"{_named(block)}: {target} {benchmark}", self._counted()]
        line = _fitted([one_line(word) for word in words], self._done / total, _columns(self._stream))
        bar, _, rest = letters.plain(line, letters_of(self._stream)).partition(" ")
        painted = f"\x1b[32m{bar}\x1b[0m" if in_colour(self._stream) else bar
        self._stream.write(f"{_TO_BEGIN_OF_LINE}{painted} {rest}")
        self._stream.flush()

    def _wipe(self) -> None:
        if self._draws:
            self._stream.write(_TO_BEGIN_OF_LINE)
            self._stream.flush()

    def _say(self, message: str) -> None:
        self._wipe()
        print(f"benchproof: {one_line(message)}", file=self._stream, flush=True)


class Pace:
    """How long the rest will take: a case at its own pace, else at its target's, else at that of all."""

    def __init__(self) -> None:
        self._left: Counter[tuple[str, str]] = Counter()
        self._spent: defaultdict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0])

    def planned(self, invocations: Sequence[Invocation]) -> None:
        """These are to be done, too."""
        self._left.update((target, benchmark) for _, target, benchmark in invocations)

    def took(self, target: str, benchmark: str, elapsed_s: float) -> None:
        """One invocation of those that were planned."""
        self._left[target, benchmark] -= 1
        for key in ((target, benchmark), (target,), ()):
            self._spent[key][0] += elapsed_s
            self._spent[key][1] += 1

    def left_s(self) -> float:
        """For all that are still to be done; 0 before anything is known."""
        return sum(count * self._each(*case) for case, count in self._left.items())

    def _each(self, target: str, benchmark: str) -> float:
        known = (self._spent[key] for key in ((target, benchmark), (target,), ()) if key in self._spent)
        total_s, count = next(known, [0.0, 1])
        return total_s / count


def _fitted(words: Sequence[str], share: float, width: int) -> str:
    """A bar and as many of the words as there is room for; the first are the last to go."""
    bar = min(max(_LEAST_BAR, width // 8), _MOST_BAR)  # of the same length all the time
    shown = next(
        (text for n in range(len(words), 0, -1) if bar + 1 + len(text := "  ".join(words[:n])) <= width), words[0]
    )
    bar = max(1, min(bar, width - len(shown) - 1))
    full = round(share * bar)
    return f"{'━' * full}{'─' * (bar - full)} {shown}"[:width]


def _columns(stream: TextIO) -> int:
    """One fewer than there are: a full line would begin the next."""
    try:
        return (os.get_terminal_size(stream.fileno()).columns or 80) - 1
    except OSError:
        return 79


def _named(block: int) -> str:
    return "warm-up" if block < 0 else f"block {block + 1}"


def _span(seconds: float) -> str:
    """As people say it: `40 s`, `3 min`, `1 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
