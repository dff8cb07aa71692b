"""The figures of a run as small files for committing, a suite a file, and the results page that is made of them.

`SUITE/data_VERSION.json` says what was measured of one version of one's own software: every sample, what became of
what has none, the envelope's hashes and the gates. The evidence stays in the run; a file here is a copy to be read, to
be compared by eye and to make a page of. A version is written once: other figures for it are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchproof import heading
from benchproof.analysis import invocations
from benchproof.analysis.cells import Cell, Extent
from benchproof.analysis.matrix import Report, Row
from benchproof.errors import StoreError, UsageError
from benchproof.model import Better, Frozen, Unit
from benchproof.report import counted, plan_of
from benchproof.reporters import layout, verdicts
from benchproof.store import files
from benchproof.store.bundle import Run
from benchproof.suites import names_of

FORMAT = 1
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_LIMIT_BYTES = 64 << 20


class Figures(Frozen, frozen=True, kw_only=True):
    """One metric of one operation of one target. Without `samples` there is no figure; `status` and `notes` say why.

    `samples` in base units: a list an invocation, nothing left out and nothing rounded; `extent` is of all of them.
    """

    target: str
    benchmark: str
    parameters: dict[str, Any]
    metric: str
    unit: Unit | None
    better: Better | None
    status: str
    median: float | None = None  # of the invocations, as in the report
    extent: Extent | None = None
    samples: list[list[float]] = msgspec.field(default_factory=list)
    lines: list[int] = msgspec.field(default_factory=list)  # of results.jsonl, from 1: the evidence
    notes: list[str] = msgspec.field(default_factory=list)


class Held(Frozen, frozen=True, kw_only=True):
    """A gate and what became of it, in the words of the report."""

    gate: str
    target: str
    statistic: str
    figure: str
    limit: str
    margin: str
    verdict: str
    reason: str


class Release(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One suite of one run of one version."""

    format: int
    suite: str
    version: str  # of what was measured, as its makers call it
    run_id: str
    measured_at: str  # RFC 3339, UTC
    benchproof: str  # version
    blocks: int
    label: str  # "smoke, no claim" and the like; empty if the run supports intervals
    labels: dict[str, str]  # commit, branch, tag
    targets: dict[str, dict[str, str]]  # target -> section of its envelope -> hash; empty where it is not described
    warnings: list[str]
    figures: list[Figures]
    gates: list[Held]
    document: dict[str, str] = msgspec.field(default_factory=dict)  # title, status, maintainer, issue
    evidence: str = ""  # where the run's files are, with {path} for the name of one; empty: nobody said


def of(
    run: Run, report: Report, version: str, *, said: Mapping[str, str] | None = None, evidence_url: str = ""
) -> list[Release]:
    """A release for each suite of the run's plan. `said`: of the head of the page. Raises UsageError."""
    if not VERSION.fullmatch(version):
        raise UsageError(f"--version: expected letters, digits and ._+- such as 0.16.1, found '{version}'")
    if report.state != "complete":
        raise UsageError(f"run {report.run_id} was ended before its last block; go on with benchproof run --resume")
    plan = plan_of(run).document
    document = heading.together(plan.get("document", {}), report.labels, said or {})
    evidence = heading.template(evidence_url, run_id=report.run_id, version=version) if evidence_url else ""
    return [
        msgspec.structs.replace(_release(run, report, version, suite, names), document=document, evidence=evidence)
        for suite, names in _suites(plan).items()
    ]


def _suites(document: Mapping[str, Any]) -> dict[str, set[str]]:
    """The names of the benchmarks of each suite of the plan; where it has none, it asked for the primitives."""
    tables = document.get("suites") or {"primitive": {"benchmarks": ["primitive"]}}
    found = {name: names_of(table["benchmarks"]) for name, table in tables.items()}
    for name in found:
        if not _SUITE.fullmatch(name):
            raise UsageError(f"suite '{name}': expected letters, digits, _ and -: it becomes the name of a folder")
    return found


def _release(run: Run, report: Report, version: str, suite: str, names: set[str]) -> Release:
    samples = _samples(run)
    return Release(
        format=FORMAT,
        suite=suite,
        version=version,
        run_id=report.run_id,
        measured_at=report.created_at,
        benchproof=report.version,
        blocks=report.blocks,
        label=report.label,
        labels=report.labels,
        targets={each.target: report.section_hashes.get(each.envelope, {}) for each in report.columns},
        warnings=[*layout.labels(report), *report.warnings],
        figures=[
            _figures(row, target, cell, samples)
            for row in report.rows
            if row.benchmark in names
            for target, cell in row.cells.items()
        ],
        gates=[
            Held(**dict(zip(verdicts.HEAD, verdicts.texts(each, report), strict=True)))
            for each in report.gates
            if each.gate.benchmark in names
        ],
    )


_Samples = dict[tuple[str, str, str, str], list[list[float]]]


def _samples(run: Run) -> _Samples:
    """By target, benchmark, parameters and metric: those of each invocation that passed, in the order of the blocks."""
    found: _Samples = {}
    for asked, by_target in invocations.last_tries(counted(run)).items():
        for target, results in by_target.items():
            metrics = {each.metric for result in results for each in getattr(result.outcome, "measurements", ())}
            for metric in metrics:
                by_block = invocations.measurements(results, metric)
                found[target, *asked, metric] = [list(by_block[block].samples) for block in sorted(by_block)]
    return found


def _figures(row: Row, target: str, cell: Cell, samples: _Samples) -> Figures:
    key = (target, *invocations.question(row.benchmark, row.parameters), row.metric)
    return Figures(
        target=target,
        benchmark=row.benchmark,
        parameters=row.parameters,
        metric=row.metric,
        unit=row.unit,
        better=row.better,
        status=cell.status,
        median=cell.median,
        extent=cell.extent,
        samples=samples[key] if cell.values else [],
        lines=list(cell.lines),
        notes=list(cell.notes),
    )


def write(found: Sequence[Release], folder: Path) -> list[tuple[Path, bool]]:
    """The files of the releases, and whether each is new. Raises StoreError, having written none, if one may not be."""
    contents = {
        folder / each.suite / f"data_{each.version}.json": msgspec.json.format(msgspec.json.encode(each), indent=1)
        for each in found
    }
    fresh = {path: _is_fresh(path, content + b"\n") for path, content in contents.items()}
    for path in (path for path, new in fresh.items() if new):
        replace(path, contents[path] + b"\n")
    return list(fresh.items())


def _is_fresh(path: Path, content: bytes) -> bool:
    """Whether there is no such file yet. Raises StoreError where it holds something else."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StoreError(f"cannot read '{path}': {error.strerror}; name another folder with --into") from error
    raise StoreError(
        f"'{path}' holds other figures of that version; a version is measured once: name another --version, or remove "
        "the file yourself"
    )


def replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises StoreError."""
    files.replace(path, content, remedy="name another folder with --into")


def read(folder: Path) -> list[Release]:
    """Every release in the folder, by suite and then in the order in which they were measured. Raises StoreError.

    Files in it that other tools wrote, of other names or other formats, are none of ours and left alone.
    """
    found = [each for path in sorted(folder.glob("*/data_*.json")) for each in _read(path)]
    return sorted(found, key=lambda each: (each.suite, each.measured_at, each.version))


def _read(path: Path) -> Iterator[Release]:
    try:
        content = path.read_bytes() if path.stat().st_size <= _LIMIT_BYTES else b""
        document = msgspec.json.decode(content)
        if isinstance(document, dict) and "benchproof" in document:
            yield msgspec.convert(document, Release)
    except OSError as error:
        raise StoreError(f"cannot read '{path}': {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"'{path}' is no file of `benchproof publish`: {error}") from error


def suites(releases: Sequence[Release]) -> dict[str, list[Release]]:
    """By suite."""
    found: dict[str, list[Release]] = {}
    for each in releases:
        found.setdefault(each.suite, []).append(each)
    return found
