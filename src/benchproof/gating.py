"""May this run ship? Judges a run that is there already, by a policy or by the gates of its own plan.

The run is not touched: its report gets other gates, nothing else of it changes. What a baseline had and the run has not
is said: a gated metric that disappeared is not met, any other is listed as lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import msgspec

from benchproof import foreign, matrices, report
from benchproof.analysis import calibrate, gate, invocations, relative, versus
from benchproof.analysis.gate import REFERENCE, Gate, GateVerdict, Pair, Ratios
from benchproof.analysis.invocations import Question
from benchproof.analysis.matrix import Report, Row
from benchproof.analysis.versus import Key, Versus
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import UsageError
from benchproof.model import Better, Facet, Frozen, Unit, Unverified
from benchproof.plugins import nearest
from benchproof.policy import Known, Policy, gates_of
from benchproof.store.bundle import Run

Find = Callable[[str], Run]  # the run that a baseline names; raises UsageError, StoreError


class Judged(Frozen, frozen=True, kw_only=True):
    """What came of it. `report` is the run's own, with the verdicts as its gates."""

    report: Report
    policy: str
    baselines: dict[str, str]  # as it was named -> id of the run
    lost: tuple[str, ...]  # what the baseline answered, and neither the run nor any gate speaks of


class _Base(Frozen, frozen=True):
    """A run to compare with, its untrusted results left as they are: no figures."""

    run: Run
    report: Report

    @property
    def run_id(self) -> str:
        return self.run.manifest.run_id


def judged(run: Run, policy: Policy | None, *, baseline: str | None, find: Find) -> Judged:
    """The verdicts; without a policy those of the plan's own gates. `baseline` is used where a gate names none.

    Raises UsageError where the policy makes no sense of this run.
    """
    policy = policy or _own(run)
    default = baseline or policy.baseline
    trusted = report.trusting(run, policy.trust)
    found = report.build(trusted)
    bases = _Bases(find, policy.trust, run.manifest.run_id)
    compared = bases.of(default) if default not in {None, REFERENCE} else None
    gates = _stated(policy, found, compared, default)
    ratios = _Ratios(trusted, found, bases, policy.vary or found.vary)
    verdicts = report.judged(trusted, found, gates, ratios)
    verdicts = (*verdicts, *_disappeared(gates, verdicts, found, bases, compared))
    lost = tuple(_lost(gates, found, compared.report)) if compared else ()
    own = report.build(run) if policy.trust else found  # whom a policy trusts does not change what a run is
    said = [
        *(
            f"judged as the policy trusts it, though not verified: what {tool} reported"
            for tool in _taken(run, trusted)
        ),
        *ratios.warnings,
        *(f"lost since the baseline, and no gate asks for it: {each}" for each in lost),
    ]
    return Judged(
        report=msgspec.structs.replace(own, gates=verdicts, warnings=(*own.warnings, *said)),
        policy=policy.name,
        baselines={name: each.run_id for name, each in bases.known.items()},
        lost=lost,
    )


def _stated(policy: Policy, found: Report, compared: _Base | None, default: str | None) -> tuple[Gate, ...]:
    """The gates of the policy, held against what the run has. Raises UsageError."""
    gates = tuple(
        gates_of(
            policy.gates,
            targets=[column.target for column in found.columns],
            known=_known(found),
            where=policy.name,
            what="run",
            groups=matrices.groups_of(column.target for column in found.columns),
            lost=[*BENCHMARKS.names(), *(_known(compared.report) if compared else ())],
            baseline=default,
        )
    )
    _refuse_own_reference(gates, found, policy.name)
    return gates


def _own(run: Run) -> Policy:
    """The gates of the run's plan. Raises UsageError where it has none."""
    gates = run.manifest.plan.get("gates")
    if not gates:
        why = "it was imported and has no plan" if foreign.origin_of(run) else "its plan states no gates"
        raise UsageError(
            f"run {run.manifest.run_id}: {why}; name a policy with --policy FILE "
            "(`benchproof list policies` shows those that need no file)"
        )
    return Policy(name=f"the plan of run {run.manifest.run_id}", gates=gates)


def _taken(run: Run, trusted: Run) -> list[str]:
    """Whose results were taken without having been verified."""
    pairs = zip(run.results, trusted.results, strict=True)
    return sorted({one.outcome.source for one, other in pairs if isinstance(one.outcome, Unverified) and one != other})


def _known(found: Report) -> Known:
    known: dict[str, dict[str, tuple[Unit, Better]]] = {}
    for row in found.rows:
        metrics = known.setdefault(row.benchmark, {})
        if row.unit is not None and row.better is not None:
            metrics[row.metric] = (row.unit, row.better)
    return known


def _refuse_own_reference(gates: Iterable[Gate], found: Report, where: str) -> None:
    references = {column.target: column.reference for column in found.columns}
    for each in gates:
        if each.baseline == REFERENCE and all(
            references[target] == target for target in ([each.target] if each.target else references)
        ):
            raise UsageError(
                f"{where}: gates.{each.key}: baseline: '{each.target or ', '.join(references)}' has no other reference "
                "than itself in this run; name another run, such as branch:main"
            )


class _Bases:
    """The runs that gates are held against, each looked up once."""

    def __init__(self, find: Find, trust: Collection[str], own_id: str) -> None:
        self.known: dict[str, _Base] = {}
        self._find = find
        self._trust = trust
        self._own_id = own_id

    def of(self, name: str) -> _Base:
        """Raises UsageError if it is the run itself."""
        if name not in self.known:
            run = report.trusting(self._find(name), self._trust)
            if run.manifest.run_id == self._own_id:
                raise UsageError(f"baseline '{name}' is the run itself; name another")
            if run.manifest.state != "complete":
                raise UsageError(
                    f"baseline '{name}' was ended before its last block; go on with "
                    f"`benchproof run --resume {run.manifest.run_id}` or name another"
                )
            self.known[name] = _Base(run, report.build(run))
        return self.known[name]


class _Ratios:
    """Where the ratio of a gate comes from: the run itself, or a comparison with another, made once."""

    def __init__(self, run: Run, found: Report, bases: _Bases, vary: tuple[Facet, ...]) -> None:
        self._run = run
        self._found = found
        self._bases = bases
        self._vary = vary
        self._known: dict[str, Ratios] = {REFERENCE: relative.within(found)}
        self.warnings: list[str] = []  # of the comparisons

    def __call__(self, gate: Gate, target: str, asked: Question, metric: str) -> Pair | None:
        name = gate.baseline or REFERENCE
        if name not in self._known:
            self._known[name] = self._apart(self._bases.of(name))
        return self._known[name](gate, target, asked, metric)

    def _apart(self, base: _Base) -> Ratios:
        there = {column.target for column in base.report.columns}
        targets = [column.target for column in self._found.columns if column.target in there]
        drift = {
            target: calibrate.drift(*((each.manifest.calibration, target) for each in (base.run, self._run)))
            for target in targets
        }
        compared = {target: self._versus(base, target, drift[target]) for target in targets}
        said = [f"run {base.run_id}: {each}" for one in compared.values() for each in one.warnings]
        self.warnings += dict.fromkeys(said)
        return relative.apart(
            compared,
            run_id=base.run_id,
            same=[target for target in targets if _one_artifact(base.run, self._run, target)],
            drift=drift,
        )

    def _versus(self, base: _Base, target: str, drift: Mapping[Key, float]) -> Versus:
        return versus.between(
            report.half(base.run, target, base.report),
            report.half(self._run, target, self._found),
            context=report.undeclared((base.run, target), (self._run, target), vary=self._vary),
            vary=self._vary,
            design=self._found.design,
            drift=drift,
        )


def _one_artifact(base: Run, new: Run, target: str) -> bool:
    envelopes = [each.envelopes.get(each.target_envelopes.get(target, "")) for each in (base, new)]
    sections = [each.sections for each in envelopes if each is not None]
    return len(sections) == 2 and relative.one_artifact(*sections)


# ---- what is not there any more ----

_Case = tuple[str, Question, str]  # target, question, metric


def _answered(found: Report) -> dict[_Case, Row]:
    return {
        (target, invocations.question(row.benchmark, row.parameters), row.metric): row
        for row in found.rows
        for target, cell in row.cells.items()
        if cell.status == "passed" and cell.values
    }


def _asks_for(gate: Gate, case: _Case) -> bool:
    target, (benchmark, _), metric = case
    return gate.benchmark == benchmark and gate.target in {None, target} and gate.metric in {None, metric}


def _disappeared(
    gates: Iterable[Gate], verdicts: Iterable[GateVerdict], found: Report, bases: _Bases, default: _Base | None
) -> Iterator[GateVerdict]:
    """Verdicts on what a gate asks for and the run does not even have as a case."""
    judged = {
        (each.gate.key, each.target, invocations.question(each.gate.benchmark, each.parameters)) for each in verdicts
    }
    asked = sorted({row.benchmark for row in found.rows})
    for each in gates:
        named = each.baseline if each.mode != "off" and each.baseline != REFERENCE else None
        base = bases.of(named) if named is not None else default
        gone = {(case[0], case[1]): row.parameters for case, row in _wanted(each, base, found)}
        new = {key: parameters for key, parameters in gone.items() if (each.key, *key) not in judged}
        for (target, _), parameters in new.items():
            yield gate.disappeared(each, target, parameters, f"run {base.run_id if base else ''} has it")
        if each.benchmark not in asked and not new:
            reason = f"the run has no such benchmark; {nearest(each.benchmark, asked)}"
            yield gate.disappeared(each, each.target or "any", {}, reason)


def _wanted(each: Gate, base: _Base | None, found: Report) -> Iterator[tuple[_Case, Row]]:
    """What the baseline answered of what the gate asks for; a reference has no ratio to itself."""
    references = {column.target for column in found.columns if column.target == column.reference}
    for case, row in _answered(base.report).items() if base else ():
        if _asks_for(each, case) and not (each.baseline == REFERENCE and case[0] in references):
            yield case, row


def _lost(gates: Iterable[Gate], found: Report, base: Report) -> Iterator[str]:
    gates = list(gates)
    has = _answered(found)
    for case in _answered(base):
        if case not in has and not any(_asks_for(each, case) for each in gates):
            yield f"{case[2]} of {case[0]}"


def status(verdicts: Iterable[GateVerdict]) -> int:
    """The exit status: 1 if any gate is not met, else 3 if any is undecided, else 0."""
    words = {each.verdict for each in verdicts}
    return 1 if "not met" in words else 3 if "undecided" in words else 0
