"""Benchmark `fork.workspace_survived`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.forked import Survived
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class WorkspaceSurvived(Survived, frozen=True):
    """Does a workspace survive a fork?"""

    definition = Definition(
        name="fork.workspace_survived",
        tier=TIER,
        question=__doc__,
        mechanism="nothing is timed: 1 for each fork after which a clone holds three files of 0 to 8193 bytes",
        without_posix="the storage of a protection domain survives its checkpoint",
        oracle="the clone's bytes are those put into the original, as read by a command inside and as they come out",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )
    kinds = ("workspace",)
