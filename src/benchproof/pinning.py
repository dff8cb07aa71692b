"""Which of the host's CPUs a system under test may use. Confined is not isolated: others may still run there."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence

from benchproof.errors import NotSupported, UsageError

_PART = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)
_EXPECTED = "cpus: expected a list of CPUs such as '0,1' or '2-5'"


def parse(text: str) -> tuple[int, ...]:
    """The CPUs of `0,1` or `2-5,7`, in that order; none for an empty text. Raises UsageError."""
    numbers: list[int] = []
    for part in text.split(",") if text else ():
        found = _PART.fullmatch(part.strip())
        if not found or (found[2] and int(found[2]) < int(found[1])):
            raise UsageError(f"{_EXPECTED}, found '{text}'")
        numbers += range(int(found[1]), int(found[2] or found[1]) + 1)
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"{_EXPECTED}, each of them once, found '{text}'")
    return tuple(numbers)


def written(cpus: Sequence[int]) -> str:
    """As an envelope has it: `0,1`."""
    return ",".join(map(str, cpus))


def refuse_missing(cpus: Sequence[int]) -> None:
    """Raises UsageError for a CPU that this process may not use."""
    allowed = os.sched_getaffinity(0)
    if missing := sorted(set(cpus) - allowed):
        raise UsageError(
            f"cpus: expected some of the CPUs that may be used here, {written(sorted(allowed))}; found {missing[0]}"
        )


@contextlib.contextmanager
def confined(cpus: Sequence[int]) -> Iterator[None]:
    """What this thread starts meanwhile runs on these CPUs alone, and so does the thread; none: nothing is changed.

    Raises NotSupported where one of them cannot be used.
    """
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        _confine(0, cpus)
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(threads: Sequence[int], cpus: Sequence[int]) -> None:
    """Each thread to the CPU in its place. Raises NotSupported."""
    for thread, cpu in zip(threads, cpus, strict=True):
        _confine(thread, [cpu])


def _confine(thread: int, cpus: Sequence[int]) -> None:
    """The kernel passes over a CPU that is not there, so what came of it is looked at."""
    try:
        os.sched_setaffinity(thread, cpus)
        found = os.sched_getaffinity(thread)
    except OSError as error:
        raise NotSupported(f"cannot run on CPUs {written(cpus)}: {error.strerror}", missing="other cpus") from error
    if found != set(cpus):
        words = f"cannot run on CPUs {written(cpus)}: only {written(sorted(found))} can be used"
        raise NotSupported(words, missing="other cpus")
