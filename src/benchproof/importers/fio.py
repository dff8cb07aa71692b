"""fio's JSON, `json` and `json+`: every job is a process, so every job is an invocation.

fio publishes statistics of its latencies and no samples: they stay statistics (`clat.published_p99`), and the buckets
of `json+` are no samples either. A job with an error is `failed` though fio gives it rates and latencies, 0 or not. Its
`bw` is in KiB/s, `bw_bytes` is what it says; `runtime` is in whole milliseconds, which makes short jobs coarse. Text
before and after the document, which fio prints to the same place, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Failed, Frozen, Invalid, Measurement, Unit, Unverified

_BENCHMARK = "fio.job"
_DIRECTIONS = ("read", "write", "trim")
_LATENCIES = ("slat_ns", "clat_ns", "lat_ns")
_PLACES = frozenset({"filename", "directory", "name", "logfile", "output"})  # where, not what
_COARSE_MS = 100  # below it a runtime in whole milliseconds is wrong by up to 1 % and more
_PERCENTILE = re.compile(r"[0-9]{1,3}\.[0-9]{1,12}")
_START, _END = re.compile(r"^\{", re.MULTILINE), re.compile(r"^\}", re.MULTILINE)


class _Latency(Frozen, frozen=True):
    min: strict.Amount
    max: strict.Amount
    mean: strict.Amount
    stddev: strict.Amount = 0.0
    N: strict.Count | None = None
    percentile: dict[str, strict.Amount] = msgspec.field(default_factory=dict)


class _Direction(Frozen, frozen=True):
    io_bytes: strict.Count
    bw_bytes: strict.Amount
    iops: strict.Amount
    runtime: strict.Count
    total_ios: strict.Count
    short_ios: strict.Count = 0
    drop_ios: strict.Count = 0
    slat_ns: _Latency | None = None
    clat_ns: _Latency | None = None
    lat_ns: _Latency | None = None


class _Job(Frozen, frozen=True):
    jobname: str
    error: int
    read: _Direction
    write: _Direction
    trim: _Direction | None = None
    total_err: strict.Count = 0
    first_error: int = 0
    options: dict[str, str | int | float] = msgspec.field(name="job options", default_factory=dict)


class _Document(Frozen, frozen=True):
    version: str = msgspec.field(name="fio version")
    jobs: list[_Job]
    timestamp: strict.Amount | None = None
    options: dict[str, str | int | float] = msgspec.field(name="global options", default_factory=dict)


def sniff(glimpse: Glimpse) -> bool:
    """Whether it names fio's version, perhaps after other text."""
    return re.search(r'^\s{0,8}"fio version"\s{0,8}:', glimpse.head, re.MULTILINE) is not None


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run; the jobs of one name and one set of options are told apart by their number."""
    document = _document(content, name)
    cases = shared.apart([_parameters(job, document) for job in document.jobs])
    results = [_found(job, case) for job, case in zip(document.jobs, cases, strict=True)]
    return shared.only(
        "fio",
        results,
        version=document.version.removeprefix("fio-"),
        created_at=strict.instant(document.timestamp, name, "$.timestamp") if document.timestamp else "",
        notes=_notes(document),
    )


def _document(content: bytes, name: str) -> _Document:
    """The JSON between what fio says before it and, with several formats, after it."""
    text = strict.text(content, name)
    if (start := _START.search(text)) is None:
        raise Unreadable(name, "", "expected fio's JSON, found no line that starts with '{'")
    end = _END.search(text, start.end())
    inner = text[start.start() : end.end() if end else len(text)]
    first_line = text.count("\n", 0, start.start()) + 1
    if end and (second := _START.search(text, end.end())):
        line = text.count("\n", 0, second.start()) + 1
        raise Unreadable(name, f"line {line}", "a second document (fio --status-interval?): keep the last one only")
    return strict.convert(strict.parsed(inner, name, first_line), name, _Document)


def _parameters(job: _Job, document: _Document) -> dict[str, Any]:
    """What was asked for. Where the files lie is no part of the question, though it may change the answer."""
    options = {key: value for key, value in (document.options | job.options).items() if key not in _PLACES}
    asked = {strict.plain(key): strict.plain(str(value)) for key, value in options.items()}
    return {"job": strict.plain(job.jobname)} | {key: value for key, value in asked.items() if key != "job"}


def _found(job: _Job, case: dict[str, Any]) -> Found:
    sides = {side: each for side in _DIRECTIONS if (each := getattr(job, side)) is not None and each.total_ios}
    evidence = {f"{side}_runtime_ms": str(each.runtime) for side, each in sides.items()}
    evidence |= {f"{side}_n": str(each.total_ios) for side, each in sides.items()}
    evidence |= {f"{side}_short_ios": str(each.short_ios) for side, each in sides.items() if each.short_ios}
    place = str(job.options.get("filename") or job.options.get("directory") or "")
    evidence |= {"first_error": str(job.first_error) if job.first_error else "", "place": shared.short(place)}
    return shared.found(_BENCHMARK, case, _outcome(job, sides), evidence=evidence)


def _outcome(job: _Job, sides: dict[str, _Direction]) -> Unverified | Failed | Invalid:
    if job.error:
        return Failed(violations=(f"fio ended the job with error {job.error}",))
    if job.total_err:
        return Failed(violations=(f"{job.total_err} operations failed, the first with error {job.first_error}",))
    measured = [figure for side, each in sides.items() for figure in _measured(side, each)]
    if not measured:
        return Invalid(reason="no operation was counted: neither read nor written, or faster than fio's clock of 1 ms")
    return Unverified("fio", tuple(measured))


def _measured(side: str, each: _Direction) -> Iterator[Measurement]:
    """Rates are absent where the runtime is 0 ms: then fio writes 0."""
    rates: tuple[tuple[str, Unit, float], ...] = (
        ("throughput", "bytes/s", each.bw_bytes),
        ("rate", "op/s", each.iops),
    )
    for quantity, unit, value in rates:
        if value:
            yield shared.figure(f"{_BENCHMARK}.{side}.{quantity}", unit, [value], iterations=each.total_ios)
    for key in _LATENCIES:
        latency: _Latency | None = getattr(each, key)
        if latency is not None and latency.mean and latency.N != 0:
            metric = f"{_BENCHMARK}.{side}.{key.removesuffix('_ns')}"
            yield from shared.published(metric, "ns", _statistics(latency))


def _statistics(latency: _Latency) -> dict[str, float]:
    words = {word: getattr(latency, word) for word in ("min", "mean", "max")}
    words |= {"stddev": latency.stddev} if latency.N != 1 else {}
    known = [key for key in latency.percentile if _PERCENTILE.fullmatch(key) and shared.supported(key, latency.N)]
    return words | {f"p{key.rstrip('0').rstrip('.')}": latency.percentile[key] for key in known}


def _notes(document: _Document) -> Iterator[str]:
    yield "latencies are fio's statistics: it keeps no samples, and its percentiles are edges of buckets"
    yield "percentiles that the number of operations does not support are left out"
    for job in document.jobs:
        for side in _DIRECTIONS:
            each = getattr(job, side)
            if each is not None and each.total_ios and each.runtime < _COARSE_MS:
                yield (
                    f"job '{shared.short(job.jobname)[:100]}', {side}: {each.runtime} ms in all, counted in whole "
                    "milliseconds: its rates are coarse"
                )


FORMAT = Format(sniff=sniff, read=read)
