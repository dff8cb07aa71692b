"""Smoke `smoke.protocol`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from benchproof.benchmarks.smoke.smoked import TIER
from benchproof.errors import NotSupported
from benchproof.model import Definition, Frozen, Observation, Reporting, Target

_FACTS = ("protocol", "freshness", "stated_system", "stated_build", "stated_clock")


class Transcript(Frozen, frozen=True, forbid_unknown_fields=True):
    """Does it print a whole transcript, without a fault?"""

    definition = Definition(
        name="smoke.protocol",
        tier=TIER,
        question=__doc__,
        mechanism="a start of its own, its console read to the end",
        without_posix="the same: it is made for systems without POSIX",
        oracle="the reader of the protocol: order, counts and sums, no panic or warning, the token, the clock's pace",
        nondeterminism="the token of the start",
        when_unsupported="a system in which programs can be started needs no transcript: `unsupported`",
    )

    def quick(self) -> Self:
        """There is nothing to leave out."""
        return self

    def run(self, target: Target) -> Observation:
        """Raises InvocationError."""
        with target.start() as instance:
            return self.within(target, instance)

    def within(self, target: Target, instance: Any) -> Observation:
        """In an instance that is started; the transcript is that of a start in which it is asked what it is."""
        if not isinstance(instance, Reporting):
            raise NotSupported("it does not report: programs are started in it")
        said = {name: text for facts in target.facts().values() for name, text in facts.items()}
        return Observation(measurements=(), evidence={name: said[name] for name in _FACTS if name in said})

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        for fact in ("protocol", "freshness"):
            if not observation.evidence.get(fact):
                yield f"{fact}: expected what the transcript says, found nothing"
