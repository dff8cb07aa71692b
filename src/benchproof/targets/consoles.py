"""A guest that answers rightly while its kernel complains on the console has not passed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from benchproof.errors import LabInvalid, TargetFailed
from benchproof.protocol import faults

Log = Callable[[str, bytes], None]
_OF_THE_KERNEL = frozenset({"panic", "fault", "warning"})  # a program that falls says so by its exit status


@contextlib.contextmanager
def heard(log: Log, *, patient: bool = False) -> Iterator[Log]:
    """A log to be used inside; leaving in good order raises TargetFailed for a console on which the kernel complained.

    Raises LabInvalid where it was kept from running, unless we are `patient`: nothing is timed.
    """
    consoles: list[bytes] = []

    def listen(name: str, content: bytes) -> None:
        log(name, content)
        if name == "console":
            consoles.append(content)

    yield listen
    for console in consoles:
        for fault in faults.find(console):
            if fault.kind in _OF_THE_KERNEL:
                raise TargetFailed(f"the guest's kernel complains: {fault}")
            if fault.kind == "stall" and not patient:
                raise LabInvalid(f"the guest was kept from running: {fault}")
