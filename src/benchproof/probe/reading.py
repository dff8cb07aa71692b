"""Reads what the probe printed. Believes nothing that its last line does not count and checksum."""

from __future__ import annotations

import zlib
from typing import Annotated, TypeVar

import msgspec

from benchproof.errors import LabInvalid, NotSupported, TargetFailed
from benchproof.model import Completed, Frozen

UNSUPPORTED_STATUS = 69
Line = TypeVar("Line")
_WORDS_BYTES = 300  # of standard error in a message


class Reading(Frozen, frozen=True):
    """One run of the probe: raw elapsed times, in ns for `iterations` operations each, and the evidence."""

    iterations: int
    warmups_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    evidence: dict[str, str]


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Some = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class _Begin(msgspec.Struct, tag_field="line", tag="begin"):
    probe: int
    benchmark: str
    clock_step_ns: _Count
    clock_overhead_ns: float
    loop_overhead_ns: float
    iterations: _Some


class _Warmup(msgspec.Struct, tag_field="line", tag="warmup"):
    elapsed_ns: _Count


class _Sample(msgspec.Struct, tag_field="line", tag="sample"):
    elapsed_ns: _Count


class Evidence(msgspec.Struct, tag_field="line", tag="evidence"):
    """What an oracle reads."""

    name: str
    value: str


class Lacking(msgspec.Struct, tag_field="line", tag="unsupported"):
    """What the system does not have."""

    reason: str


class _End(msgspec.Struct, tag_field="line", tag="end"):
    warmups: _Count
    samples: _Count
    operations: _Count
    failures: _Count
    wall_ns: _Count
    crc32: _Count


_Line = _Begin | _Warmup | _Sample | Evidence | Lacking | _End
_DECODER = msgspec.json.Decoder[_Line](_Line)


def read(completed: Completed, benchmark: str) -> Reading:
    """The reading of a whole output.

    Raises TargetFailed if the probe crashed or gave up, NotSupported if the system lacks the operation, and
    LabInvalid if the output is cut or damaged.
    """
    body, end_line = whole(completed)
    lines = [decoded(text, _DECODER) for text in body.splitlines()]
    begin, end = lines[0] if lines else None, decoded(end_line, _DECODER)
    if not isinstance(begin, _Begin) or not isinstance(end, _End) or begin.benchmark != benchmark:
        raise LabInvalid(f"the probe's output is not that of '{benchmark}', begin to end")
    if zlib.crc32(body) != end.crc32:
        raise LabInvalid("the probe's output was damaged on its way: the checksum of its last line does not fit")
    reading = Reading(
        iterations=begin.iterations,
        warmups_ns=tuple(line.elapsed_ns for line in lines if isinstance(line, _Warmup)),
        samples_ns=tuple(line.elapsed_ns for line in lines if isinstance(line, _Sample)),
        evidence={line.name: line.value for line in lines if isinstance(line, Evidence)} | _counts(begin, end),
    )
    if (end.warmups, end.samples) != (len(reading.warmups_ns), len(reading.samples_ns)):
        raise LabInvalid("the probe's last line counts other samples than were printed")
    return reading


def whole(completed: Completed) -> tuple[bytes, bytes]:
    """All lines but the last, and the last. Raises as `read` does where the probe did not come to its end."""
    if completed.exit_status == UNSUPPORTED_STATUS:
        raise NotSupported(_reason(completed.stdout))
    if completed.exit_status:
        raise TargetFailed(f"the probe {_ending(completed)}")
    return _split(completed.stdout)


def _split(output: bytes) -> tuple[bytes, bytes]:
    """All whole lines but the last, and the last."""
    head, newline, rest = output.rpartition(b"\n")
    start = head.rfind(b"\n") + 1
    if not newline or rest or not head[start:].startswith(b'{"line":"end"'):
        raise LabInvalid("the probe's output is cut: its last line, 'end', is missing")
    return head[:start], head[start:]


def decoded(text: bytes, decoder: msgspec.json.Decoder[Line]) -> Line:
    """One line of the probe. Raises LabInvalid where it is damaged."""
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LabInvalid(f"the probe's output is damaged: {error} in {text[:80]!r}") from error


def _reason(stdout: bytes) -> str:
    line = decoded(stdout.strip().rpartition(b"\n")[2], _DECODER)
    return line.reason if isinstance(line, Lacking) else "the probe did not say what is missing"


def _ending(completed: Completed) -> str:
    words = completed.stderr[-_WORDS_BYTES:].decode(errors="replace").strip()
    status = completed.exit_status
    how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
    return f"{how}: {words}" if words else how


def _counts(begin: _Begin, end: _End) -> dict[str, str]:
    numbers = {
        "operations": end.operations,
        "failures": end.failures,
        "wall_ns": end.wall_ns,
        "clock_step_ns": begin.clock_step_ns,
        "clock_overhead_ns": begin.clock_overhead_ns,
        "loop_overhead_ns": begin.loop_overhead_ns,
    }
    return {name: str(value) for name, value in numbers.items()}
