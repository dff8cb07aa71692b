"""From what happened in one invocation to its outcome: the oracle's word, or the error that ended it."""

from __future__ import annotations

from typing import Any

from benchproof.errors import InvocationError, LabInvalid, NotSupported
from benchproof.model import Failed, Invalid, Observation, Outcome, Passed, Unsupported, Unverified


def judge(benchmark: Any, observation: Observation) -> Outcome:
    """The oracle's word on what was seen."""
    if violations := tuple(benchmark.verify(observation)):
        return Failed(violations=violations)
    if observation.unverified:
        return Unverified(source=observation.unverified, measurements=observation.measurements)
    return Passed(measurements=observation.measurements)


def outcome_of(error: InvocationError) -> Outcome:
    """What an invocation that ended without a number ended as."""
    if isinstance(error, NotSupported):
        return Unsupported(reason=error.reason, missing=error.missing)
    return Invalid(reason=str(error)) if isinstance(error, LabInvalid) else Failed(violations=(str(error),))


def reason_of(outcome: Outcome) -> str:
    """Why there is no number; empty where there is one."""
    if isinstance(outcome, Failed):
        return "; ".join(outcome.violations)
    return outcome.reason if isinstance(outcome, Unsupported | Invalid) else ""
