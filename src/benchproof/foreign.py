"""An imported run: what is kept of a foreign file, what a report makes of it, whether it still is what the file says.

No oracle saw the work, so there are figures but no verdicts: no ratio, no gate, no baseline. Every figure is marked.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator

import msgspec

from benchproof import envelope
from benchproof.analysis import invocations, matrix
from benchproof.analysis.matrix import Cell, Column, Report, Row
from benchproof.errors import UsageError
from benchproof.importers import Imported, read_as
from benchproof.model import Envelope, Frozen, Passed, Result, Unverified
from benchproof.store.bundle import Run

KEY = "imported"  # of the manifest's plan: an imported run has no other
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LABEL = "imported, not verified"
_METHOD = (
    "An invocation gives one value, the median of its samples; a cell is the median of its invocations. What was "
    "published without samples is shown under the name of its statistic."
)


class Origin(Frozen, frozen=True, kw_only=True):
    """Where the figures of an imported run come from."""

    format: str
    tool: str
    version: str
    file: str  # the last parts of its path
    sha256: str  # of the part of the file that tells of this run, kept in the run's objects
    target: str = ""  # the user's name for the system, where the file has none or another
    notes: tuple[str, ...] = ()


def origin_of(run: Run) -> Origin | None:
    """None for a run of ours. Raises UsageError where the manifest says nothing that makes sense."""
    stated = run.manifest.plan.get(KEY)
    if stated is None:
        return None
    try:
        return msgspec.convert(stated, type=Origin)
    except msgspec.ValidationError as error:
        raise UsageError(f"run {run.manifest.run_id}: its origin makes no sense: {error}") from error


def renamed(imported: Imported, target: str) -> Imported:
    """With the user's name for its system; empty: as it is. Raises UsageError where the file has several."""
    names = {each.target for each in imported.results}
    if not target:
        return imported
    if len(names) > 1:
        raise UsageError(f"--target names one system, and the file is of {len(names)}: {', '.join(sorted(names)[:5])}")
    results = tuple(msgspec.structs.replace(each, target=target) for each in imported.results)
    return msgspec.structs.replace(imported, results=results)


def envelopes_of(imported: Imported) -> dict[str, Envelope]:
    """By target: what the file states, and which program wrote it."""
    stated = {section: dict(facts) for section, facts in imported.facts.items()}
    harness = {"tool": imported.tool, "tool_version": imported.version}
    stated["probe"] = {key: text for key, text in harness.items() if text} | stated.get("probe", {})
    return {each.target: Envelope(sections=stated) for each in imported.results}


def results_of(imported: Imported, run_id: str, created_at: str) -> tuple[Result, ...]:
    """As lines of `results.jsonl`. What the file does not know, such as how long an invocation took in all, is 0."""
    keys = {target: envelope.fingerprint(each) for target, each in envelopes_of(imported).items()}
    return tuple(
        Result(
            run_id=run_id,
            target=each.target,
            benchmark=each.benchmark,
            parameters=each.parameters,
            tier=0,
            block=each.block,
            started_at=created_at,
            duration_ns=0,
            envelope=keys[each.target],
            attempt=1,
            outcome=each.outcome,
            evidence=each.evidence,
        )
        for each in imported.results
    )


def differences(run: Run, origin: Origin) -> Iterator[str]:
    """The file is in the run: what it says now, beside what was recorded."""
    path = run.path / "objects" / origin.sha256
    if not _HASH.fullmatch(origin.sha256) or not path.exists() or not stat.S_ISREG(path.lstat().st_mode):
        yield f"the imported file {origin.sha256[:64]} is not there"
        return
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != origin.sha256:
        yield "the imported file is not the one that was read"
        return
    try:
        read = [renamed(each, origin.target) for each in read_as(origin.format, content, origin.file)]
    except UsageError as error:
        yield f"the imported file cannot be read any more: {error}"
        return
    if len(read) != 1:
        yield f"the imported file tells of {len(read)} runs"
        return
    anew = results_of(read[0], run.manifest.run_id, run.manifest.created_at)
    if _as_stored(anew) != run.results or run.warmups:
        yield "results.jsonl: is not what the imported file says"
    if read[0].notes != origin.notes:
        yield "manifest.json: its notes are not those of the imported file"
    if {target: envelope.fingerprint(each) for target, each in envelopes_of(read[0]).items()} != run.target_envelopes:
        yield "envelope.json: is not what the imported file says"


def _as_stored(results: tuple[Result, ...]) -> tuple[Result, ...]:
    """A number may come back as another type of the same value."""
    return msgspec.json.decode(msgspec.json.encode(results), type=tuple[Result, ...])


def build(run: Run, origin: Origin) -> Report:
    """Every figure of an imported run, each marked as not verified unless the user trusts its tool."""
    columns = tuple(
        Column(
            target=target,
            reference=target,
            envelope=key,
            context=(),
            labels=envelope.labels(run.envelopes[key]) if key else (),
        )
        for target in dict.fromkeys(each.target for each in run.results)
        for key in [run.target_envelopes.get(target, "")]
    )
    cases = [(column.target, each.benchmark, each.parameters, each.tier) for each in run.results for column in columns]
    lines = invocations.lines(run.results)
    rows = matrix.rows(cases, [_as_passed(each) for each in run.results], columns, lines=lines)
    if origin.tool.partition(" ")[0] not in run.trusted:
        rows = tuple(map(_marked, rows))
    statuses = [cell.status for row in rows for cell in row.cells.values()]
    return Report(
        run_id=run.manifest.run_id,
        created_at=run.manifest.created_at,
        version=run.manifest.benchproof,
        state=run.manifest.state,
        blocks=max((each.block for each in run.results), default=0) + 1,
        label=_LABEL,
        vary=(),
        seed=run.manifest.seed,
        columns=columns,
        rows=rows,
        passed=0,
        total=len(statuses),
        statuses={status: statuses.count(status) for status in sorted(set(statuses))},
        warnings=(f"{_LABEL}: {origin.file}, written by {origin.tool} {origin.version}".rstrip(), *origin.notes),
        envelopes={key: each.sections for key, each in run.envelopes.items()},
        section_hashes={key: envelope.section_hashes(each) for key, each in run.envelopes.items()},
        labels=run.manifest.labels,
        method=_METHOD,
    )


def _as_passed(result: Result) -> Result:
    """For the arithmetic alone; the cells say again what they are."""
    if isinstance(result.outcome, Unverified):
        return msgspec.structs.replace(result, outcome=Passed(measurements=result.outcome.measurements))
    return result


def _marked(row: Row) -> Row:
    return msgspec.structs.replace(row, cells={target: _unverified(cell) for target, cell in row.cells.items()})


def _unverified(cell: Cell) -> Cell:
    return msgspec.structs.replace(cell, status="unverified") if cell.status == "passed" else cell
