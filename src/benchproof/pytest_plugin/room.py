"""The room in which a session's targets are started while its tests run, each question asked once and judged.

No figure is kept of it: what is measured is measured later, in a run. An oracle that says no fails the test, a system
that cannot skips it with the way out, and a laboratory that could not look fails it as "no answer".
"""

from __future__ import annotations

import contextlib
from typing import Any, assert_never

import pytest

from benchproof import laboratory, plan
from benchproof.errors import InvocationError, LabInvalid, UsageError
from benchproof.model import Failed, Invalid, Outcome, Passed, Unsupported, Unverified
from benchproof.outcomes import judge, outcome_of
from benchproof.plan import Plan
from benchproof.pytest_plugin import ROOM

_RETRIES = 2  # of what the laboratory spoiled, as in a run


class Room:
    """At most one laboratory a process, made when it is needed."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._lab: laboratory.Room | None = None
        self._targets: dict[str, Any] = {}

    def close(self) -> None:
        """End all that was started."""
        self._open.close()
        self._lab = None
        self._targets.clear()

    def ask(self, read: Plan) -> tuple[Outcome, dict[str, str]]:
        """The plan's only case, once: how it ended and what it left as evidence."""
        (case,) = read.cases
        benchmark = case.benchmark.quick()
        try:
            seen = benchmark.run(self._target(read, case.target))
        except InvocationError as error:
            return outcome_of(error), {}
        return judge(benchmark, seen), dict(seen.evidence)

    def _target(self, read: Plan, name: str) -> Any:
        key = repr(read.targets[name])
        if key not in self._targets:
            self._targets[key] = read.make_target(name, self._laboratory())
        return self._targets[key]

    def _laboratory(self) -> laboratory.Room:
        if self._lab is None:
            probe = laboratory.prepare_probe(laboratory.cache_folder())
            self._lab = self._open.enter_context(laboratory.opened(probe))
        return self._lab


def plan_of(target: str, settings: dict[str, Any], asked: dict[str, Any], *, where: str) -> Plan:
    """One question to one target. Raises UsageError."""
    document = {"targets": {target: settings}, "suites": {"asked": {"benchmarks": [asked]}}, "run": {"blocks": 1}}
    read = plan.parse(document, where=where)
    if len(read.cases) != 1:
        raise UsageError(f"{where}: expected one question to one target, found {len(read.cases)}: parametrize the test")
    return read


def asked_once(config: pytest.Config, read: Plan) -> dict[str, str]:
    """The evidence of a right answer; ends the test for any other. What is privileged waits for a run's record."""
    if read.measurement_builds or any(case.benchmark.definition.authority.privileged for case in read.cases):
        return {}
    room = config.stash.setdefault(ROOM, Room())
    for _ in range(_RETRIES + 1):
        outcome, evidence = room.ask(read)
        if not isinstance(outcome, Invalid):
            break
    _end_test(outcome)
    return evidence


def _end_test(outcome: Outcome) -> None:
    """As the outcome says; nothing where the answer is right."""
    match outcome:
        case Failed(violations=violations):
            pytest.fail(f"benchproof: {'; '.join(violations)}")
        case Unsupported(reason=reason, missing=missing):
            pytest.skip(f"benchproof: {reason}" + (f"; to get it: {missing}" if missing else ""))
        case Invalid(reason=reason):
            raise LabInvalid(f"no answer: {reason}")
        case Passed() | Unverified():
            return
    assert_never(outcome)
