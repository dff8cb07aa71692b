"""Benchmark `fork.image_size`."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.forked import Fork, Forked
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED
from benchproof.model import Definition


class ImageSize(Forked, frozen=True):
    """How much of the host's disk does a frozen system take?"""

    definition = Definition(
        name="fork.image_size",
        tier=TIER,
        question=__doc__,
        mechanism="blocks in use by the files of the image alone, not their logical size",
        without_posix="storage in use by a checkpoint",
        oracle="a clone starts from it and holds the random files; its size is more than 0, and 0 when it was deleted",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )
    quantity = "size"
    unit = "bytes"

    def part(self, fork: Fork) -> int:
        """Blocks in use."""
        return fork.size_bytes
