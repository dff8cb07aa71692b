"""Benchmark `fork.file_survived`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.forked import Survived
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class FileSurvived(Survived, frozen=True):
    """Does a file survive a fork?"""

    definition = Definition(
        name="fork.file_survived",
        tier=TIER,
        question=__doc__,
        mechanism="nothing is timed: 1 for each fork after which a clone holds a file of 4 KiB",
        without_posix="an object in a protection domain survives its checkpoint",
        oracle="the clone's bytes are those put into the original, as read by a command inside and as they come out",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )
    kinds = ("file",)
