"""wrk's text: one run of it is one invocation, its request rate one sample; its latencies are statistics.

wrk counts an answer that is an error like any other: with one refused, lost or late answer the whole is `failed`, as
its rate is not one of the work that was asked for. Its units: `us ms s m h` of time, 1024 to each other of bytes.
Figures have two decimals. Its latencies suffer from coordinated omission: a request waits for the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from benchproof.importers import Format, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Failed, Measurement, Unverified

_BENCHMARK = "wrk.load"
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,6})?)"
_TIMES = {"us": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}  # ns
_SIZES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, "PB": 2**50}
_HEADER = re.compile(r"Running (.{1,20}) test @ (.{1,2000})")
_LOAD = re.compile(r" {2}([0-9]{1,9}) threads and ([0-9]{1,9}) connections")
_LATENCY = re.compile(rf" {{4}}Latency +{_NUMBER}([a-z]+) +{_NUMBER}([a-z]+) +{_NUMBER}([a-z]+) +(?:{_NUMBER}|-?nan)%")
_PERCENTILE = re.compile(rf" +{_NUMBER}% +{_NUMBER}([a-z]+)")
_TOTAL = re.compile(rf" {{2}}([0-9]{{1,18}}) requests in {_NUMBER}([a-z]+), {_NUMBER}([A-Z]+) read")
_ERRORS = re.compile(
    r" {2}Socket errors: connect ([0-9]{1,18}), read ([0-9]{1,18}), write ([0-9]{1,18}), timeout ([0-9]{1,18})"
)
_STATUS = re.compile(r" {2}Non-2xx or 3xx responses: ([0-9]{1,18})")
_RATE = re.compile(rf"Requests/sec: +{_NUMBER}")
_THROUGHPUT = re.compile(rf"Transfer/sec: +{_NUMBER}([A-Z]+)")
_REFUSED = "unable to connect to "
_NOTE = "wrk sends the next request when the last was answered: waiting is not in its latencies (coordinated omission)"


def sniff(glimpse: Glimpse) -> bool:
    """Whether it starts as wrk does."""
    return re.search(r"^Running .{1,20} test @ |\Aunable to connect to ", glimpse.head, re.MULTILINE) is not None


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run of one result."""
    lines = strict.text(content, name).split("\n")
    refused = [line for line in lines if line.startswith(_REFUSED)]
    if refused:
        outcome: Failed | Unverified = Failed(violations=(shared.short(refused[0]),))
    elif _match(_HEADER, lines) is None:
        raise Unreadable(name, "", "expected 'Running ... test @ ...', the first line of wrk")
    else:
        outcome = _outcome(lines, name)
    return shared.only(
        "wrk",
        [shared.found(_BENCHMARK, _parameters(lines), outcome, evidence=_evidence(lines))],
        notes=[_NOTE],
    )


def _match(pattern: re.Pattern[str], lines: list[str]) -> re.Match[str] | None:
    return next((match for line in lines if (match := pattern.fullmatch(line))), None)


def _parameters(lines: list[str]) -> dict[str, Any]:
    header, load = _match(_HEADER, lines), _match(_LOAD, lines)
    asked: dict[str, Any] = {"duration": strict.plain(header[1]), "url": strict.plain(header[2])} if header else {}
    return asked | ({"threads": int(load[1]), "connections": int(load[2])} if load else {})


def _evidence(lines: list[str]) -> dict[str, str]:
    total = _match(_TOTAL, lines)
    return {"requests": total[1], "duration_s": f"{_ns(total[2], total[3]) / shared.NS_PER_S:g}"} if total else {}


def _outcome(lines: list[str], name: str) -> Unverified | Failed:
    total, rate, transfer = (_match(each, lines) for each in (_TOTAL, _RATE, _THROUGHPUT))
    if total is None or rate is None or transfer is None or transfer[2] not in _SIZES:
        last = f"after line {len(lines)}"
        raise Unreadable(name, last, "the end is missing: expected the requests, Requests/sec and Transfer/sec")
    if violations := tuple(_violations(lines, int(total[1]))):
        return Failed(violations=violations)
    requests = int(total[1])
    figures = [
        shared.figure(f"{_BENCHMARK}.rate", "op/s", [float(rate[1])], iterations=requests, clock="host"),
        shared.figure(
            f"{_BENCHMARK}.throughput",
            "bytes/s",
            [shared.exact(transfer[1], _SIZES[transfer[2]])],
            iterations=requests,
            clock="host",
        ),
    ]
    return Unverified("wrk", (*figures, *_latencies(lines, requests, name)))


def _violations(lines: list[str], requests: int) -> Iterator[str]:
    if match := _match(_STATUS, lines):
        yield f"{match[1]} of {requests} answers were neither 2xx nor 3xx"
    if match := _match(_ERRORS, lines):
        named = zip(("connect", "read", "write", "timeout"), match.groups(), strict=True)
        yield "socket errors: " + ", ".join(f"{word} {count}" for word, count in named if int(count))
    if not requests:
        yield "no request was answered"


def _latencies(lines: list[str], requests: int, name: str) -> tuple[Measurement, ...]:
    match = _match(_LATENCY, lines)
    if match is None:
        raise Unreadable(name, "", "expected the line of 'Latency' among the thread statistics")
    stated = {"mean": match.group(1, 2), "stddev": match.group(3, 4), "max": match.group(5, 6)}
    for line in lines:
        if (percentile := _PERCENTILE.fullmatch(line)) and shared.supported(percentile[1], requests):
            stated[f"p{percentile[1]}"] = percentile.group(2, 3)
    known = {word: _ns(*digits) for word, digits in stated.items() if digits[1] in _TIMES}
    if known.keys() != stated.keys():
        raise Unreadable(name, "", f"expected a time in {', '.join(_TIMES)} among the latencies")
    return shared.published(f"{_BENCHMARK}.latency", "ns", known, clock="host")


def _ns(digits: str, unit: str) -> float:
    return shared.exact(digits, _TIMES.get(unit, 0))


FORMAT = Format(sniff=sniff, read=read)
