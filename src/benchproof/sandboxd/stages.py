"""Where the time of one request went: stages one after another, on the host's monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Stages:
    """A clock with laps. `total` is from its making to the last lap."""

    def __init__(self) -> None:
        self._began_ns = self._last_ns = time.monotonic_ns()
        self._laps: dict[str, int] = {}

    def lap(self, name: str) -> None:
        """What has passed since the lap before belongs to `name`."""
        now_ns = time.monotonic_ns()
        self._laps[name] = self._laps.get(name, 0) + now_ns - self._last_ns
        self._last_ns = now_ns

    def split(self, name: str, parts: Mapping[str, int]) -> None:
        """The parts of a lap that are known, in ns, stand before what is left of it."""
        whole_ns = self._laps.pop(name)
        self._laps |= parts
        self._laps[name] = whole_ns - sum(parts.values())

    def done(self) -> dict[str, int]:
        """All laps, and their sum, in ns."""
        return {**self._laps, "total": self._last_ns - self._began_ns}
