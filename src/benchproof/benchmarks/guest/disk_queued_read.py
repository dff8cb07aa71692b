"""Benchmark `disk.queued_read`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.guest import inside
from benchproof.benchmarks.guest.disk import ORACLE, UNSUPPORTED
from benchproof.benchmarks.guest.disk_random_read import RandomRead
from benchproof.model import Definition, Observation

_MOST_DEPTH = 1024


class QueuedRead(RandomRead, frozen=True):
    """How fast are small blocks of a file read in random order, many requests under way at once?

    `depth`: how many, all from one thread.
    """

    definition = Definition(
        name="disk.queued_read",
        tier=inside.TIER,
        question="How fast are small blocks of a file read in random order, many requests under way at once?",
        mechanism="io_uring reads of blocks of a file that was just written, in random order, many at once",
        without_posix="asynchronous reads from the system's own store of bytes",
        oracle=f"{ORACLE}; each request has one answer, and as many as asked were under way at once",
        nondeterminism=inside.NONDETERMINISM,
        when_unsupported=f"{UNSUPPORTED}; no io_uring",
    )

    depth: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.depth <= _MOST_DEPTH:
            raise ValueError(f"depth: expected 1 to {_MOST_DEPTH} requests at once, found {self.depth}")

    @property
    def words(self) -> dict[str, object]:
        return super().words | {"--depth": self.depth}

    @property
    def done(self) -> str:
        return self.definition.mechanism.replace("many at once", f"{self.depth} at once")

    def verify_calls(self, observation: Observation) -> Iterator[str]:
        """None takes longer than the whole, and all together no longer than so many wholes: they overlap."""
        evidence, deep = observation.evidence, min(self.depth, self.operations_asked)
        yield from oracles.equals(evidence, "answered", self.operations_asked)
        yield from oracles.equals(evidence, "in_flight", deep)
        elapsed = oracles.number(evidence, "sampled_ns")
        latencies = [each.samples for each in observation.measurements if each.metric.endswith("latency")]
        if len(latencies) != 1 or len(latencies[0]) != self.operations_asked:
            yield f"expected the time of each of {self.operations_asked} requests"
        elif max(latencies[0]) > elapsed or sum(latencies[0]) > elapsed * deep:
            yield f"requests of {sum(latencies[0]):.0f} ns together do not fit into {elapsed} ns with {deep} at once"
