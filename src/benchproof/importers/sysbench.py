"""sysbench's text, 1.0: one run of it is one invocation, its totals are one sample each, its latencies statistics.

`--report-interval` prints a rate a second: samples. `FATAL` is `failed`. Latencies have two decimals of a millisecond,
so that 0.00 means *less than can be printed* and becomes no number. A report that does not end with the fairness of the
threads is cut and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from benchproof.importers import Format, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Failed, Invalid, Measurement, Unit, Unverified

_MIB = 2**20
_NS_PER_MS = 10**6
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,6})?)"
_VERSION = re.compile(r"^sysbench ([0-9][0-9.]{0,20})", re.MULTILINE)
_END = re.compile(r"^ {4}execution time \(avg/stddev\): +[0-9.]+/[0-9]+\.[0-9]{2}$", re.MULTILINE)
_FATAL = re.compile(r"^(?:FATAL|ALERT|PANIC): (.{1,900})", re.MULTILINE)
_THREADS = re.compile(r"^Number of threads: ([0-9]{1,9})$", re.MULTILINE)
_EVENTS = re.compile(r"^ {4}total number of events: +([0-9]{1,18})$", re.MULTILINE)
_SECONDS = re.compile(rf"^ {{4}}total time: +{_NUMBER}s$", re.MULTILINE)
_LATENCY = re.compile(rf"^ {{9}}(min|avg|max|[0-9]{{1,3}}th percentile): +{_NUMBER}$", re.MULTILINE)
_INTERVAL = re.compile(rf"^\[ [0-9]{{1,9}}s \] thds: [0-9]{{1,9}} (?:eps|tps): {_NUMBER} ", re.MULTILINE)
_IGNORED = re.compile(r"^ {4}(ignored errors|reconnects): +([0-9]{1,18}) ", re.MULTILINE)
_FIGURES: dict[str, tuple[tuple[str, Unit, int, re.Pattern[str]], ...]] = {  # of what -> quantity, unit, factor, line
    "cpu": (("rate", "op/s", 1, re.compile(rf"^ {{4}}events per second: +{_NUMBER}$", re.MULTILINE)),),
    "memory": (
        ("rate", "op/s", 1, re.compile(rf"^Total operations: [0-9]+ \( *{_NUMBER} per second\)$", re.MULTILINE)),
        ("throughput", "bytes/s", _MIB, re.compile(rf"MiB transferred \({_NUMBER} MiB/sec\)$", re.MULTILINE)),
    ),
    "fileio": (
        ("read.rate", "op/s", 1, re.compile(rf"^ {{4}}reads/s: +{_NUMBER}$", re.MULTILINE)),
        ("write.rate", "op/s", 1, re.compile(rf"^ {{4}}writes/s: +{_NUMBER}$", re.MULTILINE)),
        ("sync.rate", "op/s", 1, re.compile(rf"^ {{4}}fsyncs/s: +{_NUMBER}$", re.MULTILINE)),
        ("read.throughput", "bytes/s", _MIB, re.compile(rf"^ {{4}}read, MiB/s: +{_NUMBER}$", re.MULTILINE)),
        ("write.throughput", "bytes/s", _MIB, re.compile(rf"^ {{4}}written, MiB/s: +{_NUMBER}$", re.MULTILINE)),
    ),
    "sql": (
        (
            "transactions.rate",
            "op/s",
            1,
            re.compile(rf"^ {{4}}transactions: +[0-9]+ +\({_NUMBER} per sec\.\)$", re.MULTILINE),
        ),
        ("queries.rate", "op/s", 1, re.compile(rf"^ {{4}}queries: +[0-9]+ +\({_NUMBER} per sec\.\)$", re.MULTILINE)),
    ),
}
_SECTIONS = {  # a line that only one kind of test prints
    "cpu": ("Prime numbers limit:", "CPU speed:"),
    "memory": ("Running memory speed test",),
    "fileio": ("Extra file open flags:", "File operations:"),
    "sql": ("SQL statistics:",),
}
_ASKED = re.compile(
    r"^ {0,2}(Prime numbers limit|block size|total size|operation|scope|Block size|Number of IO requests"
    r"|Read/Write ratio for combined random IO test):? {1,2}([0-9A-Za-z.]{1,40})$",
    re.MULTILINE,
)
_FILE = re.compile(
    r"^(Doing .{1,60} test|Using .{1,40} I/O mode|[0-9]{1,9} files, [^ \n]{1,20} each|[^ \n]{1,20} total file size)$",
    re.MULTILINE,
)


def sniff(glimpse: Glimpse) -> bool:
    """Whether its first words are sysbench's."""
    return _VERSION.search(glimpse.head) is not None and "Running the test with following options" in glimpse.head


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run of one result."""
    text = strict.text(content, name)
    version = _VERSION.search(text)
    if version is None:
        raise Unreadable(name, "", "expected 'sysbench' and its version in the first line")
    kind = next((kind for kind, marks in _SECTIONS.items() if any(mark in text for mark in marks)), "run")
    benchmark = f"sysbench.{kind}"
    evidence = {match[1]: match[2] for match in _IGNORED.finditer(text) if int(match[2])}
    events = _EVENTS.search(text)
    evidence |= {"events": events[1]} if events else {}
    return shared.only(
        "sysbench",
        [shared.found(benchmark, _parameters(text), _outcome(benchmark, kind, text, name), evidence=evidence)],
        version=version[1],
        notes=_notes(kind, text),
    )


def _parameters(text: str) -> dict[str, Any]:
    asked: dict[str, Any] = {match[1].lower(): match[2] for match in _ASKED.finditer(text)}
    files = [strict.plain(match[1]) for match in _FILE.finditer(text)]
    threads = _THREADS.search(text)
    return (
        ({"threads": int(threads[1])} if threads else {}) | asked | ({"files": "; ".join(files[:4])} if files else {})
    )


def _outcome(benchmark: str, kind: str, text: str, name: str) -> Unverified | Failed | Invalid:
    if problems := [shared.short(match[1]) for match in _FATAL.finditer(text)]:
        return Failed(violations=tuple(dict.fromkeys(problems))[:10])
    if _END.search(text) is None:
        last = f"line {len(text.splitlines())}"
        raise Unreadable(name, last, "the end is missing: expected the execution time under 'Threads fairness'")
    rates = list(_rates(benchmark, kind, text))
    if not rates:
        return Invalid(reason="no rate above 0 is stated: nothing was done")
    return Unverified("sysbench", (*rates, *_intervals(benchmark, text), *_latencies(benchmark, text)))


def _rates(benchmark: str, kind: str, text: str) -> Iterator[Measurement]:
    """A rate of 0 is of work that was not asked for, such as writes of a reading test."""
    events = next((int(match[1]) for match in _EVENTS.finditer(text)), 0)
    for quantity, unit, factor, line in _FIGURES.get(kind, ()):
        match = line.search(text)
        if match and (value := shared.exact(match[1], factor)):
            yield shared.figure(f"{benchmark}.{quantity}", unit, [value], iterations=max(events, 1))
    seconds = _SECONDS.search(text)
    if kind not in _FIGURES and events and seconds and float(seconds[1]):
        yield shared.figure(f"{benchmark}.rate", "op/s", [events / float(seconds[1])], iterations=events)


def _intervals(benchmark: str, text: str) -> Iterator[Measurement]:
    if samples := [float(match[1]) for match in _INTERVAL.finditer(text)]:
        yield shared.figure(f"{benchmark}.interval_rate", "op/s", samples)


def _latencies(benchmark: str, text: str) -> tuple[Measurement, ...]:
    words = {"min": "min", "avg": "mean", "max": "max"}
    stated = {
        words.get(match[1], "p" + match[1].partition("th")[0]): shared.exact(match[2], _NS_PER_MS)
        for match in _LATENCY.finditer(text)
    }
    events = _EVENTS.search(text)
    n = int(events[1]) if events else None
    known = {
        word: value for word, value in stated.items() if value and (word[0] != "p" or shared.supported(word[1:], n))
    }
    return shared.published(f"{benchmark}.latency", "ns", known)


def _notes(kind: str, text: str) -> Iterator[str]:
    if kind == "run":
        yield "sysbench does not print which test this was (threads, mutex or a script of the user's)"
    if any(not float(match[2]) for match in _LATENCY.finditer(text)):
        yield "latencies below 0.005 ms are printed as 0.00: they are left out"
    for match in _IGNORED.finditer(text):
        if int(match[2]):
            yield f"{match[1]}: {match[2]}; sysbench counts only what worked"


FORMAT = Format(sniff=sniff, read=read)
