"""Benchmark `syscall.open_close`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.model import Definition
from benchproof.oracles import Evidence

CONTENT_CRC32 = zlib.crc32(b"b" * 4242)  # as the probe makes it


class OpenClose(Probed, frozen=True):
    """What does it cost to open and close a file?"""

    definition = Definition(
        name="syscall.open_close",
        tier=TIER,
        question=__doc__,
        mechanism="open for reading and close of a file on tmpfs, in the current folder",
        without_posix="obtaining and dropping a handle to a memory object; not_applicable without one",
        oracle="each open returns the same descriptor, none is left open, the file holds the known bytes",
    )
    exact_batch = 50
    exact_batches = 50

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "descriptors_left_open", 0)
        yield from oracles.equals(evidence, "content_crc32", CONTENT_CRC32)
