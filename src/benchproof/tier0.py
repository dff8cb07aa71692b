"""Tier 0: before anything is measured, each target shows that it works. Of one that does not, no figure is kept.

The smokes of a target run in one start, in every run and whatever the plan asks for; those that are invalid are tried
again like any invocation. A plan adds the measured project's own tests, which run on the host. All of it is stored
apart from the results, with logs. A smoke that is unsupported says nothing, and gates nothing.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchproof import noise, oracles, process
from benchproof.analysis.matrix import Smoke
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.smoke.smoked import together
from benchproof.errors import InvocationError, TargetFailed, UsageError
from benchproof.model import SMOKE_BLOCK, Failed, Frozen, Invalid, Observation, Outcome, Passed, Result, Target
from benchproof.outcomes import judge, outcome_of, reason_of
from benchproof.plugins import nearest
from benchproof.quantities import Duration, decode
from benchproof.store.bundle import Bundle
from benchproof.tables import convert

_WORDS = 200  # of the last line of an output
_UNNAMED = re.compile(r"[^\w.-]+", re.ASCII)

Log = tuple[str, bytes]


class HostTests(Frozen, frozen=True, forbid_unknown_fields=True):
    """A command on the host, such as the tests of a project: unless it ends well, its targets are not measured."""

    command: tuple[str, ...]
    targets: tuple[str, ...] = ()  # none named: all
    timeout: Duration = Duration(600)

    def __post_init__(self) -> None:
        if not self.command or not all(self.command):
            raise UsageError("command: expected the words of a command, found none")
        if self.timeout <= 0:
            raise UsageError("timeout: expected more than no time")

    def run(self, supervisor: Path, log: Callable[[str, bytes], None], name: str) -> Observation:
        """In the folder and with the environment of our user. Raises TargetFailed for one that hangs or floods."""
        done = process.run(
            self.command, supervisor=supervisor, timeout_s=float(self.timeout), environment=dict(os.environ)
        )
        for stream, content in (("stdout", done.stdout), ("stderr", done.stderr)):
            if content:
                log(f"{_UNNAMED.sub('-', name)}-{stream}", content)
        last = (done.stderr or done.stdout).decode(errors="replace").strip().rpartition("\n")[2]
        told = {"command": " ".join(self.command), "exit_status": str(done.exit_status), "last_line": last[:_WORDS]}
        return Observation(measurements=(), evidence=told)

    def verify(self, observation: Observation) -> Iterable[str]:
        """The violations."""
        if wrong := tuple(oracles.equals(observation.evidence, "exit_status", 0)):
            yield f"{wrong[0]}: {observation.evidence.get('last_line', '')}"


def host_tests(tables: Mapping[str, Any], targets: Sequence[str], where: str) -> dict[str, HostTests]:
    """The `[smokes]` of a plan. Raises UsageError."""
    found = {}
    for name, table in tables.items():
        here = f"{where}: smokes.{name}"
        if not isinstance(table, dict):
            raise UsageError(f"{here}: expected a table with a command, found {table!r}")
        if name in BENCHMARKS.own:
            raise UsageError(f"{here}: expected a name of its own, found that of a benchmark")
        if "command" not in table:
            raise UsageError(f"{here}: command: expected the words of a command, found nothing")
        if table.get("targets") == []:
            raise UsageError(f"{here}: targets: expected at least one, found none; leave it out for all")
        tests: HostTests = convert(table, HostTests, here)
        for target in tests.targets:
            if target not in targets:
                raise UsageError(f"{here}: targets: unknown target '{target}'; {nearest(target, list(targets))}")
        found[name] = tests
    return found


def of_targets(tables: Mapping[str, Any], kept: Sequence[str]) -> dict[str, Any]:
    """The `[smokes]` that speak of the targets that were chosen."""

    def chosen(table: Any) -> Any:
        named = table.get("targets") if isinstance(table, dict) else None
        if not isinstance(named, list) or not named:
            return table
        return table | {"targets": [target for target in named if target in kept]}

    narrowed = {name: chosen(table) for name, table in tables.items()}
    return {name: table for name, table in narrowed.items() if table == tables[name] or table["targets"]}


def smokes() -> list[Any]:
    """Every smoke that there is."""
    return [BENCHMARKS.load(name)() for name in SUITES["smoke"]]


def fallen(results: Iterable[Result]) -> dict[str, Outcome]:
    """The targets of which nothing is kept, and what each of their cases ends as: by the last try of each smoke."""
    last = {(each.target, each.benchmark): each for each in results}
    found: dict[str, Outcome] = {}
    for (target, name), result in last.items():
        if isinstance(result.outcome, Failed):
            found[target] = Failed(violations=(f"{name} failed: {result.outcome.violations[0]}",))
        elif isinstance(result.outcome, Invalid) and not isinstance(found.get(target), Failed):
            found[target] = Invalid(reason=f"{name} is invalid: {result.outcome.reason}")
    return found


def told(results: Iterable[Result]) -> tuple[Smoke, ...]:
    """How the smokes ended, for a report."""
    last = {(each.target, each.benchmark): each for each in results}
    return tuple(
        Smoke(target=target, benchmark=name, status=_status(result.outcome), words=reason_of(result.outcome))
        for (target, name), result in last.items()
    )


def _status(outcome: Outcome) -> str:
    return str(msgspec.to_builtins(outcome)["status"])


def problems(results: Iterable[Result], tests: Mapping[str, HostTests], checked: dict[str, int]) -> Iterable[str]:
    """What is wrong with recorded smokes: one that nobody knows, and one that passed although its oracle says no."""
    for result in results:
        where = f"{result.target}, {result.benchmark}, attempt {result.attempt}"
        if result.block != SMOKE_BLOCK:
            yield f"{where}: is no smoke, it is of block {result.block}"
        elif (smoke := _known(result, tests)) is None:
            yield f"{where}: there is no such smoke"
        elif isinstance(result.outcome, Passed):
            checked["oracles"] += 1
            seen = Observation(measurements=result.outcome.measurements, evidence=result.evidence)
            yield from (f"{where}: recorded as passed, but {violation}" for violation in smoke.verify(seen))


def _known(result: Result, tests: Mapping[str, HostTests]) -> Any:
    if result.benchmark in tests:
        return tests[result.benchmark]
    if result.benchmark not in SUITES["smoke"]:
        return None
    return msgspec.convert(result.parameters, BENCHMARKS.load(result.benchmark), dec_hook=decode)


class Tier0:
    """Asks, records, and remembers what was recorded."""

    def __init__(
        self, out: Bundle, logs: list[Log], envelopes: Mapping[str, str], *, retries: int, supervisor: Path
    ) -> None:
        self.out = out
        self.logs = logs  # of what is under way; emptied by whom it is read
        self.envelopes = envelopes
        self.retries = retries
        self.supervisor = supervisor
        self.results: list[Result] = []

    @property
    def fallen(self) -> dict[str, Outcome]:
        """See `fallen`."""
        return fallen(self.results)

    def ask(self, name: str, target: Target, *, measured: bool = False) -> None:
        """All smokes of a target; those that are invalid again, while tries are left.

        Raises UsageError where a target that was `measured` already, in a run that is resumed, does not stand any more.
        """
        wanted, found = smokes(), list[Result]()
        for tries in range(self.retries + 1):
            batch = self._together(name, target, wanted, tries)
            found += batch
            wanted = [smoke for smoke, each in zip(wanted, batch, strict=True) if isinstance(each.outcome, Invalid)]
            if not wanted:
                break
        self._keep(found, measured=measured)

    def test(self, name: str, tests: HostTests, targets: Sequence[str], *, measured: bool = False) -> None:
        """The command, once, for all of its targets. Raises as `ask` does."""
        self.logs.clear()
        started, before = datetime.now(UTC), noise.snapshot()
        try:
            seen = tests.run(self.supervisor, lambda each, content: self.logs.append((each, content)), name)
            outcome, evidence = judge(tests, seen), dict(seen.evidence)
        except InvocationError as error:
            outcome, evidence = outcome_of(TargetFailed(str(error))), {}
        parameters = msgspec.to_builtins(tests, enc_hook=float)
        batch = [(target, name, parameters, outcome, evidence) for target in targets]
        self._keep(self._recorded(batch, started, before), measured=measured)

    def _together(self, name: str, target: Target, wanted: Sequence[Any], tries: int) -> list[Result]:
        self.logs.clear()
        started, before = datetime.now(UTC), noise.snapshot()
        batch = []
        for smoke, seen in zip(wanted, together(target, wanted), strict=True):
            failed = isinstance(seen, InvocationError)
            outcome = outcome_of(seen) if isinstance(seen, InvocationError) else judge(smoke, seen)
            evidence = {} if failed else dict(seen.evidence)  # type: ignore[union-attr]
            plain = msgspec.to_builtins(smoke, enc_hook=float)
            batch.append((name, smoke.definition.name, plain, outcome, evidence))
        return self._recorded(batch, started, before, tries)

    def _recorded(
        self,
        batch: Sequence[tuple[str, str, dict[str, Any], Outcome, dict[str, str]]],
        started: datetime,
        before: noise.Snapshot,
        tries: int = 0,
    ) -> list[Result]:
        """Lines of one look at the machine, with the logs that all of it left."""
        after = noise.snapshot()
        kept = [self.out.write_log(log, content) for log, content in self.logs]
        done = Counter((each.target, each.benchmark) for each in self.results)
        return [
            Result(
                run_id=self.out.manifest.run_id,
                target=target,
                benchmark=name,
                parameters={key: value for key, value in parameters.items() if key != "type"},
                tier=0,
                block=SMOKE_BLOCK,
                started_at=started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                duration_ns=after.monotonic_ns - before.monotonic_ns,
                envelope=self.envelopes.get(target, ""),
                attempt=done[target, name] + tries + 1,
                outcome=outcome,
                evidence=evidence,
                noise=noise.between(before, after),
                logs=tuple(path for path, _ in kept),
                log_hashes=tuple(digest for _, digest in kept),
            )
            for target, name, parameters, outcome, evidence in batch
        ]

    def _keep(self, found: Sequence[Result], *, measured: bool) -> None:
        if measured and (down := fallen(found)):
            target, outcome = next(iter(down.items()))
            raise UsageError(
                f"target '{target}' stood its smokes when the run began and does not now ({reason_of(outcome)}); "
                "start a new run"
            )
        for result in found:
            self.out.append(result)
        self.results += found
