"""The only module with control flow: blocks, invocations, the oracle's word, retries of `Invalid`, append.

One block is one randomised pass over all cases, one fresh invocation each; the first block is warm-up and is stored
apart. Whatever happens to one invocation, the run goes on; whatever happens to us, what was recorded is on the disk.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from benchproof import __version__, envelope, laboratory, noise, report
from benchproof.analysis.calibrate import Calibrated
from benchproof.analysis.invocations import question
from benchproof.errors import (
    InvocationError,
    LabInvalid,
    StartFailed,
    StoreError,
    UsageError,
)
from benchproof.model import (
    WARMUP_BLOCK,
    Authority,
    Envelope,
    Failed,
    Frozen,
    Invalid,
    Noise,
    Observation,
    Outcome,
    Passed,
    Result,
    Target,
    Unsupported,
)
from benchproof.outcomes import judge, outcome_of, reason_of
from benchproof.plan import Case, CaseKey, Limits, Plan, case_key
from benchproof.probe import Probe
from benchproof.report import Report
from benchproof.store import audit, bundle, calibrations
from benchproof.tier0 import Tier0

_START_FAILURES = 3  # in a row: then the target is given up, the run goes on without it


Seen = tuple[Outcome, dict[str, str], Noise | None]  # evidence, and the noise around it where that was at another time


class Progress(Protocol):
    """Someone who watches. Called between invocations, never within."""

    def planned(self, invocations: Sequence[tuple[int, str, str]]) -> None:
        """Block, target and benchmark of each invocation to come, in order."""

    def note(self, message: str) -> None:
        """Something that the user wants to know."""

    def done(self, block: int, target: str, benchmark: str, outcome: Outcome | None) -> None:
        """One invocation has ended, with all its tries, as this; None: its case is settled, nothing was done."""


class Settled(Frozen, frozen=True):
    """What each case of a target that cannot be measured ends as, and what the target said when that was found."""

    outcome: Outcome
    logs: tuple[tuple[str, bytes], ...] = ()


@contextlib.contextmanager
def begin(
    plan: Plan, home: Path, probe: Probe, progress: Progress, labels: Mapping[str, str] | None = None
) -> Iterator[Session]:
    """A new run: every target is asked for its facts, then the bundle is made. `labels`: what was measured."""
    created_at = datetime.now(UTC)
    run_id = f"{created_at:%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}"
    manifest = bundle.Manifest(
        format=bundle.FORMAT,
        run_id=run_id,
        benchproof=__version__,
        created_at=created_at.isoformat(timespec="seconds"),
        state="running",
        plan=plan.document,
        seed=plan.seed,
        definitions=_definitions(plan),
        files={},
        labels=dict(labels or {}),
    )
    bundle.try_folder(home / "runs")
    with laboratory.interruptible(), laboratory.opened(probe) as lab:
        targets = {name: plan.make_target(name, lab) for name in plan.targets}
        _record_builds(plan, home, run_id)
        envelopes, settled = _describe(targets, lab, probe, progress)
        manifest = msgspec.structs.replace(manifest, calibration=_calibration(plan, home, envelopes, progress))
        objects = {probe.facts["binary_sha256"]: probe.path.read_bytes()}
        out = bundle.Bundle.create(home / "runs" / run_id, manifest, envelopes, objects)
        with contextlib.closing(out):
            yield Session(plan, out, lab, targets, envelopes, settled, progress)


@contextlib.contextmanager
def resume(run: bundle.Run, plan: Plan, probe: Probe, progress: Progress) -> Iterator[Session]:
    """Go on with a run that was ended. Raises UsageError if it is complete or if anything is not as it was."""
    if run.manifest.state == "complete":
        raise UsageError(f"run {run.manifest.run_id} is complete; there is nothing to resume")
    with laboratory.interruptible(), laboratory.opened(probe) as lab:
        targets = {name: plan.make_target(name, lab) for name in plan.targets}
        _record_builds(plan, _home_of(run.path), run.manifest.run_id)
        envelopes, settled = _describe(targets, lab, probe, progress)
        for target in envelopes.keys() - run.target_envelopes.keys():
            raise UsageError(
                f"target '{target}' could not be started when the run began, and can be now; start a new run"
            )
        for target, then in run.target_envelopes.items():
            now = envelopes.get(target)
            changed = envelope.differences(run.envelopes[then], now, vary=()) if now else ()
            if now is None or changed:
                what = "; ".join(map(str, changed)) or "it cannot be started any more"
                raise UsageError(f"target '{target}' is not what it was when the run began ({what}); start a new run")
        session = Session(plan, bundle.Bundle.resume(run), lab, targets, envelopes, settled, progress)
        session.remember_smokes(run.smokes)
        session.remember((*run.warmups, *run.results))
        progress.note(f"run {run.manifest.run_id} goes on; {len(run.warmups) + len(run.results)} results are on record")
        with contextlib.closing(session.out):
            yield session


class Session:
    """A run in progress, and what has to be remembered between two of its invocations."""

    def __init__(
        self,
        plan: Plan,
        out: bundle.Bundle,
        lab: laboratory.Room,
        targets: dict[str, Target],
        envelopes: dict[str, Envelope],
        settled: dict[str, Settled],
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.out = out
        self.lab = lab
        self.targets = targets
        self.envelopes = {name: envelope.fingerprint(each) for name, each in envelopes.items()}
        self.settled = settled  # targets that cannot be measured, and what each of their cases ends as
        self.progress = progress
        self.said: set[CaseKey] = set()  # cases that are unsupported or settled, and on record as that
        self.tries: Counter[tuple[int, CaseKey]] = Counter()
        self.finished: set[tuple[int, CaseKey]] = set()
        self.start_failures: Counter[str] = Counter()
        self.tier0 = Tier0(out, lab.logs, self.envelopes, retries=plan.run.retries, supervisor=lab.probe)
        self.measured: set[str] = set()  # targets with results on record, in a run that is resumed

    def remember_smokes(self, results: Iterable[Result]) -> None:
        """What tier 0 of a run that is resumed has on record: who fell stays down."""
        self.tier0.results += results
        self.settled |= {name: Settled(outcome=outcome) for name, outcome in self.tier0.fallen.items()}

    def remember(self, results: Iterable[Result]) -> None:
        """What a run that is resumed has on record."""
        for result in results:
            key = case_key(result.target, result.benchmark, result.parameters)
            self.tries[result.block, key] += 1
            if not isinstance(result.outcome, Invalid):
                self.finished.add((result.block, key))
            self.measured.add(result.target)
            self._note_what_is_settled(result, key)

    def smoke(self) -> None:
        """Tier 0 of every target, before anything is measured: of one that does not stand, nothing is."""
        if standing := [name for name in self.targets if name not in self.settled]:
            self.progress.note(f"tier 0: does it do what it is asked? {', '.join(standing)}")
        for name, tests in self.plan.smokes.items():
            due = [each for each in tests.targets or self.targets if each not in self.settled]
            if due:
                self.tier0.test(name, tests, due, measured=bool(self.measured & set(due)))
                self._settle_fallen()
        for name, target in self.targets.items():
            if name not in self.settled:
                _record_builds(self.plan, _home_of(self.out.path), self.out.manifest.run_id, only=name, what="tier 0")
                self.tier0.ask(name, target, measured=name in self.measured)
                self._settle_fallen()

    def _settle_fallen(self) -> None:
        for name, outcome in self.tier0.fallen.items():
            if name not in self.settled:
                self.settled[name] = Settled(outcome=outcome)
                self.progress.note(f"target '{name}': {reason_of(outcome)}; none of its figures is kept")

    def run(self) -> Iterator[Result]:
        """Every invocation that is still to be done, block by block, each on disk before it is yielded.

        Where looks are planned, what a look settled is not measured any further.
        """
        self.smoke()
        start = WARMUP_BLOCK
        for end in [look.blocks for look in self.plan.run.looks] or [self.plan.run.blocks]:
            cases = self._open_cases(start)
            if not cases:
                break
            todo = [
                (block, case)
                for block in range(start, end)
                for case in self.plan.schedule(block)
                if case.key in cases and not self.is_done(block, case)
            ]
            self.progress.planned([(block, case.target, case.name) for block, case in todo])
            for block, case in todo:
                outcome = yield from self.invoke(block, case)
                self.progress.done(block, case.target, case.name, outcome)
            start = end

    def _open_cases(self, start: int) -> set[CaseKey]:
        """The cases that more blocks may settle, from what is on record."""
        if start == WARMUP_BLOCK:
            return {case.key for case in self.plan.cases}
        run = bundle.load(self.out.path)
        due = report.blocks_due(run, report.build(run, upto=start))
        found = {case.key for case in self.plan.cases if due[case.question, case.target] > start}
        if found:
            self.progress.note(f"looked after {start} blocks: {len(found)} cases go on")
        return found

    def close(self) -> Report:
        """The run is complete: compute its report and seal the bundle."""
        run = bundle.load(self.out.path)
        complete = msgspec.structs.replace(run.manifest, state="complete")
        found = report.build(msgspec.structs.replace(run, manifest=complete))
        self.out.seal(report.encoded(found))
        return found

    def is_done(self, block: int, case: Case) -> bool:
        """Whether the run that is resumed has this invocation already."""
        key = (block, case.key)
        return key in self.finished or self.tries[key] > self.plan.run.retries

    def invoke(self, block: int, case: Case) -> Generator[Result, None, Outcome | None]:
        """One invocation; more of them while they are invalid and tries are left. Every try is recorded.

        Returns what it ended as.
        """
        if case.key in self.said or (block == WARMUP_BLOCK and case.target in self.settled):
            return None  # it does not become supported from one block to the next
        for attempt in range(self.tries[block, case.key] + 1, self.plan.run.retries + 2):
            result = self._attempt(block, case, attempt)
            self.out.append(result)
            yield result
            if not isinstance(result.outcome, Invalid) or case.target in self.settled:
                break
        self._note_what_is_settled(result, case.key)
        return result.outcome

    def _note_what_is_settled(self, result: Result, key: CaseKey) -> None:
        """Said once among the results that count is enough."""
        if result.block != WARMUP_BLOCK and (isinstance(result.outcome, Unsupported) or result.target in self.settled):
            self.said.add(key)

    def _attempt(self, block: int, case: Case, attempt: int) -> Result:
        self.lab.logs.clear()
        started_at, before = datetime.now(UTC), noise.snapshot()
        settled = self.settled.get(case.target)
        outcome, evidence, earlier = self._recall(settled) if settled else self._observe(case)
        after = noise.snapshot()
        around = earlier or noise.between(before, after)
        timed = case.target not in self.plan.exact  # no noise of the host reaches a count of instructions
        if timed and isinstance(outcome, Passed) and (excess := beyond(self.plan.run.limits, around)):
            outcome = Invalid(reason=excess)
        kept = [self.out.write_log(name, content) for name, content in self.lab.logs]
        return Result(
            run_id=self.out.manifest.run_id,
            target=case.target,
            benchmark=case.name,
            parameters=case.parameters,
            tier=case.benchmark.definition.tier,
            block=block,
            started_at=started_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            duration_ns=after.monotonic_ns - before.monotonic_ns,
            envelope=self.envelopes.get(case.target, ""),
            attempt=attempt,
            outcome=outcome,
            evidence=evidence,
            noise=around,
            logs=tuple(path for path, _ in kept),
            log_hashes=tuple(digest for _, digest in kept),
        )

    def _recall(self, settled: Settled) -> Seen:
        self.lab.logs += settled.logs
        return settled.outcome, {}, None

    def _observe(self, case: Case) -> Seen:
        try:
            with self._on_record(case) as ended:
                observation: Observation = case.benchmark.run(self.targets[case.target])
                outcome = judge(case.benchmark, observation)
                ended.append(outcome)
        except InvocationError as error:
            self._count_start_failures(case.target, error)
            return outcome_of(error), {}, None
        self.start_failures[case.target] = 0
        return outcome, dict(observation.evidence), observation.noise

    @contextlib.contextmanager
    def _on_record(self, case: Case) -> Iterator[list[Outcome]]:
        """What is privileged starts when that is on the disk, and not otherwise; who is inside says how it ended."""
        needed = _needed(self.plan, case.target, case.benchmark.definition.authority)
        ended: list[Outcome] = []
        if not needed.privileged:
            yield ended
            return
        about = {"target": case.target, "benchmark": case.name, "authority": str(needed)}
        self._audit(event="starting", **about)
        try:
            yield ended
        except BaseException as error:
            self._audit(event="ended", outcome=str(error) or type(error).__name__, **about)
            raise
        self._audit(event="ended", outcome=type(ended[0]).__name__.lower(), **about)

    def _audit(self, **about: str) -> None:
        try:
            audit.append(_home_of(self.out.path), audit.entry(run_id=self.out.manifest.run_id, **about))
        except StoreError as error:
            raise LabInvalid(f"a privileged benchmark goes on record or does not start: {error}") from error

    def _count_start_failures(self, target: str, error: InvocationError) -> None:
        self.start_failures[target] = self.start_failures[target] + 1 if isinstance(error, StartFailed) else 0
        if self.start_failures[target] >= _START_FAILURES:
            words = f"not tried: the target did not start {_START_FAILURES} times in a row ({error})"
            self.settled[target] = Settled(outcome=Failed(violations=(words,)))


def beyond(limits: Limits, around: Noise) -> str:
    """Which limit of the plan was passed, as a sentence; empty if none."""
    for what, found, limit in (
        ("steal time", around.steal, limits.steal),
        ("CPU pressure", around.pressure, limits.pressure),
    ):
        if found is not None and limit is not None and found > limit:
            return f"{what} {found:.1%} is over the limit of {limit:.1%}"
    if around.load is not None and limits.load is not None and around.load > limits.load:
        return f"load {around.load:.2f} is over the limit of {limits.load:g}"
    if (
        around.clock_step_ns is not None
        and limits.clock_step is not None
        and abs(around.clock_step_ns) > limits.clock_step * 1e9
    ):
        return f"the wall clock was moved by {around.clock_step_ns / 1e6:.3f} ms"
    return ""


def _home_of(run: Path) -> Path:
    """Where its audit is."""
    return run.parent.parent


def _needed(plan: Plan, target: str, declared: Authority) -> Authority:
    """What a benchmark may do, with what the target's build may."""
    return msgspec.structs.replace(declared, measurement_build=True) if target in plan.measurement_builds else declared


def _record_builds(plan: Plan, home: Path, run_id: str, *, only: str = "", what: str = "") -> None:
    """To describe a measurement build is to start it, and so is tier 0. Raises StoreError."""
    for name in sorted(each for each in plan.measurement_builds if only in {"", each}):
        needed = _needed(plan, name, Authority())
        audit.append(
            home, audit.entry(run_id=run_id, target=name, benchmark=what, authority=str(needed), event="starting")
        )


def _describe(
    targets: dict[str, Target], lab: laboratory.Room, probe: Probe, progress: Progress
) -> tuple[dict[str, Envelope], dict[str, Settled]]:
    """The envelopes of the targets that can be started, and the outcome of those that cannot."""
    envelopes: dict[str, Envelope] = {}
    settled: dict[str, Settled] = {}
    for name, target in targets.items():
        lab.logs.clear()
        progress.note(f"asking target '{name}' what it is")
        try:
            envelopes[name] = envelope.capture(target.facts(), probe.facts)
        except InvocationError as error:
            settled[name] = Settled(outcome=outcome_of(error), logs=tuple(lab.logs))
            progress.note(f"target '{name}': {error}")
    return envelopes, settled


def _calibration(plan: Plan, home: Path, envelopes: dict[str, Envelope], progress: Progress) -> Calibrated:
    """The A/A floors that hold for what was found, for the shortest comparison that the run may decide by."""
    timed = {name: each for name, each in envelopes.items() if name not in plan.exact}
    blocks = plan.run.looks[0].blocks if plan.run.looks else plan.run.blocks
    found = calibrations.find(home, timed, blocks=blocks)
    for note in found.notes:
        progress.note(note)
    asked = {case.question for case in plan.cases}
    floors = tuple(each for each in found.floors if question(each.benchmark, each.parameters) in asked)
    return msgspec.structs.replace(found, floors=floors)


def _definitions(plan: Plan) -> list[dict[str, Any]]:
    known = {case.name: case.benchmark.definition for case in plan.cases}
    return [msgspec.to_builtins(definition) for definition in known.values()]
