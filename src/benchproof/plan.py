"""Reads a TOML plan and expands it into cases. Nothing runs before every key and every value of it made sense."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchproof import heading, matrices, references, reruns
from benchproof.analysis.compare import Design, Look, planned_looks
from benchproof.analysis.gate import REFERENCE, Gate
from benchproof.analysis.inspired import Inspired
from benchproof.analysis.invocations import INJECTIONS, Question, question
from benchproof.analysis.published import Published
from benchproof.benchmarks import BENCHMARKS
from benchproof.document import document_of
from benchproof.errors import UsageError
from benchproof.external import of_benchmarks, published_of
from benchproof.inspiration import inspired_of
from benchproof.matrices import Matrix
from benchproof.model import Benchmark, Better, Facet, Frozen, Lab, Target, Unit
from benchproof.plugins import nearest
from benchproof.policy import Known, benchmark_of, gates_of
from benchproof.quantities import Duration, Share
from benchproof.suites import asked_of, asked_of_targets, names_of, of_targets_alone
from benchproof.tables import convert, refuse_unknown, table_of
from benchproof.targets import KINDS
from benchproof.tier0 import HostTests, host_tests, of_targets

FULL_BLOCKS = 10
DECIDING_BLOCKS = 30  # at most, where measuring ends as soon as everything is decided
MEASUREMENT_BUILD = "measurement"
QUICK_BLOCKS = 6  # the least number of pairs with a 95 % interval

CaseKey = tuple[str, str, str]  # target, benchmark, parameters


def case_key(target: str, benchmark: str, parameters: dict[str, Any]) -> CaseKey:
    """Equal for equal cases, whatever the order of their parameters."""
    return target, benchmark, msgspec.json.encode(parameters, order="sorted").decode()


class Limits(Frozen, frozen=True, forbid_unknown_fields=True):
    """Beyond these an invocation is invalid. None, `any` in a plan: no limit."""

    steal: Share | None = None
    pressure: Share | None = None
    load: float | None = None
    clock_step: Duration | None = Duration(0.001)

    def __post_init__(self) -> None:
        if self.load is not None and not 0 <= self.load < math.inf:
            raise ValueError(f"load: expected a number that is finite and not negative, or 'any', found {self.load}")


class Settings(Frozen, frozen=True, forbid_unknown_fields=True):
    """The `[run]` table."""

    blocks: int
    vary: tuple[Facet, ...] = ("system",)
    seed: int | None = None  # drawn and recorded when the plan has none
    retries: int = 2  # of an invalid invocation
    quick: bool = False
    limits: Limits = Limits()
    margin: Share = Share(0.02)  # ratios within it are the same
    fdr: Share = Share(0.05)
    until_decided: bool = False  # `blocks` is the most, `looks` say when a question may be settled before
    looks: tuple[Look, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.blocks <= 100_000:
            raise ValueError(f"blocks: expected 1 to 100000, found {self.blocks}")
        if not 0 <= self.retries <= 100:
            raise ValueError(f"retries: expected 0 to 100, found {self.retries}")
        if not (0 < self.fdr < 1 and self.margin <= 10):
            raise ValueError(
                f"expected margin up to 10 and fdr between 0 and 1, found {self.margin:g} and {self.fdr:g}"
            )
        if self.looks and not self.until_decided:
            raise ValueError("looks: expected until_decided = true beside them")
        ends = [look.blocks for look in self.looks]
        if ends and (ends != sorted(set(ends)) or ends[-1] != self.blocks):
            raise ValueError(f"looks: expected rising numbers of blocks up to {self.blocks}, found {ends}")
        for look in self.looks:
            if not 2.0**-look.blocks <= look.alpha < 0.5:
                raise ValueError(f"looks: an error of {look.alpha:g} cannot be reached with {look.blocks} blocks")

    @property
    def design(self) -> Design:
        """How the targets are compared."""
        return Design(margin=float(self.margin), fdr=float(self.fdr), looks=self.looks)


class Case(Frozen, frozen=True):
    """One target and one benchmark with its parameters."""

    target: str
    benchmark: Any  # a Benchmark: msgspec knows no protocols

    @property
    def name(self) -> str:
        """The benchmark's name."""
        return str(self.benchmark.definition.name)

    @property
    def parameters(self) -> dict[str, Any]:
        """The benchmark's fields, as plain values: those that a result on disk has."""
        plain = msgspec.json.decode(msgspec.json.encode(self.benchmark, enc_hook=float))
        return {name: value for name, value in plain.items() if name != "type"}

    @property
    def question(self) -> Question:
        """What is asked of every target."""
        return question(self.name, self.parameters)

    @property
    def key(self) -> CaseKey:
        """What tells this case from all others; equal for equal cases of two runs."""
        return case_key(self.target, self.name, self.parameters)


class Plan(Frozen, frozen=True):
    """A plan that makes sense. `document` is the whole of it, includes resolved: what a manifest keeps."""

    document: dict[str, Any]
    targets: dict[str, tuple[str, Any]]  # name -> kind, settings
    references: dict[str, str]  # target -> the target that its ratios are to
    cases: tuple[Case, ...]
    run: Settings
    seed: int
    gates: tuple[Gate, ...] = ()
    published: tuple[Published, ...] = ()  # by others, as context
    inspired: tuple[Inspired, ...] = ()  # by rules that are not all met
    matrices: tuple[Matrix, ...] = ()
    smokes: dict[str, HostTests] = msgspec.field(default_factory=dict)  # must end well before anything is measured

    @property
    def exact(self) -> frozenset[str]:
        """The targets whose instructions are counted: once, there is nothing to repeat and nothing to warm up."""
        return frozenset(name for name, (_, settings) in self.targets.items() if getattr(settings, "exact", False))

    @property
    def measurement_builds(self) -> frozenset[str]:
        """The targets whose plan says that their build exists to be measured, and is never shipped."""
        return frozenset(
            name for name, (_, settings) in self.targets.items() if getattr(settings, "build", "") == MEASUREMENT_BUILD
        )

    def make_target(self, name: str, lab: Lab) -> Target:
        """The target of that name, at rest."""
        kind, settings = self.targets[name]
        target: Target = KINDS.load(kind)(settings, lab)
        return target

    def schedule(self, block: int) -> list[Case]:
        """The cases in the order of this block: the benchmarks shuffled, and within each the targets, by the seed.

        So the invocations of a pair are neighbours in time, and drift of the machine spreads over all of them. An
        injected case stands beside the plain one that it is held against.
        """
        shuffle = random.Random(f"{self.seed}/{block}").shuffle
        questions: dict[Question, list[Case]] = {}
        for case in self.cases:
            if block == 0 or case.target not in self.exact:
                plain = {key: value for key, value in case.parameters.items() if key not in INJECTIONS}
                questions.setdefault(question(case.name, plain), []).append(case)
        order = list(questions.values())
        shuffle(order)
        for cases in order:
            shuffle(cases)
        return [case for cases in order for case in cases]


def load(path: Path, **changes: Any) -> Plan:
    """Read a plan file; `changes` replace keys of its `[run]` table. Raises UsageError."""
    return parse(document_of(path), where=path.name, **changes)


def parse(document: dict[str, Any], *, where: str, recorded: bool = False, **changes: Any) -> Plan:
    """Make sense of a plan's document. Raises UsageError with file, key, what was expected and the nearest match.

    The files that a plan names must be there, but not those of one that was `recorded` with a run.
    """
    refuse_unknown(
        document, ["targets", "suites", "run", "gates", "external", "inspired", "document", "smokes", reruns.KEY], where
    )
    reruns.rules_of(document, where)
    heading.stated(table_of(document, "document", where), where)
    targets, grouped = matrices.expanded(table_of(document, "targets", where), where)
    targets = references.resolved(targets, where)
    suites = table_of(document, "suites", where)
    run_table = table_of(document, "run", where) | changes
    if isinstance(run_table.get("vary"), str):
        run_table["vary"] = [run_table["vary"]]
    if isinstance(run_table.get("limits"), dict):
        limits = {key: None if value == "any" else value for key, value in run_table["limits"].items()}
        run_table["limits"] = convert(limits, Limits, f"{where}: run.limits")
    run_table.setdefault("blocks", _usual_blocks(run_table))
    settings = _with_looks(convert(run_table, Settings, f"{where}: run"), f"{where}: run")
    if not targets:
        raise UsageError(f"{where}: targets: expected at least one table such as [targets.host], found none")
    seed = random.SystemRandom().getrandbits(32) if settings.seed is None else settings.seed
    settings = msgspec.structs.replace(settings, seed=seed)
    asked = _asked(suites, settings, list(targets), where)
    benchmarks = [benchmark for benchmark, _ in asked]
    read = {name: _target(name, table, where, recorded=recorded) for name, table in targets.items()}
    referred = _references(targets, where)
    known = _known(benchmarks, exact=any(getattr(each, "exact", False) for _, each in read.values()))
    return Plan(
        document=document | {"run": _plain(settings)},
        targets=read,
        references=referred,
        cases=tuple(
            Case(target=target, benchmark=benchmark) for target in targets for benchmark, of in asked if target in of
        ),
        run=settings,
        seed=seed,
        gates=tuple(_gates(table_of(document, "gates", where), referred, known, where)),
        matrices=grouped,
        published=published_of(table_of(document, "external", where), known, where),
        inspired=inspired_of(table_of(document, "inspired", where), where),
        smokes=host_tests(table_of(document, "smokes", where), list(targets), where),
    )


def _usual_blocks(run_table: dict[str, Any]) -> int:
    if run_table.get("until_decided") is True:
        return DECIDING_BLOCKS
    return QUICK_BLOCKS if run_table.get("quick") is True else FULL_BLOCKS


def _with_looks(settings: Settings, where: str) -> Settings:
    """The boundary is part of the plan before anything is measured."""
    if not settings.until_decided or settings.looks:
        return settings
    try:
        return msgspec.structs.replace(settings, looks=planned_looks(settings.blocks))
    except ValueError as error:
        raise UsageError(f"{where}: until_decided: {error}") from error


def counted(document: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The document with every target that can count instructions made exact, and the names of those left out.

    Raises UsageError if there is none left.
    """
    targets = table_of(document, "targets", "the plan")
    whole = references.resolved(matrices.expanded(targets, "the plan")[0], "the plan")
    kinds = {name: _target(name, table, "the plan", recorded=True)[1] for name, table in whole.items()}
    can = {name for name, settings in kinds.items() if hasattr(settings, "exact")}
    able = {name: targets[name] | {"exact": True} for name in targets if matrices.is_of(name, can)}
    if not able:
        raise UsageError(
            f'--exact: expected a target that can count instructions (kind = "qemu"), found {", ".join(targets)}'
        )
    left_out = tuple(name for name in targets if name not in able)
    return document | {"targets": matrices.alone(able, targets, "the plan")}, left_out


def only(document: dict[str, Any], *, targets: tuple[str, ...], benchmarks: tuple[str, ...]) -> dict[str, Any]:
    """The document with just these targets and benchmarks; empty means all. Raises UsageError for an unknown one.

    Gates on the others go too: what a user did not ask for is not missing; so do published figures of a primitive that
    only some kernel has.
    """
    chosen = dict(document)
    if targets:
        tables = table_of(document, "targets", "the plan")
        asked = references.written(targets, matrices.expanded(tables, "the plan")[0], "the plan")
        chosen["targets"] = matrices.chosen(tables, asked, "the plan")
        whole = references.resolved(matrices.expanded(chosen["targets"], "the plan")[0], "the plan")
        targets = (*whole, *matrices.groups_of(whole), *chosen["targets"])
        chosen["suites"] = of_targets_alone(table_of(document, "suites", "the plan"), targets)
        if "smokes" in document:
            chosen["smokes"] = of_targets(table_of(document, "smokes", "the plan"), targets)
    items: list[Any] = []
    if benchmarks:
        items = asked_of(table_of(chosen, "suites", "the plan"), benchmarks)
        chosen["suites"] = {"chosen": {"benchmarks": items}}
        chosen["external"] = of_benchmarks(table_of(document, "external", "the plan"))
        chosen.pop(reruns.KEY, None)  # they speak of suites that are not there any more
    if "gates" in document:
        gates = table_of(document, "gates", "the plan")
        names = names_of(items)
        chosen["gates"] = {key: table for key, table in gates.items() if _is_asked(key, table, targets, names)}
    return chosen


def _is_asked(key: str, table: Any, targets: tuple[str, ...], names: set[str]) -> bool:
    """Whether a gate speaks of what was chosen. One on an unknown benchmark is kept, to be refused by name."""
    target = table.get("target") if isinstance(table, dict) else None
    if targets and isinstance(target, str) and target not in targets:
        return False
    name = benchmark_of(key, BENCHMARKS.names())
    return not names or name is None or name in names


def _target(name: str, table: Any, where: str, *, recorded: bool = False) -> tuple[str, Any]:
    where = f"{where}: targets.{name}"
    if not isinstance(table, dict):
        raise UsageError(f"{where}: expected a table, found {table!r}")
    try:
        kind = KINDS.load(str(table.get("kind", name)))
    except UsageError as error:
        raise UsageError(f"{where}: kind: {error}") from error
    given = {key: value for key, value in table.items() if key not in {"kind", "reference"}}
    settings = convert(given, kind.Settings, where, also=("kind", "reference", references.LIKE))
    if not recorded and hasattr(settings, "refuse_missing"):
        try:
            settings.refuse_missing()
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
    return str(table.get("kind", name)), settings


def _references(targets: dict[str, Any], where: str) -> dict[str, str]:
    """Where a target names none, ratios are to the first target of the plan that is measured in the same way."""
    first = {table.get("exact", False): name for name, table in reversed(targets.items())}
    references = {name: table.get("reference", first[table.get("exact", False)]) for name, table in targets.items()}
    for name, reference in references.items():
        if not isinstance(reference, str) or reference not in targets:
            known = nearest(str(reference), list(targets))
            raise UsageError(f"{where}: targets.{name}: reference: unknown target '{reference}'; {known}")
        if targets[reference].get("exact", False) != targets[name].get("exact", False):
            raise UsageError(
                f"{where}: targets.{name}: reference: of '{name}' and '{reference}' one is exact and the other is not; "
                "instructions and time are never compared"
            )
    return references


def _asked(
    suites: dict[str, Any], settings: Settings, targets: Sequence[str], where: str
) -> list[tuple[Benchmark, frozenset[str]]]:
    """Each benchmark once, with the targets that any suite asks it of."""
    found: dict[CaseKey, tuple[Benchmark, frozenset[str]]] = {}
    for each, of in asked_of_targets(suites, targets, where):
        benchmark = each.quick() if settings.quick else each
        key = case_key("", benchmark.definition.name, msgspec.to_builtins(benchmark, enc_hook=float))
        found[key] = benchmark, frozenset(of) | (found[key][1] if key in found else frozenset())
    return list(found.values())


def _gates(tables: dict[str, Any], references: Mapping[str, str], known: Known, where: str) -> Iterator[Gate]:
    """The gates of the plan, judged from its run alone and sealed with it: other runs are a policy's matter."""
    groups = matrices.groups_of(references)
    for gate in gates_of(tables, targets=list(references), known=known, where=where, groups=groups):
        if gate.baseline not in {None, REFERENCE}:
            raise UsageError(
                f"{where}: gates.{gate.key}: baseline: expected '{REFERENCE}' in a plan, found '{gate.baseline}'; "
                "state a ratio to another run in a policy (benchproof gate --policy)"
            )
        if gate.baseline and gate.target and references[gate.target] == gate.target:
            raise UsageError(
                f"{where}: gates.{gate.key}: target: '{gate.target}' is its own reference, so there is no ratio to hold"
            )
        yield gate


def _known(benchmarks: Sequence[Benchmark], *, exact: bool) -> Known:
    """What the benchmarks say beforehand of what they measure."""
    known: dict[str, dict[str, tuple[Unit, Better]]] = {}
    for benchmark in benchmarks:
        name, quantity = benchmark.definition.name, getattr(benchmark, "quantity", None)
        unit, better = getattr(benchmark, "unit", None), getattr(benchmark, "better", None)
        stem = getattr(benchmark, "stem", name)  # of its metrics: a primitive of a kernel is called as the kernel does
        metrics = known.setdefault(name, {})
        if quantity and unit and better:
            metrics[f"{stem}.{quantity}"] = (unit, better)
            if exact:
                metrics[f"{stem}.instructions"] = ("instructions", "lower")
    return known


def _plain(settings: Settings) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=float)
    return plain
