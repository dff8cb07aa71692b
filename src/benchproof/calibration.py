"""Measures the laboratory itself: each target of a plan against itself, and against itself made slower by a delay.

The study of a target is an ordinary run with an ordinary bundle: the target under two names or more, interleaved like
any other. It refuses exact targets, whose counts have no noise to measure, and delays that a benchmark cannot have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from benchproof import __version__, matrices, plan, references, report, runner
from benchproof.analysis import calibrate
from benchproof.analysis.calibrate import Calibration
from benchproof.analysis.compare import STANDARD
from benchproof.analysis.invocations import Question, question
from benchproof.errors import UsageError
from benchproof.model import Frozen
from benchproof.plan import Case, Plan
from benchproof.probe import Probe
from benchproof.quantities import Duration, Share
from benchproof.runner import Progress
from benchproof.store import bundle, calibrations

BLOCKS = 40
COPIES = 2
_PILOT_BLOCKS = 3  # enough for the size of a delay that is a share of the median
_INSTRUCTIONS = re.compile(r"\s*(\d{1,10})\s*instructions?\s*", re.ASCII)
_NO_ENVELOPE = "it could not be started; see the run"


class Injection(Frozen, frozen=True):
    """What each operation is made slower by: a share of its median, seconds, or instructions."""

    kind: Literal["share", "inject", "inject_instructions"]
    amount: float

    @classmethod
    def parse(cls, text: str) -> Injection:
        """`5 %`, `50 ns` or `100 instructions`. Raises UsageError."""
        if match := _INSTRUCTIONS.fullmatch(text):
            return cls("inject_instructions", int(match[1]))
        try:
            found = (
                cls("share", float(Share.parse(text))) if "%" in text else cls("inject", float(Duration.parse(text)))
            )
        except ValueError as error:
            raise UsageError(f"--inject: expected '5 %', '50 ns' or '100 instructions', found '{text}'") from error
        if not found.amount:
            raise UsageError("--inject: nothing is no injection; leave it out")
        return found


class Outcome(Frozen, frozen=True, kw_only=True):
    """What became of one target: its calibration and where it is kept, or why there is none."""

    target: str
    calibration: Calibration | None = None
    path: str = ""
    reason: str = ""


def run(
    document: dict[str, Any],
    wanted: Plan,
    home: Path,
    probe: Probe,
    progress: Progress,
    *,
    blocks: int = BLOCKS,
    copies: int = COPIES,
    injection: Injection | None = None,
) -> Iterator[Outcome]:
    """Study each target of the plan, one after the other. `wanted` is what `document` parses to.

    Raises UsageError where there is nothing to study.
    """
    timed = [name for name in wanted.targets if name not in wanted.exact]
    if not timed:
        raise UsageError("calibrate: every target of the plan counts instructions, and counts have no noise to measure")
    for name in wanted.targets:
        if name in wanted.exact:
            yield Outcome(target=name, reason="its instructions are counted: the same every time, no noise to measure")
            continue
        progress.note(f"target '{name}' against itself, {copies} copies, {blocks} blocks")
        injected, refused = _injected(document, wanted, name, home, probe, progress, injection)
        copied = study_document(document, wanted, name, blocks=blocks, copies=copies, injected=injected)
        done = _measure(copied, name, home, probe, progress)
        yield _kept(done, name, wanted, home, refused)


def study_document(
    document: Mapping[str, Any],
    wanted: Plan,
    target: str,
    *,
    blocks: int,
    copies: int,
    injected: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The plan of an A/A study: one target under several names, everything else as the plan has it."""
    names = copies_of(target, copies)
    table = references.resolved(matrices.expanded(document["targets"], "the plan")[0], "the plan")[target]
    settings = {key: value for key, value in document.get("run", {}).items() if key not in {"until_decided", "looks"}}
    suites = dict(document.get("suites", {})) or {"primitive": {"benchmarks": ["primitive"]}}
    if injected:
        suites["injected"] = {"benchmarks": list(injected)}
    return {
        "targets": {name: table | {"kind": table.get("kind", target), "reference": names[0]} for name in names},
        "suites": suites,
        "run": settings | {"blocks": blocks, "quick": wanted.run.quick},
    }


def copies_of(target: str, copies: int) -> tuple[str, ...]:
    """The names under which a target is held against itself."""
    return tuple(f"{target}~{number}" for number in range(1, copies + 1))


def _measure(document: dict[str, Any], target: str, home: Path, probe: Probe, progress: Progress) -> bundle.Run:
    study = plan.parse(document, where=f"the study of '{target}'")
    with runner.begin(study, home, probe, progress) as session:
        for _ in session.run():
            pass
        session.close()
    return bundle.load(session.out.path)


def _kept(done: bundle.Run, target: str, wanted: Plan, home: Path, refused: Sequence[str]) -> Outcome:
    found = calibration_of(done, target, wanted, refused)
    if found is None:
        return Outcome(target=target, reason=_NO_ENVELOPE, path=str(done.path))
    return Outcome(target=target, calibration=found, path=str(calibrations.write(home, found)))


def calibration_of(done: bundle.Run, target: str, wanted: Plan, refused: Sequence[str] = ()) -> Calibration | None:
    """What the run of a study says, from its results alone; None if the target could not be described."""
    copies = tuple(name for name in done.manifest.plan["targets"] if name.rpartition("~")[0] == target)
    if any(name not in done.target_envelopes for name in copies):
        return None
    results = report.counted(done)
    studies = calibrate.studies(results, copies, blocks=wanted.run.blocks, design=wanted.run.design)
    return Calibration(
        run_id=done.manifest.run_id,
        created_at=done.manifest.created_at,
        benchproof=__version__,
        target=target,
        envelope=done.envelopes[done.target_envelopes[copies[0]]],
        studies=studies,
        troubles=(*calibrate.troubles(results, copies), *refused),
    )


# ---- delays ----


def _injected(
    document: Mapping[str, Any],
    wanted: Plan,
    target: str,
    home: Path,
    probe: Probe,
    progress: Progress,
    injection: Injection | None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """The injected cases as a suite has them, and what cannot be injected and why."""
    if injection is None:
        return [], []
    cases = [case for case in wanted.cases if case.target == target]
    able = [case for case in cases if injection.kind == "inject_instructions" or _is_latency(case)]
    able = [case for case in able if hasattr(case.benchmark, "inject")]
    refused = [
        f"{case.name}: nothing is injected, unsupported: not a probed latency" for case in cases if case not in able
    ]
    if injection.kind != "share":
        amounts: dict[Question, dict[str, Any]] = {case.question: {injection.kind: injection.amount} for case in able}
    else:
        pilot_plan = study_document(document, wanted, target, blocks=_PILOT_BLOCKS, copies=1)
        progress.note(f"a pilot run says how much {injection.amount:.3g} of each median is")
        amounts = _shares(_measure(pilot_plan, target, home, probe, progress), injection.amount)
    missing = [
        f"{case.name}: nothing is injected, the pilot run has no median"
        for case in able
        if case.question not in amounts
    ]
    items = [
        {"name": case.name, **case.parameters, **amounts[case.question]} for case in able if case.question in amounts
    ]
    return items, refused + missing


def _is_latency(case: Case) -> bool:
    return getattr(case.benchmark, "unit", None) == "ns"


def _shares(pilot: bundle.Run, share: float) -> dict[Question, dict[str, Any]]:
    """For each question a delay in seconds, rounded to what the probe can be asked for."""
    medians: dict[Question, list[float]] = {}
    copies = tuple(pilot.manifest.plan["targets"])
    for study in calibrate.studies(report.counted(pilot), copies, blocks=_PILOT_BLOCKS, design=STANDARD):
        if study.unit == "ns" and study.median:
            medians.setdefault(question(study.benchmark, study.parameters), []).append(study.median)
    return {asked: {"inject": round(found[0] * share, 3) * 1e-9} for asked, found in medians.items() if len(found) == 1}
