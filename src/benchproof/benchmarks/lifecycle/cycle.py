"""A whole life, again and again: request, start, first command, end. Each benchmark of it picks one part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal, NamedTuple

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import Measured, forkable, timing
from benchproof.benchmarks.lifecycle.pool import Pool, Start, pooled
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.model import Forkable, Observation, Target
from benchproof.oracles import Evidence
from benchproof.quantities import Duration


class Cycle(NamedTuple):
    """One life, in ns on the host's clock."""

    provision_ns: int  # request to started
    ready_ns: int  # request to the first verified answer
    delete_ns: int  # request to end, until all that it held is gone


class Supply(NamedTuple):
    """Where instances come from. `prepare` is called before each request, when no clock runs."""

    start: Start
    prepare: Callable[[], object] = lambda: None
    evidence: Callable[[], dict[str, str]] = dict


class Started(Measured, frozen=True):
    """`start`: a clone of the frozen target, a start from nothing, or a clone from a pool of so many ready ones."""

    start: Literal["snapshot", "cold", "pool"] = "snapshot"
    pool: int = 4
    refresh: Duration = Duration(300)  # a clone in the pool that is older is replaced

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.pool <= 20:
            raise ValueError(f"pool: expected 1 to 20 clones, found {self.pool}")
        if self.refresh <= 0:
            raise ValueError("refresh: expected a duration that is not zero")

    @contextmanager
    def supply(self, target: Forkable, witness: Witness) -> Iterator[Supply]:
        """The image is made and the pool filled here, before any clock starts."""
        if self.start == "cold":
            yield Supply(target.cold)
        elif self.start == "snapshot":
            yield Supply(target.image().start)
        else:
            pool = Pool(target.image().start, size=self.pool, refresh_s=float(self.refresh), check=witness.ask)
            with pooled(pool):
                yield Supply(
                    pool.take, pool.tend, lambda: {"pool_taken": str(pool.taken), "pool_replaced": str(pool.replaced)}
                )


class Cycled(Started, frozen=True):
    """Benchmarks that are one part of each life; `part` says which."""

    def part(self, cycle: Cycle) -> int:
        """The sample, in ns."""
        raise NotImplementedError

    def run(self, target: Target) -> Observation:
        """One invocation: all lives one after another. Raises InvocationError."""
        witness, ledger = Witness(float(self.timeout)), leaks.Ledger()
        with self.supply(forkable(target), witness) as supply:
            began_ns = time.monotonic_ns()
            cycles = []
            for _ in range(self.rounds):
                supply.prepare()
                cycles.append(live(supply.start, witness, ledger))
            wall_ns = time.monotonic_ns() - began_ns
        values = [self.part(cycle) for cycle in cycles]
        evidence = witness.evidence() | ledger.evidence() | supply.evidence() | timing(values, wall_ns=wall_ns)
        return Observation(measurements=(self.measurement(values),), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from self.common(evidence)
        yield from oracles.equals(evidence, "instances_ended", self.rounds)
        yield from self.from_pool(evidence)

    def from_pool(self, evidence: Evidence) -> Iterator[str]:
        """With a pool, every instance came out of it."""
        if self.start == "pool":
            yield from oracles.equals(evidence, "pool_taken", self.rounds)


def live(start: Start, witness: Witness, ledger: leaks.Ledger) -> Cycle:
    """One life; what the instance holds is looked up when no clock runs."""
    with ExitStack() as life:
        requested_ns = time.monotonic_ns()
        instance = life.enter_context(start())
        started_ns = time.monotonic_ns()
        answered_ns = witness.ask(instance)
        held = leaks.held(instance.footprint())
        leaving_ns = time.monotonic_ns()
    gone_ns = ledger.ended(held)
    return Cycle(started_ns - requested_ns, answered_ns - requested_ns, gone_ns - leaving_ns)
