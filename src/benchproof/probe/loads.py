"""Reads what `probe http` printed: the latency of each request that was answered well, and the evidence of all."""

from __future__ import annotations

import array
import base64
import binascii
import sys
import zlib
from collections.abc import Iterable
from typing import Annotated

import msgspec

from benchproof.errors import LabInvalid
from benchproof.model import Completed, Frozen
from benchproof.probe.reading import Evidence, decoded, whole

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Load(Frozen, frozen=True):
    """One run of the load generator. `latencies_ns` are whole multiples of `tick_ns`."""

    latencies_ns: tuple[int, ...]
    tick_ns: int
    failed: int
    timed_ns: int  # from the first request that was timed to the last answer
    evidence: dict[str, str]


class _Begin(msgspec.Struct, tag_field="line", tag="load"):
    probe: int
    requests: _Count
    tick_ns: Annotated[int, msgspec.Meta(ge=1, le=1000)]


class _Latencies(msgspec.Struct, tag_field="line", tag="latencies"):
    base64: str


class _End(msgspec.Struct, tag_field="line", tag="end"):
    answered: _Count
    failed: _Count
    timed_ns: _Count
    crc32: _Count


_Line = _Begin | _Latencies | Evidence | _End
_DECODER = msgspec.json.Decoder[_Line](_Line)


def read(completed: Completed) -> Load:
    """The load of a whole output.

    Raises TargetFailed if the probe gave up, NotSupported if it says that it cannot, and LabInvalid if the output is
    cut, damaged or that of something else.
    """
    body, last = whole(completed)
    lines = [decoded(text, _DECODER) for text in body.splitlines()]
    begin, end = lines[0] if lines else None, decoded(last, _DECODER)
    if not isinstance(begin, _Begin) or not isinstance(end, _End):
        raise LabInvalid("the probe's output is not that of a load, begin to end")
    if zlib.crc32(body) != end.crc32:
        raise LabInvalid("the probe's output was damaged on its way: the checksum of its last line does not fit")
    ticks = _unpacked(line.base64 for line in lines if isinstance(line, _Latencies))
    if len(ticks) != end.answered:
        raise LabInvalid("the probe's last line counts other latencies than were printed")
    counts = {"requests": begin.requests, "answered": end.answered, "failed": end.failed, "timed_ns": end.timed_ns}
    return Load(
        latencies_ns=tuple(tick * begin.tick_ns for tick in ticks),
        tick_ns=begin.tick_ns,
        failed=end.failed,
        timed_ns=end.timed_ns,
        evidence={line.name: line.value for line in lines if isinstance(line, Evidence)}
        | {name: str(count) for name, count in counts.items()},
    )


def _unpacked(pieces: Iterable[str]) -> array.array[int]:
    """Numbers of 32 bits, lowest byte first. Raises LabInvalid."""
    numbers = array.array("I")
    try:
        for piece in pieces:
            numbers.frombytes(base64.b64decode(piece, validate=True))
    except (binascii.Error, ValueError) as error:
        raise LabInvalid(f"the probe's output is damaged: {error}") from error
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
