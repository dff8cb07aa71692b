"""Benchmark `memory.mmap_fault`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.benchmarks.translation import Translation
from benchproof.model import Definition
from benchproof.oracles import Evidence

PAGES = 256  # of one mapping; page i holds i + 1


class MmapFault(Probed, frozen=True):
    """What does it cost to get a fresh page of memory?"""

    translation = Translation(
        operation="mapping and first touch of a page",
        differs="a page at a time: setting up and taking down a large mapping may not be in it",
        counts=("faults", "pages_verified"),
        zeros=("dirty_pages",),
    )
    definition = Definition(
        name="memory.mmap_fault",
        tier=TIER,
        question=__doc__,
        mechanism="first write to a page of anonymous memory, with 1/256 of mmap and munmap of 1 MiB, huge pages off",
        without_posix=translation.operation,
        oracle="the rest of each fresh page is zero, and all pages of a mapping hold what was written",
    )
    exact_batch = 256
    exact_batches = 10

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "page_word_sum", PAGES * (PAGES + 1) // 2)
        faults = oracles.number(evidence, "faults_per_mapping")
        if 0 < faults < PAGES:  # 0: this kernel does not count
            yield f"{PAGES} pages were touched with {faults} faults: they were not fresh, or huge"
