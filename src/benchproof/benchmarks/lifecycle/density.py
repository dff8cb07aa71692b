"""Benchmark `density.clones`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Literal, NamedTuple, Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.cycle import live
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
from benchproof.errors import NotSupported
from benchproof.model import Definition, ForkableInstance, Image, Measurement, Observation, Target
from benchproof.oracles import Evidence
from benchproof.quantities import Size


class _Crowd(NamedTuple):
    """Clones that are all alive, and the memory that they held together: the first alone, and all of them."""

    clones: list[ForkableInstance]
    first_bytes: int
    all_bytes: int
    ended_by: Literal["limit", "budget"]


class Clones(Measured, frozen=True):
    """How many clones of one system fit into so much memory, and what does a clone suffer from its neighbours?"""

    definition = Definition(
        name="density.clones",
        tier=TIER,
        question=__doc__,
        mechanism="clones of one image, all alive, PSS added up; then commands on the first while others start and end",
        without_posix="protection domains from one checkpoint in so much memory; each shared page counted once",
        oracle="every clone gives back its own random word while all are alive, and nothing of any is left",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    samples: int = 100  # commands on the first clone while neighbours start and end; a p99 needs as many
    warmups: int = 10
    memory_budget: Size = Size(512 << 20)
    limit: int = 16  # clones at most

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 100:
            raise ValueError(f"samples: expected at least 100, a p99 has no meaning with fewer; found {self.samples}")
        if not 1 <= self.limit <= 1024:
            raise ValueError(f"limit: expected 1 to 1024 clones, found {self.limit}")

    def quick(self) -> Self:
        """The same question with at most 4 clones."""
        return msgspec.structs.replace(self, samples=100, warmups=min(self.warmups, 5), limit=min(self.limit, 4))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        image = forkable(target).image()
        witness, ledger = Witness(float(self.timeout)), leaks.Ledger()
        with ExitStack() as alive:
            crowd = self._fill(image, alive, witness)
            for clone in crowd.clones:
                witness.ask(clone)
            began_ns = time.monotonic_ns()
            values, neighbours = self._disturb(crowd.clones[0], image, witness, ledger)
            wall_ns = time.monotonic_ns() - began_ns
            held = [leaks.held(clone.footprint()) for clone in crowd.clones]
            alive.close()
            for each in held:
                ledger.ended(each)
        seen = {
            "alive": str(len(crowd.clones)),
            "ended_by": crowd.ended_by,
            "memory_first_bytes": str(crowd.first_bytes),
            "memory_all_bytes": str(crowd.all_bytes),
            "neighbours": str(neighbours),
        }
        evidence = witness.evidence() | ledger.evidence() | timing(values, wall_ns=wall_ns) | seen
        return Observation(measurements=self._measurements(crowd, values), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        alive, neighbours = (oracles.number(evidence, name) for name in ("alive", "neighbours"))
        yield from self.common(evidence)
        yield from oracles.answers(evidence, at_least=2 * alive + self.rounds + neighbours)
        yield from oracles.equals(evidence, "instances_ended", alive + neighbours)
        yield from self._fits(evidence, alive)
        if neighbours < 1:
            yield "no neighbour was started and ended while the first clone worked"

    def _fits(self, evidence: Evidence, alive: int) -> Iterator[str]:
        first, together = (oracles.number(evidence, f"memory_{of}_bytes") for of in ("first", "all"))
        if not 1 <= alive <= self.limit or (evidence.get("ended_by") == "limit") != (alive == self.limit):
            yield f"expected up to {self.limit} clones, found {alive}, ended by {evidence.get('ended_by', 'nothing')}"
        if together > self.memory_budget:
            yield f"{alive} clones hold {together} bytes, more than the budget of {self.memory_budget:.0f}"
        if first < 1 or (alive > 1 and together <= first):
            yield f"one clone holds {first} bytes and {alive} hold {together}: their memory was not counted"

    def _fill(self, image: Image, alive: ExitStack, witness: Witness) -> _Crowd:
        """Start one after another; the one that goes beyond the budget is ended again and not counted."""
        clones: list[ForkableInstance] = []
        sums: list[int] = []
        while len(clones) < self.limit:
            life = alive.enter_context(ExitStack())
            clone = life.enter_context(image.start())
            witness.ask(clone)
            sums.append(_memory([*clones, clone]))
            if sums[-1] > self.memory_budget:
                life.close()
                break
            clones.append(clone)
        if not clones:
            raise NotSupported(
                f"one clone holds {sums[0] >> 20} MiB, more than memory_budget", missing="a larger memory_budget"
            )
        ended_by: Literal["limit", "budget"] = "limit" if len(clones) == self.limit else "budget"
        return _Crowd(clones, sums[0], _memory(clones) if len(clones) > 1 else sums[0], ended_by)

    def _disturb(
        self, victim: ForkableInstance, image: Image, witness: Witness, ledger: leaks.Ledger
    ) -> tuple[list[int], int]:
        """Times of the victim's commands, in ns, and how many neighbours lived meanwhile."""
        enough = threading.Event()

        def neighbours() -> int:
            lives = 0
            while lives == 0 or not enough.is_set():
                live(image.start, witness, ledger)
                lives += 1
            return lives

        values: list[int] = []
        with ThreadPoolExecutor(1) as thread:
            try:
                churn = thread.submit(neighbours)
                while len(values) < self.rounds:
                    requested_ns = time.monotonic_ns()
                    values.append(witness.ask(victim) - requested_ns)
            finally:
                enough.set()
            return values, churn.result()

    def _measurements(self, crowd: _Crowd, values: list[int]) -> tuple[Measurement, ...]:
        alive = len(crowd.clones)
        name = self.definition.name
        count = Measurement(
            metric=f"{name}.alive", unit="count", better="higher", clock="host", iterations=1, samples=(alive,)
        )
        victim = msgspec.structs.replace(self.measurement(values), metric=f"{name}.victim_exec")
        if alive < 2:  # there is no next clone whose memory could be told
            return count, victim
        marginal = Measurement(
            metric=f"{name}.marginal_memory",
            unit="bytes",
            better="lower",
            clock="host",
            iterations=alive - 1,
            samples=((crowd.all_bytes - crowd.first_bytes) / (alive - 1),),
        )
        return count, marginal, victim


def _memory(clones: list[ForkableInstance]) -> int:
    footprints = [clone.footprint() for clone in clones]
    if untold := next((each.untold for each in footprints if each.untold), ""):
        raise NotSupported(f"the memory of a clone is not known: {untold}")
    return sum(each.memory_bytes for each in footprints)
