"""Readers of other tools' files: one file each, and one line here or in the entry point group `benchproof.importers`.

A line names a `Format`: a pure `read(content, name)`, and a `sniff` that says whether a file looks like one of it.
Nothing that a reader returns is verified: no oracle of ours saw the work. It launders nothing: a failure that a tool
wrote down as a number is `Failed`, a skipped part `Unsupported`, a cut output `Invalid`, and what a tool published
without its samples is named as the statistic that it is.

Names: a benchmark is `tool.what` (`kevlar.getpid`, `fio.job`), a metric `tool.what.quantity` (`kevlar.getpid.latency`),
a statistic without its samples `tool.what.quantity.published_median`, one sample each, its n in the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from benchproof.errors import UsageError, one_line
from benchproof.model import Failed, Frozen, Invalid, Unsupported, Unverified
from benchproof.plugins import Table

_MESSAGE_LIMIT = 800  # characters of what is said of a file, which may quote it
_NAME_LIMIT = 1000  # characters of one name or value that is kept of a foreign file
RESULTS_LIMIT = 100_000  # of one file
_KEPT = ("host", "machine", "system", "probe", "authority")  # the sections of an envelope


class Found(Frozen, frozen=True, kw_only=True):
    """One outcome of a foreign file: what one invocation there amounts to.

    `block`: which invocation of its case, from 0. What ran within one process is one invocation with many samples.
    """

    target: str
    benchmark: str
    parameters: dict[str, Any]
    outcome: Unverified | Failed | Unsupported | Invalid
    evidence: dict[str, str]
    block: int = 0


class Imported(Frozen, frozen=True, kw_only=True):
    """One run that a foreign file tells of. `facts` and `labels` hold only what the file itself states."""

    tool: str
    version: str  # of the tool or its format; empty where the file does not say
    created_at: str  # RFC 3339; empty where the file does not say
    results: tuple[Found, ...]
    facts: dict[str, dict[str, str]]  # section of an envelope -> fact -> value
    labels: dict[str, str]  # commit, branch, tag, version
    notes: tuple[str, ...]  # what a reader of the figures must know: units put right, data that is implausible
    content: bytes = b""  # the part of the file that tells of this run alone, itself a file of the format; empty: all


class Glimpse(Frozen, frozen=True):
    """What a file is recognised by."""

    head: str  # its first 64 KiB, whatever is no UTF-8 replaced
    document: Any  # the whole file as JSON, None where it is none


class Format(Frozen, frozen=True):
    """How to recognise and read the files of one tool. `read`: one entry for each run that the file tells of."""

    sniff: Callable[[Glimpse], bool]
    read: Callable[[bytes, str], tuple[Imported, ...]]  # content, name of the file; raises Unreadable


class Unreadable(UsageError):  # noqa: N818 - what the file is
    """A foreign file that is cut, damaged or not of this format. Nothing of it is kept."""

    def __init__(self, name: str, where: str, problem: str) -> None:
        told = one_line(f"{where}: {problem}" if where else problem)
        cut = f"{told[:_MESSAGE_LIMIT]}..." if len(told) > _MESSAGE_LIMIT else told
        super().__init__(f"{name}: {cut}")


FORMATS = Table(
    group="benchproof.importers",
    what="import format",
    own={
        "kevlar": "benchproof.importers.kevlar:FORMAT",
        "serial": "benchproof.importers.serial:FORMAT",
        "capsem": "benchproof.importers.capsem:FORMAT",
        "luminaguard": "benchproof.importers.luminaguard:FORMAT",
        "sel4bench": "benchproof.importers.sel4bench:FORMAT",
        "computesdk": "benchproof.importers.computesdk:FORMAT",
        "hyperfine": "benchproof.importers.hyperfine:FORMAT",
        "pyperf": "benchproof.importers.pyperf:FORMAT",
        "pytest-benchmark": "benchproof.importers.pytest_benchmark:FORMAT",
        "google-benchmark": "benchproof.importers.google_benchmark:FORMAT",
        "criterion": "benchproof.importers.criterion:FORMAT",
        "fio": "benchproof.importers.fio:FORMAT",
        "iperf3": "benchproof.importers.iperf3:FORMAT",
        "wrk": "benchproof.importers.wrk:FORMAT",
        "sysbench": "benchproof.importers.sysbench:FORMAT",
        "perf-stat": "benchproof.importers.perf_stat:FORMAT",
    },
)


def read_as(form: str, content: bytes, name: str) -> tuple[Imported, ...]:
    """The runs of a file of that format, each of them whole and free of contradictions. Raises Unreadable."""
    form_of: Format = FORMATS.load(form)
    runs = form_of.read(content, name)
    if not runs or not all(run.results for run in runs):
        raise Unreadable(name, "", f"it holds no result of {form}")
    if (many := sum(len(run.results) for run in runs)) > RESULTS_LIMIT:
        raise Unreadable(name, "", f"{many} results; no recorded file has more than {RESULTS_LIMIT}")
    for run in runs:
        for problem in _contradictions(run):
            raise Unreadable(name, "", problem)
    return runs


def _contradictions(run: Imported) -> Iterator[str]:
    """Whatever a later reader of the run would stumble over."""
    seen: set[tuple[str, str, bytes, int]] = set()
    for each in run.results:
        what = f"{each.benchmark} of '{each.target}', invocation {each.block}"
        key = (each.target, each.benchmark, msgspec.json.encode(each.parameters, order="sorted"), each.block)
        if key in seen:
            yield f"{what}: it is there twice, and which one counts is not known"
        seen.add(key)
        metrics = [m.metric for m in each.outcome.measurements] if isinstance(each.outcome, Unverified) else []
        if len(metrics) != len(set(metrics)):
            yield f"{what}: two measurements have one name"
        for text in (each.target, each.benchmark, *metrics, *each.evidence.values(), *run.labels.values()):
            if len(text) > _NAME_LIMIT:
                yield f"{what}: a name or value of {len(text)} characters (most: {_NAME_LIMIT})"
    for section in run.facts.keys() - set(_KEPT):
        yield f"facts of '{one_line(section)}', which is no section of an envelope"
