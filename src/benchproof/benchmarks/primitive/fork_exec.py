"""Benchmark `process.fork_exec`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence


class ForkExec(Probed, frozen=True):
    """What does it cost to run a program?"""

    translation = Translation(
        operation="spawn and wait of a small program",
        differs="one request loads the program: nothing is copied first and thrown away",
        counts=("children_verified",),
    )
    definition = Definition(
        name="process.fork_exec",
        tier=TIER,
        question=__doc__,
        mechanism="fork, execve of a small static program, waitpid",
        without_posix=translation.operation,
        oracle="each program ends with the status that its argument asked for, which fork alone could not give",
    )
    exact_batch = 1
    exact_batches = 30

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "children_verified", evidence.get("operations"))
