"""Benchmark `process.fork_exit`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence


class ForkExit(Probed, frozen=True):
    """What does it cost to make a process and see it end?"""

    translation = Translation(
        operation="spawn and wait of an empty task",
        differs="a task is made from nothing: no address space is copied",
        counts=("children_verified",),
    )
    definition = Definition(
        name="process.fork_exit",
        tier=TIER,
        question=__doc__,
        mechanism="fork, _exit, waitpid",
        without_posix=translation.operation,
        oracle="each child ends with the status that its number gives it",
    )
    exact_batch = 1
    exact_batches = 40

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "children_verified", evidence.get("operations"))
