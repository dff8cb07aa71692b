"""What a benchmark becomes on a system without POSIX: the same intent, another operation, and evidence of its own.

Such a system measures itself and says what it did (`docs/protocol.md`). The oracle here reads that evidence; what is
not in it is a violation, never taken for granted. What differs in meaning is printed beside every ratio.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import msgspec

from benchproof import oracles
from benchproof.benchmarks.primitive import counted
from benchproof.errors import LabInvalid, NotSupported
from benchproof.model import Better, Frozen, Instance, Measurement, Observation, Reported, Reporting, Unit
from benchproof.oracles import Evidence

_ITSELF = "the system itself"
OURS = frozenset({"measured_by", "called", "difference", "stated_operations"})  # evidence of ours: no proof of the work
_NO_DELAY = "a system that measures itself cannot be made slower on purpose"


class Translation(Frozen, frozen=True, kw_only=True):
    """One row of the table. Evidence counts warm-ups and samples together, as `operations` does."""

    operation: str  # what is timed in place of the POSIX operation
    differs: str  # in meaning, from the POSIX operation; printed beside a ratio
    counts: tuple[str, ...] = ()  # evidence that equals the number of operations
    zeros: tuple[str, ...] = ()  # evidence that is 0
    expect: Mapping[str, str] = msgspec.field(default_factory=dict)  # evidence that has this one value
    proof: str = ""  # in words, what is checked of the evidence beside that
    workload: tuple[str, ...] = ()  # keys of `expect` that say how much work it is: another value is other work

    def required(self, expect: Mapping[str, str] | None = None) -> str:
        """What must be told, in words."""
        said = [f"{', '.join(self.counts)} = operations"] if self.counts else []
        said += [f"{', '.join(self.zeros)} = 0"] if self.zeros else []
        said += [f"{key} = {value}" for key, value in (expect or self.expect).items()]
        return "; ".join([*said, self.proof] if self.proof else said)

    def violations(self, evidence: Evidence, expect: Mapping[str, str]) -> Iterator[str]:
        """What the evidence does not show. `expect`: that of the parameters of the case."""
        for key in self.counts:  # `operations` is our own sum; that of the system stands beside it
            told = "stated_operations" if key == "operations" else key
            yield from oracles.equals(evidence, told, evidence.get("operations"))
        for key in self.zeros:
            yield from oracles.equals(evidence, key, 0)
        for key, value in expect.items():
            yield from oracles.equals(evidence, key, value)
        if evidence.get("stated_operations", evidence.get("operations")) != evidence.get("operations"):
            yield f"it states {evidence.get('stated_operations')} operations and reported {evidence.get('operations')}"
        if evidence.get("failures", "0") != "0":
            yield f"{evidence['failures']} of {evidence.get('operations')} operations failed, by its own count"


class Metric(Frozen, frozen=True, kw_only=True):
    """How elapsed nanoseconds become a figure of a benchmark. Counts of anything else are a cost of one operation."""

    stem: str  # of the metric's name: `syscall.getpid`
    quantity: str
    unit: Unit
    better: Better
    sample: Callable[[float, int], float]  # elapsed ns, operations -> one sample


def refuse_delay(delayed: object) -> None:
    """Raises NotSupported where the case is one that is slower on purpose."""
    if delayed:
        raise NotSupported(_NO_DELAY, missing="inject it in a target that runs the probe")


def reporting(instance: Instance) -> Reporting:
    """The instance as one that measures itself. Raises NotSupported."""
    if isinstance(instance, Reporting):
        return instance
    raise NotSupported(
        "not_applicable: only a system that measures itself has primitives of its own", missing='kind = "kernel"'
    )


def observed(reported: Reported, metric: Metric, row: Translation, expect: Mapping[str, str]) -> Observation:
    """What a system said of one benchmark, as an observation. Raises LabInvalid where it measured other work."""
    if not reported.source:
        _refuse_other_work(reported, row, expect)
    operations = reported.iterations * (len(reported.warmups) + len(reported.samples))
    evidence = {
        **reported.evidence,
        **({"stated_operations": reported.evidence["operations"]} if "operations" in reported.evidence else {}),
        "operations": str(operations),
        "measured_by": _ITSELF,
        "called": reported.name,
        "mechanism": reported.mechanism,
        **({"difference": row.differs} if row.differs else {}),
    }
    if reported.unit == "instructions":
        evidence |= counted.evidence(Counter(map(int, reported.samples)))
    return Observation(
        measurements=(_measurement(reported, metric),),
        evidence=evidence,
        unverified=reported.source,
        noise=reported.noise,
    )


def judged(observation: Observation, row: Translation, expect: Mapping[str, str]) -> Iterator[str]:
    """The violations. What came without any evidence is not verified at all, and has none."""
    if observation.unverified:
        return
    yield from row.violations(observation.evidence, expect)
    if observation.evidence.get("clock") == "instructions":
        yield from counted.violations(observation)


def is_own_word(observation: Observation) -> bool:
    """Whether the system measured itself."""
    return observation.evidence.get("measured_by") == _ITSELF


def _refuse_other_work(reported: Reported, row: Translation, expect: Mapping[str, str]) -> None:
    for key in row.workload:
        found = reported.evidence.get(key, expect[key])
        if found != expect[key]:
            raise LabInvalid(f"it measured other work: expected {key} {expect[key]}, found {found}")


def _measurement(reported: Reported, metric: Metric) -> Measurement:
    unit, better, clock = metric.unit, metric.better, reported.clock
    name, sample = f"{metric.stem}.{metric.quantity}", metric.sample
    warmups, samples = reported.warmups, reported.samples
    if reported.unit != "ns":
        unit, better, sample = reported.unit, "lower", _each
        name = f"{metric.stem}.{reported.unit}" if reported.unit != "cycles" or metric.unit != "ns" else name
    if reported.unit == "instructions":
        samples = (float(counted.figure(Counter(map(int, samples)))[0]),)
    return Measurement(
        metric=name,
        unit=unit,
        better=better,
        clock=clock,
        iterations=reported.iterations,
        warmups=tuple(sample(each, reported.iterations) for each in warmups),
        samples=tuple(sample(each, reported.iterations) for each in samples),
    )


def _each(elapsed: float, operations: int) -> float:
    return elapsed / operations
