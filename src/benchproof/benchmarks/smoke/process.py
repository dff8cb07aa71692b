"""Smoke `smoke.process`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.smoke.smoked import TIER, UNSUPPORTED, Smoked
from benchproof.model import Definition
from benchproof.oracles import Evidence


class Process(Smoked, frozen=True):
    """Are programs started, waited for, and refused where there are none?"""

    definition = Definition(
        name="smoke.process",
        tier=TIER,
        question=__doc__,
        mechanism="fork and execve of the probe, of a program that is not there and of a file that is none",
        without_posix="spawning and waiting for whatever the system calls a program",
        oracle="output and exit status are those asked for; both refusals have the right error; a kill is told",
        nondeterminism="the random word that is asked for",
        when_unsupported=UNSUPPORTED,
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "echoed", evidence.get("asked"))
        yield from oracles.equals(evidence, "echo_status", 0)
        yield from oracles.equals(evidence, "exit_status", 37)
        yield from oracles.equals(evidence, "missing_program", "ENOENT")
        yield from oracles.one_of(evidence, "damaged_program", "ENOEXEC", "EACCES")  # EACCES: nothing is executed there
        yield from oracles.equals(evidence, "killed_by", 9)
