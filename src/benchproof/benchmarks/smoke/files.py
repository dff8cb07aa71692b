"""Smoke `smoke.files`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.smoke.smoked import TIER, UNSUPPORTED, Smoked
from benchproof.model import Definition
from benchproof.oracles import Evidence


class Files(Smoked, frozen=True):
    """Are files written, read back, renamed and removed?"""

    definition = Definition(
        name="smoke.files",
        tier=TIER,
        question=__doc__,
        mechanism="64 KiB that no run before wrote: open, write, fsync, rename, read, unlink",
        without_posix="an object that keeps bytes under a name",
        oracle="every byte comes back under the new name; the old name and the removed file are gone",
        nondeterminism="the random word that is asked for",
        when_unsupported=UNSUPPORTED,
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.one_of(evidence, "synced", "none", "EINVAL")  # EINVAL: a file system that has no disk
        yield from oracles.equals(evidence, "old_name", "ENOENT")
        yield from oracles.equals(evidence, "size", 65536)
        yield from oracles.equals(evidence, "read_back", 1)
        yield from oracles.equals(evidence, "removed", "ENOENT")
        yield from oracles.equals(evidence, "folder", "none")
