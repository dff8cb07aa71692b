"""Smoke `smoke.boot`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.smoke.smoked import TIER, UNSUPPORTED, Smoked
from benchproof.model import Definition
from benchproof.oracles import Evidence


class Boot(Smoked, frozen=True):
    """Does it start, and is what it says new?"""

    definition = Definition(
        name="smoke.boot",
        tier=TIER,
        question=__doc__,
        mechanism="a program is started and gives back a random word",
        without_posix="the token of the start comes back on the console (smoke.protocol)",
        oracle="the word is that of this very start, and so is its checksum",
        nondeterminism="the random word that is asked for",
        when_unsupported=UNSUPPORTED,
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        asked = evidence.get("asked", "")
        if not asked:
            yield "no word was asked for"
        yield from oracles.equals(evidence, "word", asked)
        yield from oracles.equals(evidence, "crc32", zlib.crc32(asked.encode()))
