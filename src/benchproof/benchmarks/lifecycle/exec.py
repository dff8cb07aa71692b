"""Benchmark `lifecycle.exec`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.cycle import Started
from benchproof.benchmarks.lifecycle.measured import (
    AUTHORITY,
    NONDETERMINISM,
    TIER,
    UNSUPPORTED,
    forkable,
    timing,
)
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.model import Definition, Observation, Target


class Exec(Started, frozen=True):
    """How long does a command take on a system that runs?"""

    definition = Definition(
        name="lifecycle.exec",
        tier=TIER,
        question=__doc__,
        mechanism="request to the end of a small program that copies 16 bytes, one after another in one instance",
        without_posix="a call to a program that is started for it, and its reply",
        oracle="each command gives back its own fresh random word with status 0",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    samples: int = 100
    warmups: int = 10

    def quick(self) -> Self:
        """The same question with fewer samples."""
        return msgspec.structs.replace(self, samples=min(self.samples, 20), warmups=min(self.warmups, 5))

    def run(self, target: Target) -> Observation:
        """One invocation: all commands in one instance. Raises InvocationError."""
        witness, ledger = Witness(float(self.timeout)), leaks.Ledger()
        with self.supply(forkable(target), witness) as supply, ExitStack() as life:
            instance = life.enter_context(supply.start())
            began_ns = time.monotonic_ns()
            values = []
            for _ in range(self.rounds):
                requested_ns = time.monotonic_ns()
                values.append(witness.ask(instance) - requested_ns)
            wall_ns = time.monotonic_ns() - began_ns
            held = leaks.held(instance.footprint())
            life.close()
            ledger.ended(held)
        evidence = witness.evidence() | ledger.evidence() | timing(values, wall_ns=wall_ns)
        return Observation(measurements=(self.measurement(values),), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        yield from self.common(observation.evidence)
        yield from oracles.equals(observation.evidence, "instances_ended", 1)
