"""Transcripts of our own protocol (`docs/protocol.md`) that somebody recorded from a serial line.

The same rules decide as for a kernel that benchproof started itself, but nobody saw the machine: neither how it ended
nor when a line came, so no clock is held against the host's, and freshness is not shown. The figures stay unverified.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchproof.errors import InvocationError, LabInvalid, NotSupported
from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable
from benchproof.importers.shared import UNNAMED, figure
from benchproof.model import Failed, Invalid, Measurement, Reported, Unsupported, Unverified
from benchproof.protocol import own
from benchproof.protocol.events import Begin, Event, Lacking, Listed
from benchproof.protocol.lines import lines_of
from benchproof.protocol.spoken import LONGEST_BYTES
from benchproof.protocol.transcript import Ended, Heard, Transcript

_BEGIN = re.compile(r"^@bp begin ", re.MULTILINE)
_QUANTITIES = {"ns": "latency"}
_NAMES_LIMIT = 1000
_REASON_LIMIT = 900  # characters; it quotes the transcript
_NOTES = (
    "a recorded transcript: nobody saw how the machine ended, and no clock was held against the host's",
    "the evidence is kept as it stands; no oracle was asked about it",
)


def sniff(glimpse: Glimpse) -> bool:
    """Whether a console has the first line of the protocol."""
    return _BEGIN.search(glimpse.head) is not None


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run: every benchmark that is listed or said to be unsupported, and the suite where nothing is."""
    if len(content) > LONGEST_BYTES:
        raise Unreadable(name, "", f"longer than {LONGEST_BYTES >> 20} MiB; no transcript is")
    events = [event for line in lines_of(content) if (event := own.event(line)) is not None]
    if not any(isinstance(event, Begin) for event in events):
        raise Unreadable(name, "", "no line '@bp begin'; expected a console in benchproof's protocol")
    target = next(event.system for event in events if isinstance(event, Begin)) or UNNAMED
    return (
        Imported(
            tool="serial",
            version=str(own.VERSION),
            created_at="",
            results=tuple(_results(content, name, events, target)),
            facts={"system": facts} if (facts := _facts(events)) else {},
            labels={},
            notes=_NOTES,
        ),
    )


def _facts(events: list[Event]) -> dict[str, str]:
    begin = next(event for event in events if isinstance(event, Begin))
    stated = {"stated_system": begin.system, "stated_build": begin.build}
    return {key: value for key, value in stated.items() if value}


def _results(content: bytes, name: str, events: list[Event], target: str) -> Iterator[Found]:
    listed = dict.fromkeys(event.name for event in events if isinstance(event, Listed | Lacking) and event.name != "*")
    if len(listed) > _NAMES_LIMIT:
        raise Unreadable(name, "", f"it lists {len(listed)} benchmarks; no kernel has more than {_NAMES_LIMIT}")
    transcript = Transcript(Heard(content), ended=Ended("power-off"))
    for each in listed or ["suite"]:
        outcome, evidence = _outcome(transcript, each)
        yield Found(target=target, benchmark=f"serial.{each}", parameters={}, outcome=outcome, evidence=evidence)


def _outcome(transcript: Transcript, name: str) -> tuple[Unverified | Failed | Unsupported | Invalid, dict[str, str]]:
    try:
        reported = transcript.of(name)
    except NotSupported as error:
        return Unsupported(reason=str(error)[:_REASON_LIMIT]), {}
    except LabInvalid as error:
        return Invalid(reason=str(error)[:_REASON_LIMIT]), {}
    except InvocationError as error:
        return Failed(violations=(str(error)[:_REASON_LIMIT],)), {}
    return Unverified("serial", (_measured(reported),)), reported.evidence | {"mechanism": reported.mechanism}


def _measured(reported: Reported) -> Measurement:
    return figure(
        f"serial.{reported.name}.{_QUANTITIES.get(reported.unit, reported.unit)}",
        reported.unit,
        [each / reported.iterations for each in reported.samples],
        iterations=reported.iterations,
        warmups=[each / reported.iterations for each in reported.warmups],
    )


FORMAT = Format(sniff=sniff, read=read)
