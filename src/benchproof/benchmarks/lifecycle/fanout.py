"""Benchmark `fork.fanout`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import (
    AUTHORITY,
    NONDETERMINISM,
    TIER,
    UNSUPPORTED,
    Measured,
    forkable,
    timing,
)
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.model import Definition, ForkableInstance, Image, Observation, Target


class Fanout(Measured, frozen=True):
    """How long does it take until many clones of one system work side by side?"""

    definition = Definition(
        name="fork.fanout",
        tier=TIER,
        question=__doc__,
        mechanism="clones of one image started by a pool of threads, request to the last first answer; all stay alive",
        without_posix="starting many protection domains from one checkpoint at once",
        oracle="every clone gives back its own random word while all are alive, and nothing of any is left",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    samples: int = 3
    clones: int = 8  # 1, 8 and 32 are the usual ones
    workers: int = 0  # threads that start them; 0: two for each CPU

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (1 <= self.clones <= 256 and 0 <= self.workers <= 256):
            raise ValueError(f"expected 1 to 256 clones and up to 256 workers, found {self.clones} and {self.workers}")

    def quick(self) -> Self:
        """The same number of clones, once."""
        return msgspec.structs.replace(self, samples=1, warmups=min(self.warmups, 1))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        image = forkable(target).image()
        witness, ledger = Witness(float(self.timeout)), leaks.Ledger()
        began_ns = time.monotonic_ns()
        values = [self._fan(image, witness, ledger) for _ in range(self.rounds)]
        wall_ns = time.monotonic_ns() - began_ns
        evidence = witness.evidence() | ledger.evidence() | timing(values, wall_ns=wall_ns)
        return Observation(
            measurements=(self.measurement(values),), evidence=evidence | {"workers": str(self._threads())}
        )

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        yield from self.common(observation.evidence)
        yield from oracles.answers(observation.evidence, at_least=self.rounds * self.clones)
        yield from oracles.equals(observation.evidence, "instances_ended", self.rounds * self.clones)

    def _threads(self) -> int:
        return min(self.clones, self.workers or 2 * len(os.sched_getaffinity(0)))

    def _fan(self, image: Image, witness: Witness, ledger: leaks.Ledger) -> int:
        with ExitStack() as alive:

            def start() -> tuple[ForkableInstance, int]:
                clone = alive.enter_context(image.start())
                return clone, witness.ask(clone)

            threads = ThreadPoolExecutor(self._threads())
            try:
                requested_ns = time.monotonic_ns()
                futures = [threads.submit(start) for _ in range(self.clones)]
                started = [future.result() for future in futures]
            finally:
                threads.shutdown(cancel_futures=True)  # nothing starts any more while all are ended
            elapsed_ns = max(answered_ns for _, answered_ns in started) - requested_ns
            held = [leaks.held(clone.footprint()) for clone, _ in started]
        for each in held:
            ledger.ended(each)
        return elapsed_ns
