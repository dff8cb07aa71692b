"""`benchproof bisect` as library calls: each commit is built, counted by an exact target, and a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchproof import laboratory, plan, report
from benchproof.analysis.matrix import Report, Row
from benchproof.checkouts import Repository
from benchproof.continuous import measuring, sides
from benchproof.continuous.building import BuildFailed, build
from benchproof.continuous.searching import Found, Step, search
from benchproof.errors import UsageError
from benchproof.model import Frozen, Outcome
from benchproof.plugins import nearest
from benchproof.probe import Probe
from benchproof.runner import Progress
from benchproof.store import bundle


class Question(Frozen, frozen=True, kw_only=True):
    """What is searched, and by what. `document`: of a plan with one benchmark, `{checkout}` still in it."""

    repository: Repository
    good: str
    bad: str
    document: dict[str, Any]
    where: str
    metric: str  # full name; empty: the only one that there is
    build: str
    build_timeout_s: float
    threshold: float


class _Silent:
    """Who watches a search is told of commits, not of the one invocation that each is."""

    def planned(self, invocations: Sequence[tuple[int, str, str]]) -> None:
        """Not told."""

    def note(self, message: str) -> None:
        """Not told."""

    def done(self, block: int, target: str, benchmark: str, outcome: Outcome | None) -> None:
        """Not told."""


def find(question: Question, home: Path, probe: Probe, progress: Progress) -> Found:
    """The commits of which one changed the count. Raises NoEndError, UsageError."""
    repository = question.repository
    _plan(question, "checkout", recorded=True)  # nonsense is told before a build
    good, bad = (repository.commit(each) for each in (question.good, question.bad))
    commits = repository.between(good, bad)
    progress.note(
        f"{len(commits) - 1} commits; about {(len(commits) - 2).bit_length() + 2} are measured, the ends first"
    )
    chosen: list[str] = []  # the metric that the good end has: of all other commits, too

    def measure(commit: str) -> Step:
        step = _step(question, commit, f"{good[:12]}..{bad[:12]}", chosen, home, probe)
        progress.note(f"{commit[:12]} {repository.subject(commit)}: {_said(step)}")
        return step

    with laboratory.interruptible():
        return search(commits, measure, threshold=question.threshold)


def _said(step: Step) -> str:
    return step.trouble if step.value is None else f"{step.value:,.6f}".rstrip("0").rstrip(".") + f" {step.unit}"


def _step(question: Question, commit: str, span: str, chosen: list[str], home: Path, probe: Probe) -> Step:
    """One commit; what cannot be built or measured is a step without a figure, whatever the reason. Never a guess."""
    log = home / "builds" / f"{commit[:12]}.txt"
    try:
        with question.repository.checked_out(commit, "bisect") as folder:
            if question.build:
                build(question.build, folder, supervisor=probe.path, timeout_s=question.build_timeout_s, log=log)
            path = measuring.run(
                _plan(question, str(folder)), home, probe, _Silent(), {"commit": commit, "bisect": span}
            )
    except BuildFailed as error:
        return Step(commit=commit, trouble=str(error))
    except UsageError as error:
        if not chosen:  # the plan itself may make no sense: nobody wants to hear that of each commit
            raise
        return Step(commit=commit, trouble=str(error))
    found = report.build(bundle.load_sealed(path))
    return msgspec.structs.replace(_figure(found, question.metric, chosen), commit=commit)


def _plan(question: Question, folder: str, *, recorded: bool = False) -> plan.Plan:
    """Of one checkout. Raises UsageError for more than one target: the figures of a step are those of one."""
    document, _ = plan.counted(sides.one_sided(question.document, folder, question.where))
    wanted = plan.parse(document, where=question.where, recorded=recorded)
    if len(wanted.targets) > 1:
        raise UsageError(
            f"expected one target that counts instructions, found {', '.join(wanted.targets)}; add --target"
        )
    return wanted


def _figure(found: Report, metric: str, chosen: list[str]) -> Step:
    """The count that is asked, or why there is none; the first one that was found is the question from then on."""
    (column,) = found.columns
    rows = [row for row in found.rows if row.cells[column.target].median is not None]
    named = [row for row in rows if row.metric == (metric or (chosen[0] if chosen else row.metric))]
    if len(named) > 1 or (not named and rows and not chosen):
        raise UsageError(_which(metric, rows))
    if not named:
        notes = [note for row in found.rows for note in row.cells[column.target].notes]
        return Step(commit="", run_id=found.run_id, trouble=notes[0] if notes else "it has no such metric")
    chosen[:] = [named[0].metric]
    value = named[0].cells[column.target].median
    return Step(commit="", value=value, run_id=found.run_id, metric=named[0].metric, unit=named[0].unit or "")


def _which(metric: str, rows: list[Row]) -> str:
    known = list(dict.fromkeys(row.metric for row in rows))
    if len(known) < len(rows):
        return "expected one case, found several of one metric; name a plan that asks it with one set of parameters"
    found = f"found '{metric}'" if metric else "found none"
    return f"--metric: expected one of those that were measured, {found}; {nearest(metric, known)}"
