"""Rows of what lies in the folders of runs, a run at a time and its results a line at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import assert_never

import msgspec

from benchproof import foreign, report
from benchproof.analysis.cells import Cell
from benchproof.analysis.compare import Comparison
from benchproof.analysis.gate import GateVerdict
from benchproof.analysis.matrix import Column, Report
from benchproof.analysis.stats import Interval
from benchproof.errors import StoreError
from benchproof.exports.tables import Row, instant
from benchproof.model import Failed, Invalid, Measurement, Noise, Passed, Result, Unsupported, Unverified
from benchproof.reporters import layout
from benchproof.reporters.summary import FIGURES, figure
from benchproof.store import bundle


def sound(paths: Iterable[Path], leave_out: Callable[[str], None]) -> list[Path]:
    """The folders of runs that are what their manifests say; `leave_out` is told of each other one, and why."""
    found = []
    for path in paths:
        try:
            bundle.outline_sealed(path)
            found.append(path)
        except StoreError as error:
            leave_out(str(error))
    return found


def runs(path: Path) -> Iterator[Row]:
    """Its one row."""
    run = bundle.outline_sealed(path)
    manifest, origin = run.manifest, foreign.origin_of(run)
    yield (
        manifest.run_id,
        instant(manifest.created_at),
        manifest.state,
        manifest.benchproof,
        f"{origin.tool} {origin.version}".rstrip() if origin else None,
        *(manifest.labels.get(name) for name in ("commit", "branch", "tag")),
        _json(manifest.labels),
        tuple(run.target_envelopes),
        _json(manifest.plan),
        manifest.seal,
    )


def envelopes(path: Path) -> Iterator[Row]:
    """Every fact of every target."""
    run = bundle.outline_sealed(path)
    for target, key in sorted(run.target_envelopes.items()):
        for section, facts in sorted(run.envelopes[key].sections.items()):
            for fact, value in sorted(facts.items()):
                yield run.manifest.run_id, target, key, section, fact, value


# ---- results ----


def results(path: Path) -> Iterator[Row]:
    """Every line, as it was recorded; whether it is was checked before, and is again."""
    run_id = bundle.outline_sealed(path).manifest.run_id
    for name in bundle.grown(path):
        for line, (result, fits) in enumerate(bundle.read_lines(path / name), start=1):
            if not fits:
                raise StoreError(f"'{path}' is damaged: {name}, line {line} is not as it was recorded")
            yield from _of_line(run_id, name, line, result)


def _of_line(run_id: str, name: str, line: int, result: Result) -> Iterator[Row]:
    before = (run_id, name, line, *_known(result), *_outcome(result))
    after = (_json(result.evidence), *_noise(result.noise), result.logs, result.log_hashes)
    measurements: tuple[Measurement | None, ...] = getattr(result.outcome, "measurements", ()) or (None,)
    for each in measurements:
        yield (*before, *_measured(each), *after)


def _known(result: Result) -> Row:
    return (
        result.target,
        result.benchmark,
        _json(result.parameters),
        result.tier,
        result.block,
        result.attempt,
        instant(result.started_at),
        result.duration_ns,
        result.envelope or None,
    )


def _outcome(result: Result) -> Row:
    """Status, reason, missing, violations, source."""
    outcome = result.outcome
    match outcome:
        case Passed():
            return "passed", None, None, None, None
        case Failed(violations=violations):
            return "failed", None, None, violations, None
        case Unsupported(reason=reason, missing=missing):
            return "unsupported", reason, missing or None, None, None
        case Invalid(reason=reason):
            return "invalid", reason, None, None, None
        case Unverified(source=source):
            return "unverified", None, None, None, source
    assert_never(outcome)


def _measured(each: Measurement | None) -> Row:
    if each is None:
        return (None,) * 7
    return each.metric, each.unit, each.better, each.clock, each.iterations, each.warmups, each.samples


def _noise(noise: Noise) -> Row:
    return (
        noise.steal,
        noise.pressure,
        noise.load,
        noise.context_switches,
        noise.involuntary_switches,
        noise.clock_source,
        noise.cpu_mhz,
        noise.clock_step_ns,
    )


# ---- figures and gates: those of the report ----


def figures(path: Path) -> Iterator[Row]:
    """Every cell. The run is in memory meanwhile, as it is for its report."""
    found = report.build(bundle.load_sealed(path))
    columns = {column.target: column for column in found.columns}
    for row in found.rows:
        for target, cell in row.cells.items():
            yield (
                found.run_id,
                target,
                row.benchmark,
                _json(row.parameters),
                row.tier,
                row.metric if row.unit else None,
                row.unit,
                row.better,
                *_cell(cell, layout.shown_labels(found, row.benchmark, target)),
                *_compared(cell.comparison, columns[target]),
                cell.mechanism or None,
                cell.difference or None,
                cell.duration_ns,
                columns[target].envelope or None,
            )


def _cell(cell: Cell, labels: tuple[str, ...]) -> Row:
    middle, extent = cell.intervals.get("median"), cell.extent
    return (
        cell.status,
        cell.notes,
        labels,
        cell.n,
        cell.median,
        *_ends(middle),
        cell.spread,
        *(figure(cell.summary, name) for name in FIGURES[1:]),
        cell.values or None,
        cell.lines,
        *((extent.n, extent.min, extent.mean, extent.max) if extent else (None,) * 4),
    )


def _ends(interval: Interval | None) -> Row:
    return (interval.low, interval.high) if interval else (None, None)


def _compared(found: Comparison | None, column: Column) -> Row:
    """From `reference` to `unlike`."""
    reference = column.reference if column.reference != column.target else None
    if found is None:
        return (reference, *(None,) * 9, column.context, None)
    ratio = found.ratio
    return (
        reference,
        ratio.estimate if ratio else None,
        *_ends(ratio),
        ratio.confidence if ratio else None,
        found.difference.estimate if found.difference else None,
        found.margin,
        found.floor,
        found.verdict,
        found.reason or None,
        column.context,
        found.unlike or None,
    )


def gates(path: Path) -> Iterator[Row]:
    """The verdicts of the plan's own gates; other policies are asked with `benchproof gate`."""
    found: Report = report.build(bundle.load_sealed(path))
    for each in found.gates:
        yield (found.run_id, *_verdict(each))


def _verdict(each: GateVerdict) -> Row:
    gate, limit = each.gate, each.gate.limit
    return (
        gate.key,
        each.target,
        gate.benchmark,
        _json(each.parameters),
        gate.metric,
        gate.mode,
        each.verdict,
        each.reason or None,
        gate.statistic,
        limit.text if limit else None,
        limit.unit if limit else None,
        limit.bound if limit else None,
        each.figure,
        each.margin,
        *_ends(each.interval),
        each.base or None,
        each.band or None,
        each.n,
    )


def _json(content: Mapping[str, object]) -> str:
    return msgspec.json.encode(content, order="sorted").decode()
