"""Is a sandbox new? Each that was seen got a mark; one that holds a mark of another, or repeats its chance, is not.

A clone of an image may hold the marks of those that the image was made of, and none but those.
"""

from __future__ import annotations

import re
import secrets
import threading

from benchproof.errors import TargetFailed
from benchproof.service.calls import Calls

_MARK = "benchproof-mark"
_FORM = re.compile("mark-[0-9a-f]{16}")
_RANDOM = "/proc/sys/kernel/random/uuid"
_TIMEOUT_S = 60.0


class Freshness:
    """All sandboxes of one service that this run has seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marked: dict[str, str] = {}  # mark -> sandbox
        self._drawn: dict[str, str] = {}  # random number -> sandbox

    def check(self, calls: Calls, name: str, *, workspace: str, cat: tuple[str, ...], ancestors: frozenset[str]) -> str:
        """Look at a sandbox and mark it; returns its mark. Raises TargetFailed if it is not new."""
        self._refuse_marked(self._read(calls, name, cat, f"{workspace}/{_MARK}"), name, ancestors)
        self._refuse_repeated(self._read(calls, name, cat, _RANDOM), name)
        mark = f"mark-{secrets.token_hex(8)}"
        calls.put(name, f"{workspace}/{_MARK}", mark.encode())
        with self._lock:
            self._marked[mark] = name
        return mark

    def _read(self, calls: Calls, name: str, cat: tuple[str, ...], path: str) -> str:
        done = calls.run(name, [*cat, path], stdin=b"", timeout_s=_TIMEOUT_S)
        return "" if done.exit_status else done.stdout.decode(errors="replace").strip()

    def _refuse_marked(self, found: str, name: str, ancestors: frozenset[str]) -> None:
        with self._lock:
            owner = self._marked.get(found, "")
        if _FORM.fullmatch(found) and found not in ancestors:
            whose = f"the mark of '{owner}'" if owner else "a mark that another run left"
            raise TargetFailed(f"provision: sandbox '{name}' is not new: it holds {whose}")

    def _refuse_repeated(self, drawn: str, name: str) -> None:
        if not drawn:  # no such file there
            return
        with self._lock:
            other = self._drawn.setdefault(drawn, name)
        if other != name:
            raise TargetFailed(f"provision: sandbox '{name}' is not new: it drew the same random number as '{other}'")
