"""Criterion's `sample.json`, and the messages of `cargo criterion --message-format=json`: one process, one invocation.

A sample is a time divided by its iterations, which grow from sample to sample in linear mode. `sample.json` does not
say what it is of: the folders do (`target/criterion/GROUP/FUNCTION/new/sample.json`). What is estimated from the
samples (slope, outliers, change) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Frozen, Invalid, Unverified

_SEEN = 4  # parts of a path that are known wherever a file is read again
_SCALES = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_COMPLETE = "benchmark-complete"
_NOTE = "the samples of a benchmark ran in one process: together they are one invocation"
_NAME_NOTE = "sample.json does not name its benchmark: it is called after the last two folders above its baseline"
_UNIT_NOTE = "sample.json does not state its unit: nanoseconds, unless Criterion was told to measure something else"


_Iterations = Annotated[float, msgspec.Meta(ge=1, le=2**53)]  # a whole number, written as a float


class _Sample(Frozen, frozen=True):
    iters: list[_Iterations]
    times: list[strict.Amount]
    sampling_mode: str = ""


class _Message(Frozen, frozen=True):
    id: str
    iteration_count: list[_Iterations]
    measured_values: list[strict.Amount]
    unit: str


def sniff(glimpse: Glimpse) -> bool:
    """Whether there are iterations and times, or messages of cargo-criterion."""
    document = glimpse.document
    if isinstance(document, dict) and {"iters", "times"} <= document.keys():
        return True
    first, _, _ = glimpse.head.lstrip().partition("\n")
    return first.startswith("{") and '"reason"' in first and '"benchmark-complete"' in first


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run: of one benchmark, or of every message."""
    documents = list(strict.lines(content, name)) if _is_messages(content) else []
    if documents:
        return shared.only("criterion", _from_messages(documents, name), notes=[_NOTE])
    sample = strict.typed(content, name, _Sample)
    found = _found(
        _title(name), sample.iters, sample.times, name, {"sampling_mode": shared.short(sample.sampling_mode)}
    )
    return shared.only("criterion", [found], notes=[_NOTE, _NAME_NOTE, _UNIT_NOTE])


def _is_messages(content: bytes) -> bool:
    return b'"reason"' in content.lstrip().partition(b"\n")[0]


def _title(name: str) -> str:
    """By its folders: what is above the last few parts of a path is not known later on."""
    *folders, _file = PurePath(name).parts[-_SEEN:]
    folders = folders[folders.index("criterion") + 1 :] if "criterion" in folders else folders
    named = [folder for folder in folders[:-1] if folder.strip("/.")]
    return strict.plain("/".join(named)) or "sample"


def _from_messages(documents: list[tuple[int, Any]], name: str) -> Iterator[Found]:
    for number, document in documents:
        where = f"line {number}"
        if not isinstance(document, dict) or not isinstance(document.get("reason"), str):
            raise Unreadable(name, where, "expected a message of cargo-criterion, an object with its 'reason'")
        if document["reason"] == _COMPLETE:
            message = strict.convert(document, name, _Message, f"{where}, $")
            scale = _SCALES.get(message.unit)
            if scale is None:
                unit = strict.plain(message.unit)[:40]
                raise Unreadable(name, where, f"expected a unit of {', '.join(_SCALES)}, found '{unit}'")
            times = [value * scale for value in message.measured_values]
            yield _found(strict.plain(message.id), message.iteration_count, times, f"{name}: {where}", {})


def _found(title: str, iterations: list[float], times: list[float], name: str, evidence: dict[str, str]) -> Found:
    if len(iterations) != len(times) or not times or any(each != int(each) for each in iterations):
        problem = f"expected as many whole iterations as times, found {len(iterations)} and {len(times)}"
        raise Unreadable(name, "", problem)
    least, most = int(min(iterations)), int(max(iterations))
    benchmark = f"criterion.{title}"
    outcome: Unverified | Invalid = Invalid(reason="a sample of 0 ns: the clock did not move")
    if all(times):
        samples = [time / each for time, each in zip(times, iterations, strict=True)]
        outcome = Unverified("criterion", (shared.figure(f"{benchmark}.time", "ns", samples, iterations=least),))
    return shared.found(benchmark, {}, outcome, evidence=evidence | {"iterations_of_a_sample": f"{least} to {most}"})


FORMAT = Format(sniff=sniff, read=read)
