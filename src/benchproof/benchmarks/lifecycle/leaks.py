"""Is an instance really gone? What it held is noted while it lives, and looked for when it was ended.

An instance of a service on another host holds nothing here: then the service is asked what it still knows of it. It is
asked of every instance that has someone to ask, after what is on this host was looked for.
"""

from __future__ import annotations

import time

from benchproof.held import Held, held, left

__all__ = ["Held", "Ledger", "await_gone", "held", "left"]
_GRACE_S = 2.0  # after the end of an instance was reported; what still exists then is a leak
_LOOK_S = 0.0002
_SHOWN = 5


def await_gone(what: Held) -> tuple[int, list[str]]:
    """When all of it was gone, on the host's clock in ns, and what was left after the grace."""
    deadline_s = time.monotonic() + _GRACE_S
    while True:
        found = _left(what)
        now_ns = time.monotonic_ns()
        if not found or time.monotonic() > deadline_s:
            return now_ns, found
        time.sleep(_LOOK_S)


def _left(what: Held) -> list[str]:
    if what.processes or what.files or what.remains is None:
        return left(what)
    return list(what.remains())


class Ledger:
    """All instances that were ended in one invocation."""

    def __init__(self) -> None:
        self._held: list[Held] = []
        self._left: list[str] = []

    def ended(self, what: Held) -> int:
        """Enter an instance that was just ended; returns when all that it held was gone, in ns."""
        gone_ns, found = await_gone(what)
        if what.remains is not None and not found:
            found = list(what.remains())
        self._held.append(what)
        self._left += found
        return gone_ns

    def evidence(self) -> dict[str, str]:
        """What `oracles.nothing_left` reads."""
        more = f" and {len(self._left) - _SHOWN} more" if len(self._left) > _SHOWN else ""
        asked = sum(each.remains is not None for each in self._held)
        return {
            "instances_ended": str(len(self._held)),
            "fewest_processes_held": str(min((len(each.processes) for each in self._held), default=0)),
            "files_held": str(sum(len(each.files) for each in self._held)),
            "left_behind": ", ".join(self._left[:_SHOWN]) + more or "nothing",
        } | ({"gone_by_its_service": str(asked)} if asked else {})
