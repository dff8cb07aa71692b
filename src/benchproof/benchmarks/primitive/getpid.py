"""Benchmark `syscall.getpid`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence


class Getpid(Probed, frozen=True):
    """What does it cost to enter the kernel and come back?"""

    translation = Translation(
        operation="the cheapest entry into the kernel, labelled as such (a ring no-op, a kernel fact)",
        differs="no process is looked up: a no-op through the door that this system has",
        counts=("completed",),
        zeros=("overflows", "wrong_cookies"),
    )
    definition = Definition(
        name="syscall.getpid",
        tier=TIER,
        question=__doc__,
        mechanism="raw getpid system call, no libc in between",
        without_posix=translation.operation,
        oracle="the return values add up to what a child says of its parent; a seccomp filter on getpid is felt",
        nondeterminism="the number of the process",
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        operations, pid = oracles.number(evidence, "operations"), oracles.number(evidence, "pid")
        if pid < 1:
            yield "the process has no number"
        yield from oracles.equals(evidence, "pid_sum", operations * pid)
        yield from oracles.one_of(evidence, "entered_kernel", "yes", "unknown")  # unknown: no seccomp to prove it with
