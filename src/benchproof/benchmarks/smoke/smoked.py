"""What all smokes share: one start of the target and one command for all of them; evidence in, no number out."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self

from benchproof import authority
from benchproof.errors import InvocationError, NotSupported, TargetFailed
from benchproof.model import Completed, Definition, Frozen, Instance, Observation, Reporting, Target
from benchproof.oracles import Evidence
from benchproof.probe import smokes
from benchproof.quantities import Duration

TIER = 0
UNSUPPORTED = "a system in which no program of ours can be started, or the system's own words, as outcome `unsupported`"
_WORDS_BYTES = 200  # of standard error in a message


class Smoked(Frozen, frozen=True, forbid_unknown_fields=True):
    """A smoke that the probe does. `timeout` is for all that are asked together."""

    definition: ClassVar[Definition]

    timeout: Duration = Duration(60)

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout: expected more than no time")

    def quick(self) -> Self:
        """There is nothing to leave out."""
        return self

    def run(self, target: Target) -> Observation:
        """This smoke alone. Raises InvocationError."""
        (found,) = together(target, [self])
        if isinstance(found, InvocationError):
            raise found
        return found

    def within(self, instance: Instance) -> Observation:
        """This smoke in an instance that is started."""
        (found,) = _asked(instance, [self])
        if isinstance(found, InvocationError):
            raise found
        return found

    def observe(self, told: smokes.Told, word: str, done: Completed) -> Observation:
        """What it left. Raises TargetFailed where it crashed, NotSupported where there was nothing to try."""
        if told.lacking:
            raise NotSupported(told.lacking)
        if told.status:
            said = done.stderr[-_WORDS_BYTES:].decode(errors="replace").strip()
            how = f"was killed by signal {-told.status}" if told.status < 0 else f"gave up with status {told.status}"
            raise TargetFailed(f"it {how}" + (f": {said}" if said else ""))
        return Observation(measurements=(), evidence=told.evidence | {"asked": word})

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        yield from self.check(observation.evidence)
        if observation.measurements:
            yield "a smoke measures nothing"

    def check(self, evidence: Evidence) -> Iterable[str]:
        """The post-condition of this smoke alone."""
        raise NotImplementedError


def together(target: Target, wanted: Sequence[Any]) -> Iterator[Observation | InvocationError]:
    """One start for all of the smokes: what was seen of each, or the error that it ends with, in their order."""
    try:
        with target.start() as instance:
            found = _each(target, instance, wanted)
    except InvocationError as error:  # it did not start, or did not live to its end
        found = [error] * len(wanted)
    yield from found


def _each(target: Target, instance: Any, wanted: Sequence[Any]) -> list[Observation | InvocationError]:
    """Those of the probe in one command; what else there is looks for itself."""
    ours = [each for each in wanted if isinstance(each, Smoked)]
    if isinstance(instance, Reporting):
        theirs: list[Observation | InvocationError] = [
            NotSupported("no program of ours can be started in it") for _ in ours
        ]
    else:
        theirs = _asked(instance, ours) if ours else []
    answers = iter(theirs)
    return [next(answers) if isinstance(each, Smoked) else _of(each, target, instance) for each in wanted]


def _of(smoke: Any, target: Target, instance: Any) -> Observation | InvocationError:
    try:
        found: Observation = smoke.within(target, instance)
    except InvocationError as error:
        return error
    return found


def _asked(instance: Instance, ours: Sequence[Smoked]) -> list[Observation | InvocationError]:
    names, word = [each.definition.name for each in ours], secrets.token_hex(16)
    try:
        longest_s = max(float(each.timeout) for each in ours)
        done = instance.run([instance.probe, "smoke", word, *names], timeout_s=longest_s)
        told = smokes.read(done, names)
    except InvocationError as error:
        return [error] * len(ours)
    return [_seen(each, told[each.definition.name], word, done) for each in ours]


def _seen(smoke: Smoked, told: smokes.Told, word: str, done: Completed) -> Observation | InvocationError:
    try:
        seen = smoke.observe(told, word, done)
        if any(fact.startswith("authority.") for fact in seen.evidence):
            authority.check(seen.evidence, smoke.definition.authority)
    except InvocationError as error:
        return error
    return seen
