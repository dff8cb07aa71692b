"""Reads what `probe smoke` printed: the evidence of each smoke, and how its process ended."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import msgspec

from benchproof.errors import LabInvalid
from benchproof.model import Completed, Frozen
from benchproof.probe.reading import UNSUPPORTED_STATUS, Evidence, Lacking, decoded, whole


class Told(Frozen, frozen=True):
    """What one smoke left. A negative `status` is the number of the signal that killed it."""

    status: int
    evidence: dict[str, str]
    lacking: str = ""  # what the system does not have, where it could not be tried


class _Begin(msgspec.Struct, tag_field="line", tag="smokes"):
    probe: int
    count: int


class _Smoke(msgspec.Struct, tag_field="line", tag="smoke"):
    name: str


class _Over(msgspec.Struct, tag_field="line", tag="over"):
    name: str
    status: int


class _End(msgspec.Struct, tag_field="line", tag="end"):
    smokes: int
    crc32: int


_Line = _Begin | _Smoke | Evidence | Lacking | _Over | _End
_DECODER = msgspec.json.Decoder[_Line](_Line)


def read(completed: Completed, names: Sequence[str]) -> dict[str, Told]:
    """What was told of exactly these smokes, each once and in this order.

    Raises TargetFailed if the probe itself crashed, NotSupported if it says that it cannot, and LabInvalid if the
    output is cut, damaged or that of something else.
    """
    body, last = whole(completed)
    lines = [decoded(text, _DECODER) for text in body.splitlines()]
    end = decoded(last, _DECODER)
    if not isinstance(end, _End) or not lines or not isinstance(lines[0], _Begin):
        raise LabInvalid("the probe's output is not that of its smokes, begin to end")
    if zlib.crc32(body) != end.crc32:
        raise LabInvalid("the probe's output was damaged on its way: the checksum of its last line does not fit")
    told = dict(_sections(lines[1:]))
    if tuple(told) != tuple(names) or {end.smokes, lines[0].count} != {len(names)}:
        raise LabInvalid(f"the probe told of other smokes: expected {', '.join(names)}, found {', '.join(told)}")
    return told


def _sections(lines: Sequence[_Line]) -> Iterator[tuple[str, Told]]:
    name, evidence, lacking = "", dict[str, str](), ""
    for line in lines:
        if isinstance(line, _Smoke) and not name:
            name, evidence, lacking = line.name, {}, ""
        elif isinstance(line, Evidence) and name and line.name not in evidence:
            evidence[line.name] = line.value
        elif isinstance(line, Lacking) and name:
            lacking = line.reason
        elif isinstance(line, _Over) and line.name == name:
            yield name, Told(status=line.status, evidence=evidence, lacking=_said(line.status, lacking))
            name = ""
        else:
            raise LabInvalid(f"the probe's output is out of order at {line}")
    if name:
        raise LabInvalid(f"the probe's output breaks off within {name}")


def _said(status: int, lacking: str) -> str:
    return (lacking or "the probe did not say what is missing") if status == UNSUPPORTED_STATUS else ""
