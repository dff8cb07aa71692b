"""Benchmark `agent.memory`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import msgspec

from benchproof import oracles
from benchproof.analysis import growth
from benchproof.analysis.stats import Interval
from benchproof.benchmarks.agent import work
from benchproof.benchmarks.agent.asked import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED, Asked
from benchproof.benchmarks.agent.crew import Crew, crew, died
from benchproof.footprint import Usage, usage
from benchproof.model import Definition, Measurement, Observation, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Size

_NAME = "agent.memory"
_FEWEST = 5  # looks, with fewer there is no interval


class Memory(Asked, frozen=True):
    """How much memory do a service and its sandboxes hold, what does each sandbox add, and does it grow with use?

    `warmups`: operations before the first look; `samples`: looks, `calls` operations apart; `tolerance`: the growth
    with each operation that still counts as none.
    """

    definition = Definition(
        name=_NAME,
        tier=TIER,
        question="How much memory do a service and its sandboxes hold, what does each add, and does it grow with use?",
        mechanism="PSS, RSS and its peak (VmHWM) of all processes from /proc, between verified operations",
        without_posix="pages held by the server and its protection domains; each shared page counted once",
        oracle="each operation is verified; nobody that is looked at ended; PSS within RSS, RSS within its peak",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    quantity: ClassVar[str] = "pss"
    unit: ClassVar[Unit] = "bytes"

    samples: int = 24
    warmups: int = 40
    calls: int = 8
    sandboxes: int = 3
    tolerance: Size = Size(1024)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < _FEWEST:
            raise ValueError(f"samples: expected at least {_FEWEST} looks, a slope needs as many; found {self.samples}")
        if not (1 <= self.calls <= 10_000 and 1 <= self.sandboxes <= 1_000):
            raise ValueError(f"expected 1 or more calls and sandboxes, found {self.calls} and {self.sandboxes}")

    def quick(self) -> Self:
        """The same question with fewer looks."""
        return msgspec.structs.replace(
            self, samples=min(self.samples, 8), warmups=min(self.warmups, 16), calls=min(self.calls, 4)
        )

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        with crew(target, self.command, timeout_s=float(self.timeout)) as working:
            added = self._fill(working)
            for _ in range(self.warmups):
                working.operate()
            looks = [self._look(working) for _ in range(self.samples)]
            evidence = working.evidence()
        operations = [(number + 1) * self.calls for number in range(len(looks))]
        # not PSS: that also moves when a program elsewhere comes or goes that shares pages with these
        slope = growth.slope(operations, [look.rss_bytes for look in looks])
        evidence |= _listed(looks) | self._told(slope) | {"added_bytes": " ".join(map(str, added)) or "one sandbox"}
        return Observation(measurements=tuple(self._measurements(looks, added, slope)), evidence=evidence)

    def _fill(self, working: Crew) -> list[int]:
        """What each sandbox but the first added."""
        totals = []
        for _ in range(self.sandboxes):
            working.add()
            working.operate()
            totals.append(usage(working.roots()).pss_bytes)
        return [after - before for before, after in itertools.pairwise(totals)]

    def _look(self, working: Crew) -> Usage:
        for _ in range(self.calls):
            working.operate()
        return usage(working.roots())

    def _told(self, slope: Interval | None) -> dict[str, str]:
        interval = {"growth_low": f"{slope.low:.1f}", "growth_high": f"{slope.high:.1f}"} if slope else {}
        return {"growth": growth.verdict(slope, tolerance=float(self.tolerance))} | interval

    def _measurements(
        self, looks: Sequence[Usage], added: Sequence[int], slope: Interval | None
    ) -> Iterator[Measurement]:
        yield _bytes("peak_rss", [looks[-1].peak_rss_bytes])
        yield _bytes("pss", [look.pss_bytes for look in looks])
        if added:
            yield _bytes("marginal", added)
        if slope is not None:
            of = len(looks) * self.calls
            yield _bytes("growth", [slope.estimate], iterations=of)
            yield _bytes("growth_at_least", [slope.low], iterations=of)
            yield _bytes("growth_at_most", [slope.high], iterations=of)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from work.verified(evidence, at_least=self.warmups + self.samples * self.calls + 2 * self.sandboxes)
        yield from oracles.equals(evidence, "sandboxes", self.sandboxes)
        yield from died(evidence)
        yield from self._plausible(evidence)

    def _plausible(self, evidence: Evidence) -> Iterator[str]:
        """Each look found memory, and its three figures are in their order."""
        lists = [list(map(int, evidence.get(name, "").split())) for name in ("pss_bytes", "rss_bytes", "peak_bytes")]
        if {len(each) for each in lists} != {self.samples}:
            yield f"expected {self.samples} looks at the memory, found {', '.join(str(len(each)) for each in lists)}"
        for pss, rss, peak in zip(*lists, strict=False):
            if not 0 < pss <= rss <= peak:
                yield f"expected PSS within RSS within its peak, found {pss}, {rss} and {peak} bytes"
                break


def _listed(looks: Sequence[Usage]) -> dict[str, str]:
    return {
        "pss_bytes": " ".join(str(look.pss_bytes) for look in looks),
        "rss_bytes": " ".join(str(look.rss_bytes) for look in looks),
        "peak_bytes": " ".join(str(look.peak_rss_bytes) for look in looks),
    }


def _bytes(quantity: str, samples: Sequence[float], *, iterations: int = 1) -> Measurement:
    return Measurement(
        metric=f"{_NAME}.{quantity}",
        unit="bytes",
        better="lower",
        clock="host",
        iterations=iterations,
        samples=tuple(samples),
    )
