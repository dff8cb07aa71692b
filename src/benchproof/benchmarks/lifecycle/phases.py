"""Benchmark `boot.phases`."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Protocol, Self, runtime_checkable

import msgspec

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import (
    AUTHORITY,
    NONDETERMINISM,
    TIER,
    Measured,
    forkable,
    timing,
)
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.errors import NotSupported
from benchproof.model import Definition, Forkable, Measurement, Observation, Target
from benchproof.oracles import Evidence

_MARK = re.compile(r"(\w+)=(-?\d{1,20})(?!\S)")
_WHOLE = re.compile(r"\b\d{1,20}\b")
Marks = Mapping[str, int]  # the end of each phase, in ns since the request, in order


@runtime_checkable
class Phased(Protocol):
    """An instance that can tell when each phase of its start ended, on the host's clock."""

    phases: Marks


class Phases(Measured, frozen=True):
    """Where does the time of a cold boot go?"""

    definition = Definition(
        name="boot.phases",
        tier=TIER,
        question=__doc__,
        mechanism="a start from nothing, split on the host's clock by what the system shows from outside as it boots",
        without_posix="the start of a system, split by the marks that it shows",
        oracle="marks come one after another and none after the host saw it started; it then gives back a random word",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a target that cannot be started from nothing, or does not tell its phases",
    )

    samples: int = 3

    def quick(self) -> Self:
        """One boot."""
        return msgspec.structs.replace(self, samples=1, warmups=0)

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        witness, ledger = Witness(float(self.timeout)), leaks.Ledger()
        began_ns = time.monotonic_ns()
        boots = [_boot(forkable(target), witness, ledger) for _ in range(self.rounds)]
        wall_ns = time.monotonic_ns() - began_ns
        seen = {
            "marks": "; ".join(" ".join(f"{name}={ns}" for name, ns in marks.items()) for marks, _ in boots),
            "seen_ns": " ".join(str(seen_ns) for _, seen_ns in boots),
        }
        evidence = witness.evidence() | ledger.evidence() | timing([ns for _, ns in boots], wall_ns=wall_ns) | seen
        return Observation(measurements=self._measurements([marks for marks, _ in boots]), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from self.common(evidence)
        yield from oracles.equals(evidence, "instances_ended", self.rounds)
        yield from marks_in_order(evidence)

    def _measurements(self, boots: list[Marks]) -> tuple[Measurement, ...]:
        """One metric a phase, its length; where boots disagree on the phases, the oracle says so."""
        common = [name for name in boots[0] if all(name in marks for marks in boots)]
        lengths = [_lengths(marks) for marks in boots]
        return tuple(
            msgspec.structs.replace(
                self.measurement([each[name] for each in lengths]), metric=f"{self.definition.name}.{name}"
            )
            for name in common
        )


def marks_in_order(evidence: Evidence) -> Iterator[str]:
    """Every boot has the same phases; each ends after the one before, and none after the host saw the start end."""
    boots = [_MARK.findall(boot) for boot in evidence.get("marks", "").split(";")]
    seen = _WHOLE.findall(evidence.get("seen_ns", ""))
    names = [[name for name, _ in boot] for boot in boots]
    if not names[0] or any(each != names[0] for each in names) or len(boots) != len(seen):
        yield f"expected the same phases of every boot, found {evidence.get('marks') or 'none'}"
    for boot, seen_ns in zip(boots, seen, strict=False):
        ends = [int(ns) for _, ns in boot]
        if any(after <= before for before, after in itertools.pairwise([0, *ends])):
            yield f"phases run backwards or take no time: they end at {', '.join(ns for _, ns in boot)} ns"
        if ends and max(ends) > int(seen_ns):
            yield f"the phases take {max(ends)} ns, the host saw the whole start take {seen_ns} ns"


def _boot(target: Forkable, witness: Witness, ledger: leaks.Ledger) -> tuple[Marks, int]:
    """The marks of one boot, and how long the host saw it take, in ns."""
    with ExitStack() as life:
        requested_ns = time.monotonic_ns()
        instance = life.enter_context(target.cold())
        seen_ns = time.monotonic_ns() - requested_ns
        if not isinstance(instance, Phased):
            raise NotSupported("this target does not tell its boot phases", missing='a target that does: kind = "qemu"')
        witness.ask(instance)
        marks = dict(instance.phases)
        held = leaks.held(instance.footprint())
    ledger.ended(held)
    return marks, seen_ns


def _lengths(marks: Marks) -> dict[str, int]:
    ends = [0, *marks.values()]
    return {name: after - before for name, (before, after) in zip(marks, itertools.pairwise(ends), strict=True)}
