"""Says whether a run is what it claims to be: every hash, verdict of an oracle and figure, computed anew."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchproof import foreign, report, tier0
from benchproof.envelope import fingerprint
from benchproof.errors import BenchproofError, StoreError, one_line
from benchproof.model import Frozen, Observation, Passed, Result
from benchproof.plan import Plan, case_key
from benchproof.store import bundle

_LOG_NAME = re.compile(r"logs/[\w.-]{1,200}", re.ASCII)


class Verdict(Frozen, frozen=True):
    """`problems` is empty if the run can be trusted; `checked` counts what was looked at.

    `imported`: by which tool it was written; then it is what the file says, and no oracle of ours saw the work.
    """

    run_id: str
    state: str
    problems: tuple[str, ...]
    checked: dict[str, int]
    imported: str = ""


def verify(path: Path) -> Verdict:
    """Look at everything and report all that is wrong. Raises StoreError only where there is no run at all."""
    if not path.is_dir():
        raise StoreError(f"no run at '{path}'; `benchproof list runs` shows what there is")
    checked = dict.fromkeys(("files", "results", "oracles", "figures"), 0)
    try:
        run = bundle.load(path)
    except StoreError as error:
        return Verdict(run_id=path.name, state="unreadable", problems=(str(error),), checked=checked)
    problems = [
        *_manifest(run),
        *_files(run, checked),
        *_lines(run, checked),
        *_logs(run),
        *_envelopes(run),
        *_oracles(run, checked),
        *_figures(run, checked),
    ]
    return Verdict(
        run_id=run.manifest.run_id,
        state=run.manifest.state,
        problems=tuple(problems),
        checked=checked,
        imported=_tool(run),
    )


def _tool(run: bundle.Run) -> str:
    try:
        origin = foreign.origin_of(run)
    except BenchproofError:
        return ""  # what is wrong with it is one of the problems
    return origin.tool if origin else ""


def _manifest(run: bundle.Run) -> Iterator[str]:
    if (run.path / bundle.MANIFEST).read_bytes() != bundle.encoded(run.manifest):
        yield "manifest.json: its bytes are not those that benchproof writes"
    if run.manifest.seal != bundle.seal_of(run.manifest):
        yield "manifest.json: its seal does not fit its content"
    if run.manifest.run_id != run.path.name:
        yield f"the folder is called '{run.path.name}', the run '{run.manifest.run_id}'"


def _files(run: bundle.Run, checked: dict[str, int]) -> Iterator[str]:
    """Of a run that is not complete, the growing files are held by their chains and the logs by the results."""
    yield from (f"{each.relative_to(run.path)}: no run holds such a thing" for each in bundle.strangers(run.path))
    present = {str(file.relative_to(run.path)): file for file in bundle.members(run.path)}
    for name, expected in run.manifest.files.items():
        if name not in present:
            yield f"{name}: missing"
        elif hashlib.sha256(present[name].read_bytes()).hexdigest() != expected:
            yield f"{name}: its hash is not the one in the manifest"
        checked["files"] += 1
    if run.manifest.state == "complete":
        yield from (f"{name}: not in the manifest" for name in present if name not in run.manifest.files)


def _lines(run: bundle.Run, checked: dict[str, int]) -> Iterator[str]:
    for name in bundle.grown(run.path):
        for number, (result, fits) in enumerate(bundle.read_lines(run.path / name), start=1):
            checked["results"] += 1
            if not fits:
                yield f"{name}, line {number}: its chain does not fit: the line or one before it was changed"
            if result.run_id != run.manifest.run_id:
                yield f"{name}, line {number}: belongs to run '{result.run_id}'"
            if result.envelope and result.envelope != run.target_envelopes.get(result.target):
                yield f"{name}, line {number}: its envelope is not that of target '{result.target}'"


def _logs(run: bundle.Run) -> Iterator[str]:
    for result in (*run.smokes, *run.warmups, *run.results):
        if len(result.logs) != len(result.log_hashes):
            yield f"{_name(result)}: {len(result.logs)} logs and {len(result.log_hashes)} hashes"
        for name, expected in zip(result.logs, result.log_hashes, strict=False):
            if not _LOG_NAME.fullmatch(name) or not _is_there(run.path, name):
                yield f"{one_line(name)[:200]}: missing"
            elif hashlib.sha256((run.path / name).read_bytes()).hexdigest() != expected:
                yield f"{name}: its hash is not the one in its result"


def _is_there(folder: Path, name: str) -> bool:
    """A regular file at this very place: no link leads to it."""
    path = folder.resolve() / name
    return path.resolve() == path and path.is_file()


def _envelopes(run: bundle.Run) -> Iterator[str]:
    for claimed, envelope in run.envelopes.items():
        if fingerprint(envelope) != claimed:
            yield f"envelope.json: the facts of {claimed[:23]}... do not have that hash"


def _oracles(run: bundle.Run, checked: dict[str, int]) -> Iterator[str]:
    """The evidence is in the results: each oracle is asked again; of an imported run, the file is read again."""
    try:
        if origin := foreign.origin_of(run):
            yield from foreign.differences(run, origin)
            return
        plan = report.plan_of(run)
        yield from _tier0(run, plan, checked)
        cases = {case.key: case.benchmark for case in plan.cases}
    except BenchproofError as error:
        yield f"manifest.json: its plan makes no sense to this version: {error}"
        return
    for result in (*run.warmups, *run.results):
        benchmark = cases.get(case_key(result.target, result.benchmark, result.parameters))
        if benchmark is None:
            yield f"{_name(result)}: the plan has no such case"
        elif isinstance(result.outcome, Passed):
            checked["oracles"] += 1
            seen = Observation(measurements=result.outcome.measurements, evidence=result.evidence)
            yield from (f"{_name(result)}: recorded as passed, but {violation}" for violation in benchmark.verify(seen))


def _tier0(run: bundle.Run, plan: Plan, checked: dict[str, int]) -> Iterator[str]:
    """Of a target whose smokes do not stand, nothing was kept."""
    yield from tier0.problems(run.smokes, plan.smokes, checked)
    down = tier0.fallen(run.smokes)
    asked = {each.target for each in run.smokes}
    has_smokes = bundle.SMOKES in bundle.grown(run.path)  # runs of earlier versions have none
    for result in (*run.warmups, *run.results):
        if result.target in down and isinstance(result.outcome, Passed):
            yield f"{_name(result)}: was kept although a smoke of its target did not stand"
        elif has_smokes and result.target not in asked and isinstance(result.outcome, Passed):
            yield f"{_name(result)}: was kept although no smoke of its target is on record"


def _figures(run: bundle.Run, checked: dict[str, int]) -> Iterator[str]:
    if run.manifest.state != "complete":
        return
    try:
        published = msgspec.json.decode((run.path / bundle.REPORT).read_bytes(), type=report.Report)
        anew = report.build(run)
    except (OSError, msgspec.MsgspecError, BenchproofError) as error:
        yield f"report.json: cannot be compared: {error}"
        return
    if not any(cell.lines for row in published.rows for cell in row.cells.values()):
        anew = _without_lines(anew)  # as earlier versions wrote it
    checked["figures"] = sum(len(row.cells) for row in anew.rows) + len(anew.gates)
    for row, again in zip(published.rows, anew.rows, strict=False):
        yield from (
            f"report.json: {row.metric} of '{target}' does not follow from the results"
            for target in row.cells
            if row.cells[target] != again.cells.get(target)
        )
    yield from (
        f"report.json: gate '{one_line(gate.gate.key)}' of '{one_line(gate.target)}' does not follow from the results"
        for gate in published.gates
        if gate not in anew.gates
    )
    if published != anew:
        yield "report.json: does not follow from the results"


def _without_lines(found: report.Report) -> report.Report:
    """The same figures, without where they come from."""
    rows = (
        msgspec.structs.replace(
            row,
            cells={name: msgspec.structs.replace(cell, blocks=(), lines=()) for name, cell in row.cells.items()},
        )
        for row in found.rows
    )
    return msgspec.structs.replace(found, rows=tuple(rows))


def _name(result: Result) -> str:
    return f"{result.target}, {result.benchmark}, block {result.block}, attempt {result.attempt}"
