"""Is the record of privileged starts whole? Its chain, and whether the runs that are here stand in it.

A chain shows what was changed or taken out of its middle. What was cut off its end shows in the runs: each privileged
invocation that passed was started, and so has a line. It is no proof against who may write the runs anew as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchproof import foreign, report
from benchproof.errors import BenchproofError
from benchproof.model import Frozen, Passed
from benchproof.store import audit, bundle
from benchproof.store.audit import Entry
from benchproof.store.bundle import Run

_SIGNS = (b'"CAP_', b'"measurement"')  # in the manifest of each run that could have started something privileged

Started = tuple[str, str, str]  # run, target, benchmark


class Line(Frozen, frozen=True):
    """A line of the record; `whole`: it and the one before are as they were written."""

    entry: Entry
    whole: bool


class Audited(Frozen, frozen=True):
    """`missing`: what was started by runs that stand in the record, and has no line. `absent`: runs without any."""

    lines: tuple[Line, ...]
    missing: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """1 if a line was changed or is missing, 3 if a run may have been started elsewhere, else 0."""
        if self.missing or not all(line.whole for line in self.lines):
            return 1
        return 3 if self.absent else 0


def audited(home: Path) -> Audited:
    """The record of a home, held against its runs. Raises StoreError at what is no record."""
    lines = tuple(Line(entry, whole) for entry, whole in audit.read(home))
    recorded = Counter(_started(line.entry) for line in lines if line.entry.event == "starting")
    known = {run_id for run_id, _, _ in recorded}
    missing, absent = [], []
    for started, count in _privileged(home):
        if started[0] not in known:
            absent.append(
                f"run {started[0]}: {started[2]} on {started[1]} passed {count} times, none is on record here"
            )
        elif recorded[started] < count:
            missing.append(
                f"run {started[0]}: {started[2]} on {started[1]} passed {count} times, {recorded[started]} on record"
            )
    return Audited(lines, tuple(missing), tuple(absent))


def _started(entry: Entry) -> Started:
    return entry.run_id, entry.target, entry.benchmark


def _privileged(home: Path) -> Iterator[tuple[Started, int]]:
    """How often each privileged case of each run passed."""
    for path in sorted((home / "runs").glob("*")):
        manifest = path / bundle.MANIFEST
        if manifest.is_file() and any(sign in manifest.read_bytes() for sign in _SIGNS):
            try:
                yield from _of(bundle.load(path))
            except BenchproofError:
                continue  # no run to believe has no figures either; `benchproof index` names it


def _of(run: Run) -> Iterator[tuple[Started, int]]:
    if foreign.origin_of(run):
        return
    plan = report.plan_of(run)
    names = {case.name for case in plan.cases if case.benchmark.definition.authority.privileged}
    passed: Sequence[Started] = [
        (run.manifest.run_id, each.target, each.benchmark)
        for each in (*run.results, *run.warmups)
        if isinstance(each.outcome, Passed) and (each.benchmark in names or each.target in plan.measurement_builds)
    ]
    yield from Counter(passed).items()
