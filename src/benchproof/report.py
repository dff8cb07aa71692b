"""From a run on disk to its report: the plan says what was to be seen, the envelopes what may be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from benchproof import envelope, foreign, tier0
from benchproof.analysis import (
    calibrate,
    degradation,
    gate,
    hints,
    invocations,
    matrix,
    profiles,
    relative,
    speedup,
    versus,
    widths,
)
from benchproof.analysis.gate import Gate, GateVerdict, Ratios
from benchproof.analysis.invocations import Asked
from benchproof.analysis.matrix import Column, Report, Row
from benchproof.analysis.versus import Half
from benchproof.errors import UsageError
from benchproof.model import Authority, Facet, Failed, Noise, Passed, Result, Unverified
from benchproof.plan import Plan, parse
from benchproof.store.bundle import Run

__all__ = [
    "Report",
    "blocks_due",
    "build",
    "counted",
    "encoded",
    "half",
    "judged",
    "plan_of",
    "remedy",
    "targets_of",
    "trusting",
    "undeclared",
]

_STEAL_WARNING = 0.02


def plan_of(run: Run) -> Plan:
    """The plan that the run was made from. Raises UsageError for an imported one: it has none."""
    if foreign.origin_of(run):
        raise UsageError(f"run {run.manifest.run_id} was imported: it has no plan, and no oracle saw its work")
    return parse(run.manifest.plan, where=f"run {run.manifest.run_id}", recorded=True)


def targets_of(run: Run) -> tuple[str, ...]:
    """The targets of a run, imported or made here."""
    if foreign.origin_of(run):
        return tuple(dict.fromkeys(each.target for each in run.results))
    return tuple(plan_of(run).targets)


def build(run: Run, *, upto: int | None = None) -> Report:
    """Every figure of the run, from its results alone; `upto`: as if only so many blocks had been run."""
    if origin := foreign.origin_of(run):
        return foreign.build(run, origin)
    plan, lines = plan_of(run), invocations.lines(run.results)
    if upto is not None:
        run = msgspec.structs.replace(run, results=tuple(each for each in run.results if each.block < upto))
    columns = tuple(_column(run, plan, target) for target in plan.targets)
    cases = [(case.target, case.name, case.parameters, case.benchmark.definition.tier) for case in plan.cases]
    results = counted(run)
    rows = tuple(_rows(run, plan, columns, cases, results, lines))
    due = matrix.blocks_due(rows, columns, plan.run.design, plan.run.blocks)
    cells = [cell for row in rows for cell in row.cells.values()]
    found = Report(
        run_id=run.manifest.run_id,
        created_at=run.manifest.created_at,
        version=run.manifest.benchproof,
        state=run.manifest.state,
        blocks=plan.run.blocks,
        label=_label(plan),
        vary=plan.run.vary,
        seed=plan.seed,
        columns=columns,
        rows=rows,
        passed=sum(cell.status == "passed" for cell in cells),
        total=len(cells),
        statuses={
            status: sum(cell.status == status for cell in cells) for status in sorted({cell.status for cell in cells})
        },
        warnings=tuple(_warnings(run, plan, due)),
        envelopes={key: each.sections for key, each in run.envelopes.items()},
        section_hashes={key: envelope.section_hashes(each) for key, each in run.envelopes.items()},
        design=plan.run.design,
        labels=run.manifest.labels,
        published=plan.published,
        inspired=plan.inspired,
        smokes=tier0.told(run.smokes),
        authorities=_authorities(plan),
        scaling=widths.rows(cases, results, _systems(run, plan)),
        crowds=degradation.curves(cases, results, _cpus(run)),
    )
    seen = tuple(_seen(run, plan, found))
    found = msgspec.structs.replace(
        found,
        profiles=tuple(_profiles(run, plan, found)),
        stages=tuple(hints.breakdowns(seen, hints.rules())),
        hints=tuple(hints.of(seen, hints.rules())),
    )
    return msgspec.structs.replace(found, gates=judged(run, found, plan.gates, relative.within(found)))


def _rows(
    run: Run,
    plan: Plan,
    columns: Sequence[Column],
    cases: Sequence[tuple[str, str, Mapping[str, object], int]],
    results: Sequence[Result],
    lines: Mapping[invocations.Attempt, int],
) -> Iterator[Row]:
    """Times first, then counts of instructions: never in one row."""
    floors = calibrate.floors(run.manifest.calibration, plan.references)
    mechanisms = {case.name: case.benchmark.definition.mechanism for case in plan.cases}
    for exact in (False, True):
        asked = [case for case in cases if (case[0] in plan.exact) == exact]
        alike = [column for column in columns if column.exact == exact]
        yield from matrix.rows(asked, results, alike, plan.run.design, floors, mechanisms, lines)


def _seen(run: Run, plan: Plan, found: Report) -> Iterator[hints.Seen]:
    """Every answer with a figure, and what its invocations left behind."""
    answers: dict[Asked, tuple[str, str, dict[str, object], dict[str, hints.Figured]]] = {}
    for row in found.rows:
        for target, cell in row.cells.items():
            if cell.status == "passed" and row.unit is not None and target not in plan.exact:
                asked = invocations.question(row.benchmark, row.parameters), target
                answer = answers.setdefault(asked, (target, row.benchmark, row.parameters, {}))
                answer[-1][row.metric] = hints.Figured(cell, row.unit)
    facts = {target: run.envelopes[key].sections for target, key in run.target_envelopes.items()}
    yield from hints.seen_in(answers.values(), run.results, facts, plan.references)


def _profiles(run: Run, plan: Plan, found: Report) -> Iterator[profiles.Profiles]:
    """What the targets of each matrix cost, every pair of them in the same blocks."""
    halves = {name: half(run, name, found) for matrix_ in plan.matrices for name in matrix_.targets}

    def between(base: str, new: str) -> versus.Versus:
        context = undeclared((run, base), (run, new), vary=plan.run.vary)
        return versus.between(halves[base], halves[new], context=context, vary=plan.run.vary, design=plan.run.design)

    for each in plan.matrices:
        if len(each.targets) > 1:
            keys = [run.target_envelopes[name] for name in each.targets if name in run.target_envelopes]
            emulated = any(run.envelopes[key].sections["machine"].get("execution") == "tcg" for key in keys)
            yield profiles.of(each.name, each.base, each.targets, between, emulated=emulated)


def judged(run: Run, found: Report, gates: Iterable[Gate], ratios: Ratios) -> tuple[GateVerdict, ...]:
    """The verdicts of gates on a run whose report is there."""
    results = counted(run)
    tiers = {(row.benchmark, target): row.tier for row in found.rows for target in row.cells}
    parameters = {invocations.question(row.benchmark, row.parameters): row.parameters for row in found.rows}
    due = _of_a_file(results) if foreign.origin_of(run) else _of_a_plan(found)
    gates, complete = tuple(gates), run.manifest.state == "complete"
    on_cases = gate.judge(
        gates,
        [(target, asked[0], parameters[asked], tiers[asked[0], target]) for asked, target in due],
        results,
        blocks=due,
        ratios=ratios,
        complete=complete,
    )
    return (*on_cases, *speedup.judge(gates, found.scaling, complete=complete))


def _of_a_plan(found: Report) -> dict[Asked, int]:
    return matrix.blocks_due(found.rows, found.columns, found.design, found.blocks)


def _of_a_file(results: Sequence[Result]) -> dict[Asked, int]:
    """What a foreign file tells of is all that was asked."""
    last = invocations.last_tries(results)
    return {(asked, target): len(found) for asked, by_target in last.items() for target, found in by_target.items()}


def counted(run: Run) -> tuple[Result, ...]:
    """A warm-up is in no figure, but a wrong answer is a wrong answer."""
    return (*run.results, *(each for each in run.warmups if isinstance(each.outcome, Failed)))


def trusting(run: Run, tools: Collection[str]) -> Run:
    """The run, with what those tools reported taken as if it was verified. Nothing else is."""

    def taken(result: Result) -> Result:
        outcome = result.outcome
        if not isinstance(outcome, Unverified) or outcome.source.partition(" ")[0] not in tools:
            return result
        return msgspec.structs.replace(result, outcome=Passed(measurements=outcome.measurements))

    return msgspec.structs.replace(run, results=tuple(map(taken, run.results)), trusted=frozenset(tools))


def half(run: Run, target: str, found: Report) -> Half:
    """One target of a run as a side of a comparison; `found` is the report of that run."""
    rows = {
        (invocations.question(row.benchmark, row.parameters), row.metric): row
        for row in found.rows
        if target in row.cells
    }
    last = invocations.last_tries(run.results)
    return Half(
        run_id=run.manifest.run_id,
        target=target,
        exact=any(column.exact for column in found.columns if column.target == target),
        complete=run.manifest.state == "complete",
        imported=foreign.origin_of(run) is not None,
        envelope=run.target_envelopes.get(target, ""),
        labels=next((column.labels for column in found.columns if column.target == target), ()),
        inspired=found.inspired,
        rows=rows,
        values={
            (asked, metric): invocations.values(last.get(asked, {}).get(target, ()), metric)
            for (asked, metric), row in rows.items()
            if row.cells[target].status == "passed"
        },
    )


def undeclared(base: tuple[Run, str], new: tuple[Run, str], *, vary: Iterable[Facet]) -> tuple[str, ...]:
    """The facts that forbid a comparison of two targets (run, name), because they were not declared to vary."""
    for run, target in (base, new):
        if target not in run.target_envelopes:
            return (f"{run.manifest.run_id}/{target} could not be started and is not described",)
    one, other = (run.envelopes[run.target_envelopes[target]] for run, target in (base, new))
    return tuple(str(each) for each in envelope.differences(one, other, vary=vary) if not each.allowed)


def remedy(base: tuple[Run, str], new: tuple[Run, str], *, vary: Iterable[Facet]) -> str:
    """What to declare so that two targets of whom something else differs may be compared; empty if nothing does."""
    sides = [(run, run.target_envelopes[target]) for run, target in (base, new) if target in run.target_envelopes]
    if len(sides) < 2:
        return ""
    one, other = (run.envelopes[key] for run, key in sides)
    return envelope.remedy(one, other, vary=tuple(vary))


def blocks_due(run: Run, found: Report) -> dict[Asked, int]:
    """How many blocks each case owes, as far as the report of the run tells."""
    plan = plan_of(run)
    return matrix.blocks_due(found.rows, found.columns, plan.run.design, plan.run.blocks)


def _label(plan: Plan) -> str:
    """Counts are exact however few they are."""
    return matrix.label(plan.run.blocks) if plan.targets.keys() - plan.exact else ""


def encoded(report: Report) -> bytes:
    """The report as it is kept in the bundle."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def _column(run: Run, plan: Plan, target: str) -> Column:
    reference = plan.references[target]
    keys = [run.target_envelopes.get(name, "") for name in (reference, target)]
    if all(keys):
        base, new = (run.envelopes[key] for key in keys)
        context = tuple(str(each) for each in envelope.differences(base, new, vary=plan.run.vary) if not each.allowed)
    elif target == reference:
        context = ()  # nothing is missing that could have been compared
    else:
        context = ("one of the two could not be started and is not described",) if target != reference else ()
    return Column(
        target=target,
        reference=reference,
        envelope=keys[1],
        context=context,
        exact=target in plan.exact,
        labels=envelope.labels(run.envelopes[keys[1]]) if keys[1] else (),
    )


def _cpus(run: Run) -> dict[str, int | None]:
    """How many CPUs of the host each target shares with the laboratory, as far as that is on record."""
    facts = {target: run.envelopes[key].sections for target, key in run.target_envelopes.items()}
    return {name: widths.cpus(each.get("host", {}), each.get("machine", {})).count for name, each in facts.items()}


def _systems(run: Run, plan: Plan) -> list[widths.System]:
    """Those that time is measured on: instructions of an emulated guest scale with nothing."""
    timed = {name: target for name, target in plan.targets.items() if name not in plan.exact}
    facts = {target: run.envelopes[key].sections for target, key in run.target_envelopes.items()}
    return widths.systems(timed, facts, (base for target, base in plan.references.items() if base != target))


def _warnings(run: Run, plan: Plan, blocks_due: Mapping[Asked, int]) -> list[str]:
    found = []
    due = sum(blocks_due[case.question, case.target] for case in plan.cases)
    if run.manifest.state != "complete":
        found.append(
            f"the run was ended before its last block: {len(run.results)} results of about {due}; go on with --resume"
        )
    if label := _label(plan):
        found.append(label)
    emulated: dict[str, list[str]] = {}
    for target, key in run.target_envelopes.items():
        if reason := run.envelopes[key].sections.get("machine", {}).get("accel_reason"):
            emulated.setdefault(reason, []).append(target)
    found += _privileged(plan)
    found += run.manifest.calibration.notes
    if run.manifest.state == "complete":
        found += _stopped_early(plan, blocks_due)
    found += [
        f"{', '.join(names)}: emulated, not virtualised: {reason}; its figures compare with nothing native"
        for reason, names in emulated.items()
    ]
    timed = [each for each in run.results if each.target not in plan.exact]  # a count knows no noise
    bad = sum(((each.noise or Noise()).steal or 0) > _STEAL_WARNING for each in timed)
    if bad:
        taken = f"more than {_STEAL_WARNING:.0%} of the CPU time"
        found.append(f"the hypervisor took {taken} in {bad} of {len(timed)} invocations")
    retried = sum(each.attempt > 1 for each in run.results)
    if retried:
        found.append(f"{retried} invocations were tried again after an invalid one; every try is in results.jsonl")
    return found


def _authorities(plan: Plan) -> dict[str, str]:
    needed = {case.name: case.benchmark.definition.authority for case in plan.cases}
    return {name: str(authority) for name, authority in needed.items() if authority != Authority()}


def _privileged(plan: Plan) -> Iterator[str]:
    """Rights that others do not have, and builds that nobody ships, are said before anything else is read from it."""
    needed = {case.name: case.benchmark.definition.authority for case in plan.cases}
    for name, authority in needed.items():
        if authority.privileged:
            yield f"privileged: {name} ran with {authority}; each start is on record (benchproof list audit)"
    if plan.measurement_builds:
        builds = ", ".join(sorted(plan.measurement_builds))
        yield f"measurement builds, which are never shipped: {builds}; each start is on record (benchproof list audit)"


def _stopped_early(plan: Plan, due: Mapping[Asked, int]) -> list[str]:
    """What the boundary was, and when it was reached: it was fixed before the first number."""
    if not plan.run.looks:
        return []
    boundary = ", ".join(f"{look.blocks} blocks (one-sided error {look.alpha:.3%})" for look in plan.run.looks)
    ends = Counter(due.values())
    reached = ", ".join(f"{count} after {blocks}" for blocks, count in sorted(ends.items()))
    return [f"looks were planned at {boundary}; of the cases, measuring ended: {reached} blocks"]
