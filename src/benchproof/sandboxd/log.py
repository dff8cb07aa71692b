"""Lines to standard error that never hold up a request: where nobody reads them, the oldest are dropped and counted."""

from __future__ import annotations

import logging
import queue
import sys
import threading

_MOST_LINES = 10_000
_LAST_S = 1.0
_LIFE = "benchproof.sandboxd.daemon"


class Log(logging.Handler):
    """Hands lines to a thread that writes them."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by any thread."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """What is there is still written, unless nobody reads."""
        try:
            self._lines.put_nowait(None)
            self._thread.join(_LAST_S)
        except queue.Full:
            pass
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._dropped:
                line, self._dropped = f"{line}\nlog dropped={self._dropped}", 0
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def begin(*, quiet: bool) -> Log:
    """Send all lines of this program to standard error."""
    log = Log()
    log.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(handlers=[log], level=logging.WARNING if quiet else logging.INFO, force=True)
    logging.getLogger(_LIFE).setLevel(logging.INFO)  # where it listens and how it ended is told in any case
    return log
