"""iperf3's JSON (`-J`): one transfer is one invocation; its intervals are samples, its totals are one sample each.

Intervals that were asked to be left out (`-O`) are warm-ups. iperf3 gives the first interval after them the wrong
length: where intervals and total disagree, the intervals are left out. An `error` is `failed`, whatever was counted
before it. Bits are bytes here, and the clock is that of the side that wrote the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from benchproof.importers import Format, Glimpse, Imported, shared, strict
from benchproof.model import Failed, Frozen, Invalid, Measurement, Unverified

_BENCHMARK = "iperf3.transfer"
_BITS = 8
_NS_PER_MS, _NS_PER_US = 1e6, 1e3
_AGREEMENT = 0.02  # of the length of all intervals with that of the transfer
_ASKED = ("protocol", "num_streams", "blksize", "duration", "bytes", "blocks", "omit", "reverse", "bidir", "tos")
_FIRST = re.compile(r'\s{0,9}\{\s{0,9}"start":')
_VERSION = re.compile(r'"version":\s{0,9}"iperf ')
_DOUBLES = re.compile(r'(?<!\\)"(?:sock_bufsize|sndbuf_actual|rcvbuf_actual)":\s{0,9}[0-9]{1,20},')
_SIDES = {  # of the sums -> of the metrics
    "sum_sent": "sent",
    "sum_received": "received",
    "sum_sent_bidir_reverse": "reverse_sent",
    "sum_received_bidir_reverse": "reverse_received",
}
_INTERVALS = {"sum": "", "sum_bidir_reverse": "reverse_"}


class _Sum(Frozen, frozen=True):
    seconds: strict.Amount
    bytes: strict.Count
    bits_per_second: strict.Amount
    omitted: bool = False
    retransmits: strict.Count | None = None
    jitter_ms: strict.Amount | None = None
    packets: strict.Count | None = None
    lost_packets: int | None = None
    lost_percent: float | None = None


class _Interval(Frozen, frozen=True):
    sum: _Sum
    sum_bidir_reverse: _Sum | None = None


class _Stream(Frozen, frozen=True):
    sender: dict[str, Any] = msgspec.field(default_factory=dict)


class _End(Frozen, frozen=True):
    streams: tuple[_Stream, ...] = ()
    sum: _Sum | None = None
    sum_sent: _Sum | None = None
    sum_received: _Sum | None = None
    sum_sent_bidir_reverse: _Sum | None = None
    sum_received_bidir_reverse: _Sum | None = None
    sender_tcp_congestion: str = ""


class _Timestamp(Frozen, frozen=True):
    timesecs: strict.Amount


class _Start(Frozen, frozen=True):
    version: str = ""
    system_info: str = ""
    timestamp: _Timestamp | None = None
    target_bitrate: strict.Count = 0
    test_start: dict[str, str | strict.Count | float] = msgspec.field(default_factory=dict)


class _Document(Frozen, frozen=True):
    start: _Start
    intervals: tuple[_Interval, ...]
    end: _End
    error: str | None = None


def sniff(glimpse: Glimpse) -> bool:
    """Whether it starts with `start`, and names iperf's version."""
    return _FIRST.match(glimpse.head) is not None and _VERSION.search(glimpse.head) is not None


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run of one result."""
    document = strict.convert(strict.parsed(_without_doubles(strict.text(content, name)), name), name, _Document)
    start = document.start
    parameters = _parameters(start, document.end)
    return shared.only(
        "iperf3",
        [shared.found(_BENCHMARK, parameters, _outcome(document), evidence=_evidence(document))],
        version=start.version.removeprefix("iperf "),
        created_at=strict.instant(start.timestamp.timesecs, name, "$.start.timestamp") if start.timestamp else "",
        facts={"host": {"kernel": _kernel(start.system_info)}},
        notes=_notes(document),
    )


def _without_doubles(text: str) -> str:
    """With `--bidir` iperf3 writes these keys twice; no figure depends on them. All else stays at its place."""
    return _DOUBLES.sub(lambda match: " " * len(match[0]), text)


def _parameters(start: _Start, end: _End) -> dict[str, Any]:
    stated = {key: start.test_start[key] for key in _ASKED if start.test_start.get(key)}
    given = {key: strict.plain(value) if isinstance(value, str) else value for key, value in stated.items()}
    both = {"bidir": 1} if end.sum_sent_bidir_reverse is not None else {}  # 3.12 does not write that it was asked for
    return given | both | ({"target_bitrate": start.target_bitrate} if start.target_bitrate else {})


def _kernel(system_info: str) -> str:
    """As `uname -a` without its second word, which is the name of the host."""
    system, *rest = system_info.split(" ")
    return " ".join([system, *rest[1:]])


def _evidence(document: _Document) -> dict[str, str]:
    totals = {side: getattr(document.end, key) for key, side in _SIDES.items()}
    known = {f"{side}_bytes": str(total.bytes) for side, total in totals.items() if total is not None}
    return known | {"congestion_control": shared.short(document.end.sender_tcp_congestion)}


def _outcome(document: _Document) -> Unverified | Failed | Invalid:
    if document.error is not None:
        return Failed(violations=(shared.short(document.error) or "an error without a message",))
    if document.end.sum_sent is None and document.end.sum is None:
        return Invalid(reason="the file has no total: the transfer did not end")
    figures = [*_totals(document.end), *_intervals(document), *_round_trips(document.end)]
    if not any(figure.unit == "bytes/s" for figure in figures):
        return Failed(violations=("nothing was transferred",))
    return Unverified("iperf3", tuple(figures))


def _totals(end: _End) -> Iterator[Measurement]:
    for key, side in _SIDES.items():
        total: _Sum | None = getattr(end, key)
        if total is not None:
            yield from _total(f"{_BENCHMARK}.{side}", total)
    if end.sum_sent is None and end.sum is not None:  # UDP before 3.10
        yield from _total(f"{_BENCHMARK}.all", end.sum)


def _total(metric: str, total: _Sum) -> Iterator[Measurement]:
    """Jitter and loss are known to the receiver; on the other side they are written as 0."""
    if total.bits_per_second:
        yield shared.figure(f"{metric}.throughput", "bytes/s", [total.bits_per_second / _BITS], clock="host")
    if total.retransmits is not None:
        yield shared.figure(f"{metric}.retransmits", "count", [total.retransmits], clock="host")
    if total.packets and not metric.endswith("sent"):
        if total.jitter_ms is not None:
            yield shared.figure(f"{metric}.jitter", "ns", [total.jitter_ms * _NS_PER_MS], clock="host")
        if total.lost_packets is not None and 0 <= total.lost_packets <= total.packets:
            yield shared.figure(f"{metric}.loss", "ratio", [total.lost_packets / total.packets], clock="host")


def _intervals(document: _Document) -> Iterator[Measurement]:
    for key, side in _INTERVALS.items():
        sums: list[_Sum] = [each for interval in document.intervals if (each := getattr(interval, key)) is not None]
        counted = [each for each in sums if not each.omitted]
        if counted and _fit(counted, document.end):
            yield shared.figure(
                f"{_BENCHMARK}.{side}interval_throughput",
                "bytes/s",
                [each.bits_per_second / _BITS for each in counted],
                warmups=[each.bits_per_second / _BITS for each in sums if each.omitted],
                clock="host",
            )


def _fit(counted: list[_Sum], end: _End) -> bool:
    """Whether the intervals are together as long as the transfer."""
    total = end.sum_sent or end.sum
    in_all_s = math.fsum(each.seconds for each in counted)
    return total is not None and abs(in_all_s - total.seconds) <= _AGREEMENT * total.seconds


def _round_trips(end: _End) -> Iterator[Measurement]:
    """Of the only stream: of several, nobody knows which packets belong to which."""
    if len(end.streams) != 1:
        return
    sender: Mapping[str, Any] = end.streams[0].sender
    stated = {word: sender.get(f"{word}_rtt") for word in ("min", "mean", "max")}
    known = {word: value * _NS_PER_US for word, value in stated.items() if isinstance(value, int) and value > 0}
    yield from shared.published(f"{_BENCHMARK}.round_trip", "ns", known, clock="host")


def _notes(document: _Document) -> Iterator[str]:
    counted = [each.sum for each in document.intervals if not each.sum.omitted]
    total = document.end.sum_sent or document.end.sum
    if document.error is None and total is not None and counted and not _fit(counted, document.end):
        in_all_s = math.fsum(each.seconds for each in counted)
        yield (
            f"the intervals are {in_all_s:.4g} s long, the transfer {total.seconds:.4g} s (iperf3 gets the first "
            "interval after -O wrong): they are left out"
        )


FORMAT = Format(sniff=sniff, read=read)
