"""The tables of an export: their columns with type, unit and meaning. Both formats and the documentation follow this.

A figure is in the base unit that its row names in `unit`; where a column has a unit of its own, its name ends in it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from benchproof.model import Frozen

Kind = Literal["text", "name", "integer", "number", "flag", "time", "texts", "numbers", "integers", "json"]
Row = tuple[object, ...]  # values in the order of the columns; None: there is none


class Column(Frozen, frozen=True):
    """`name`: few different texts. `json`: an object as text. `unit`: of every value, where it is always the same."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""


class Table(Frozen, frozen=True):
    """`key`: the columns that no two rows share, and in whose order the rows are."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]


def instant(text: str) -> datetime | None:
    """A time as it is recorded; None for what is no time."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


_RUN = Column("run_id", "name", "the run")
_CASE = (
    Column("target", "name", "the system"),
    Column("benchmark", "name", "the question"),
    Column("parameters", "json", "of the benchmark, by name"),
)
_METRIC = (
    Column("metric", "name", "what was measured"),
    Column("unit", "name", "base unit of the figures in this row: ns, bytes, bytes/s, op/s, instructions, ..."),
    Column("better", "name", "lower or higher"),
)

RUNS = Table(
    "runs",
    "one row a run",
    ("run_id",),
    (
        _RUN,
        Column("created_at", "time", "when it began"),
        Column("state", "name", "running or complete"),
        Column("benchproof", "name", "version that made it"),
        Column("imported_from", "name", "the tool whose file it was made of; null for a run of benchproof's own"),
        Column("commit", "name", "what was measured"),
        Column("branch", "name", "what was measured"),
        Column("tag", "name", "what was measured"),
        Column("labels", "json", "all labels, those three among them"),
        Column("targets", "texts", "systems that could be described"),
        Column("plan", "json", "the plan, includes resolved"),
        Column("seal", "text", "sha256 of the manifest, which has the hashes of all else"),
    ),
)

ENVELOPES = Table(
    "envelopes",
    "one row a fact that could change a number",
    ("run_id", "target", "section", "fact"),
    (
        _RUN,
        Column("target", "name", "the system"),
        Column("envelope", "name", "hash of all facts together"),
        Column("section", "name", "host, machine, system, probe or authority"),
        Column("fact", "name", "its name"),
        Column("value", "name", "in the words of who was asked"),
    ),
)

RESULTS = Table(
    "results",
    "one row a metric of each recorded line; one row, without a metric, for a line that has no figures",
    ("run_id", "file", "line", "metric"),
    (
        _RUN,
        Column("file", "name", "results.jsonl, warmups.jsonl (never counted) or smokes.jsonl (tier 0)"),
        Column("line", "integer", "of that file, from 1: the evidence"),
        *_CASE,
        Column("tier", "integer", "of the benchmark"),
        Column("block", "integer", "of the run; negative: before it was counted"),
        Column("attempt", "integer", "1, and more where the tries before were invalid"),
        Column("started_at", "time", "when the invocation began"),
        Column("duration_ns", "integer", "of the whole invocation, start and stop included", "ns"),
        Column("envelope", "name", "hash; null where the target could not be described"),
        Column("status", "name", "passed, failed, unsupported, invalid or unverified"),
        Column("reason", "text", "of unsupported and invalid"),
        Column("missing", "text", "of unsupported: how to get it"),
        Column("violations", "texts", "of failed"),
        Column("source", "text", "of unverified: who states the figures"),
        *_METRIC,
        Column("clock", "name", "whose time it is: host, target, or instructions"),
        Column("iterations", "integer", "operations that each sample stands for", "count"),
        Column("warmups", "numbers", "samples that are in no statistic, in `unit`"),
        Column("samples", "numbers", "raw, in `unit` per operation; null where there is no figure"),
        Column("evidence", "json", "what the oracle read"),
        Column("steal", "number", "share of all CPU time that the hypervisor took, 0 to 1", "ratio"),
        Column("pressure", "number", "share of the time in which a task waited for a CPU, 0 to 1", "ratio"),
        Column("load", "number", "one-minute average at the end"),
        Column("context_switches", "integer", "of the whole machine", "count"),
        Column("involuntary_switches", "integer", "of the invocation's processes", "count"),
        Column("clock_source", "name", "of the kernel"),
        Column("cpu_mhz", "number", "of the first CPU at the end", "MHz"),
        Column("clock_step_ns", "integer", "by which the wall clock was moved", "ns"),
        Column("logs", "texts", "paths within the run"),
        Column("log_hashes", "texts", "sha256 of each"),
    ),
)

FIGURES = Table(
    "figures",
    "one row a cell of the report: every figure, and every answer that is missing",
    ("run_id", "benchmark", "parameters", "metric", "target", "unit"),
    (
        _RUN,
        *_CASE,
        Column("tier", "integer", "of the benchmark"),
        *_METRIC,
        Column("status", "name", "passed, failed, unsupported, invalid, unverified or missing"),
        Column("notes", "texts", "why there is no figure, or what to know of it"),
        Column("labels", "texts", "which system it is no ordinary one of; of whom the benchmark is inspired"),
        Column("n", "integer", "invocations behind the median", "count"),
        Column("median", "number", "of the invocations, in `unit`"),
        Column("median_low", "number", "lower end of its 95 % interval"),
        Column("median_high", "number", "upper end"),
        Column("spread", "number", "robust SD between invocations, as a share of the median", "ratio"),
        Column("min", "number", "of the invocations"),
        Column("max", "number", "of the invocations"),
        Column("mean", "number", "of the invocations"),
        Column("sd", "number", "of the invocations"),
        Column("mad", "number", "of the invocations"),
        Column("cv", "number", "SD / mean", "ratio"),
        Column("p90", "number", "null with fewer than 10 invocations"),
        Column("p95", "number", "null with fewer than 20"),
        Column("p99", "number", "null with fewer than 100"),
        Column("p99_9", "number", "null with fewer than 1000"),
        Column("values", "numbers", "one an invocation, in the order of the blocks"),
        Column("lines", "integers", "in results.jsonl, from 1: of each of `values`; without a figure, of all tries"),
        Column("sample_count", "integer", "all samples of all invocations", "count"),
        Column("sample_min", "number", "of those"),
        Column("sample_mean", "number", "of those"),
        Column("sample_max", "number", "of those"),
        Column("reference", "name", "what the ratio is to"),
        Column("ratio", "number", "to the reference", "ratio"),
        Column("ratio_low", "number", "lower end of its interval", "ratio"),
        Column("ratio_high", "number", "upper end", "ratio"),
        Column("confidence", "number", "of that interval", "ratio"),
        Column("difference", "number", "to the reference, in `unit`; of counts"),
        Column("margin", "number", "within which ratios are the same, as a share", "ratio"),
        Column("floor", "number", "by which equal things differ here, as a share; null: never measured", "ratio"),
        Column("verdict", "name", "faster, slower, same, undecided or incomparable; null: nothing to compare with"),
        Column("reason", "text", "of the verdict"),
        Column("context", "texts", "facts that forbid a ratio to the reference"),
        Column("unlike", "text", "what both sides really time, where that is not the same"),
        Column("mechanism", "text", "what was timed"),
        Column("mechanism_differs", "text", "by what that differs from the benchmark's own"),
        Column("duration_ns", "integer", "of all its invocations, start and stop included", "ns"),
        Column("envelope", "name", "hash; null where the target could not be described"),
    ),
)

GATES = Table(
    "gates",
    "one row a verdict of a gate of the run's plan",
    ("run_id", "gate", "target", "parameters"),
    (
        _RUN,
        Column("gate", "name", "its name in the plan"),
        *_CASE,
        Column("metric", "name", "null: the only one of the benchmark"),
        Column("mode", "name", "gate, review or off"),
        Column("verdict", "name", "met, not met, undecided, review or off"),
        Column("reason", "text", "of the verdict"),
        Column("statistic", "name", "what is held against the limit; null: every invocation must pass"),
        Column("limit", "name", "as it was written"),
        Column("unit", "name", "base unit of limit, figure and margin"),
        Column("bound", "number", "the limit in `unit`"),
        Column("figure", "number", "in `unit`; null where none could be computed"),
        Column("margin", "number", "room that is left, in `unit`"),
        Column("ratio_low", "number", "of a ratio: lower end of its interval", "ratio"),
        Column("ratio_high", "number", "upper end", "ratio"),
        Column("base", "name", "of a ratio: to what"),
        Column("band", "name", "of a gate with bands"),
        Column("n", "integer", "invocations that passed", "count"),
    ),
)

_SERIES = (
    Column("series", "name", "hash of what tells it from others: target, metric, parameters, environment"),
    *_CASE,
    *_METRIC,
    Column("clock", "name", "whose time it is"),
)

SERIES = Table(
    "series",
    "one row a series of the index: a metric of a case in one environment",
    ("series",),
    (*_SERIES, Column("environment", "json", "every fact that splits a trend")),
)

POINTS = Table(
    "points",
    "one row a run's value within a series",
    ("series", "run_id"),
    (
        *_SERIES,
        _RUN,
        Column("at", "time", "when it was measured"),
        Column("state", "name", "of the run; a trend takes complete ones alone"),
        Column("value", "number", "median of the invocations, in `unit`"),
        Column("n", "integer", "invocations", "count"),
        Column("spread", "number", "robust SD between invocations, in `unit`; null with fewer than 6"),
        Column("verified", "flag", "false: imported, no oracle saw the work"),
    ),
)

TABLES = {each.name: each for each in (RUNS, RESULTS, FIGURES, GATES, SERIES, POINTS, ENVELOPES)}
