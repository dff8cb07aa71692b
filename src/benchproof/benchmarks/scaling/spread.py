"""One piece of work, shared among `width` workers that start together; the time is that of the last to end.

The probe creates and warms all workers before it releases them. From then on none of them makes a system call: a filter
ends a worker at the first one. Wall time is all that is measured; CPU time stays the same however badly work is spread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from benchproof import authority, oracles, probe
from benchproof.benchmarks import translation
from benchproof.benchmarks.translation import Metric, Translation
from benchproof.errors import NotSupported
from benchproof.model import Better, Completed, Definition, Frozen, Measurement, Observation, Reporting, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

TIER = 3
MOST_WORKERS = 64
NONDETERMINISM = "which worker ends first"
UNSUPPORTED = (
    "more workers than CPUs (oversubscribe = true runs them), unequal shares, no processes, threads or seccomp filters"
)
_DIFFERS = "its own tasks in place of processes, kept apart in its own way; no filter shows that they make no call"
_SLOTS = {"process": "protected", "thread": "of one address space"}


class Spread(Frozen, frozen=True, forbid_unknown_fields=True):
    """The parameters that both share. `width` is the number of workers; `timeout` is for the whole command."""

    definition: ClassVar[Definition]
    partition: ClassVar[str]  # the rule by which the work is split, as the probe says it
    quantity: ClassVar[str] = "elapsed"
    unit: ClassVar[Unit] = "ns"
    better: ClassVar[Better] = "lower"

    width: int = 1
    workers: Literal["process", "thread"] = "process"
    oversubscribe: bool = False  # run more workers than the target has CPUs: the answer is checked, no speed is claimed
    samples: int = 1
    timeout: Duration = Duration(600)

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MOST_WORKERS:
            raise ValueError(f"width: expected 1 to {MOST_WORKERS} workers, found {self.width}")
        if not 1 <= self.samples <= 1000:
            raise ValueError(f"samples: expected 1 to 1000, found {self.samples}")
        if self.timeout <= 0:
            raise ValueError("expected a timeout that is not zero")

    def quick(self) -> Self:
        """The same question about less work."""
        raise NotImplementedError

    @property
    def work(self) -> dict[str, int]:
        """What the probe is told of the work."""
        raise NotImplementedError

    @property
    def said(self) -> dict[str, str]:
        """What a system that measures itself says of the work."""
        raise NotImplementedError

    @property
    def answer(self) -> str:
        """The right one, found in another way than the probe's."""
        raise NotImplementedError

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        with target.start() as instance:
            if isinstance(instance, Reporting):
                return self.hear(instance)
            if instance.clock == "instructions":
                raise NotSupported("not_applicable: instructions are counted on one CPU", missing="exact = false")
            done = instance.run([instance.probe, *self.arguments()], timeout_s=float(self.timeout))
        return self.observe(done)

    def hear(self, instance: Reporting) -> Observation:
        """What a system says that measures itself, with as many workers as it has CPUs. Raises InvocationError."""
        reported = instance.report(self.definition.name, timeout_s=float(self.timeout))
        if reported.unit == "instructions":
            raise NotSupported("not_applicable: instructions are counted on one CPU", missing="exact = false")
        width = reported.evidence.get("width", str(self.width))
        if width != str(self.width):
            raise NotSupported(f"not_applicable: it has {width} workers, not {self.width}")
        metric = Metric(
            stem=self.definition.name, quantity=self.quantity, unit=self.unit, better=self.better, sample=_whole
        )
        return translation.observed(reported, metric, self._row, self._told)

    @property
    def _row(self) -> Translation:
        return Translation(
            operation=self.definition.without_posix, differs=_DIFFERS, workload=tuple(self.said), expect=self._told
        )

    @property
    def _told(self) -> dict[str, str]:
        """What a system that measures itself must say of its work."""
        shares = {"width": str(self.width), "workers_done": str(self.width)}
        return {**self.said, **shares, "answer": self.answer}

    def _judged(self, observation: Observation) -> Iterator[str]:
        yield from translation.judged(observation, self._row, self._told)
        if not (observation.unverified or observation.evidence.get("partition")):
            yield "partition: expected a word for how the work is split, found nothing"

    def arguments(self) -> list[str]:
        """The probe's command line."""
        settings = {
            "--width": self.width,
            "--threads": int(self.workers == "thread"),
            "--oversubscribe": int(self.oversubscribe),
            "--samples": self.samples,
            "--warmups": 0,
            "--iterations": 1,
            "--budget-ns": round(self.timeout * 1e9),
        }
        words = (str(word) for pair in (settings | self.work).items() for word in pair)
        return ["bench", self.definition.name, *authority.options(self.definition.authority), *words]

    def observe(self, done: Completed) -> Observation:
        """What the probe's output says. Raises InvocationError where it says nothing, or had wider authority."""
        reading = probe.read(done, self.definition.name)
        evidence = reading.evidence | {
            "sampled_ns": str(sum(reading.samples_ns)),
            "shortest_sample_ns": str(min(reading.samples_ns, default=0)),
            "host_ns": str(done.elapsed_ns),
            "command": " ".join(self.arguments()),
        }
        authority.check(evidence, self.definition.authority)
        oracles.refuse_starved({**evidence, "wall_ns": evidence.get("whole_ns", "")})
        if min(reading.samples_ns, default=0) < 1:
            return Observation(measurements=(), evidence=evidence)
        measurement = Measurement(
            metric=f"{self.definition.name}.{self.quantity}",
            unit=self.unit,
            better=self.better,
            clock="target",
            iterations=1,
            samples=tuple(float(ns) for ns in reading.samples_ns),
        )
        return Observation(measurements=(measurement,), evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations: a worker that is lost, a system call, a split or an answer that is not the right one."""
        evidence = observation.evidence
        if translation.is_own_word(observation):
            yield from self._judged(observation)
            return
        yield from oracles.equals(evidence, "system_calls", "none")
        yield from oracles.equals(evidence, "workers_done", self.width)
        yield from oracles.no_failures(evidence)
        yield from oracles.clocks_agree({**evidence, "wall_ns": evidence.get("whole_ns", "")})  # preparing is long
        yield from oracles.samples_took_time(evidence)
        yield from oracles.equals(evidence, "width", self.width)
        yield from oracles.equals(evidence, "slots", _SLOTS[self.workers])
        yield from oracles.one_of(evidence, "clock_read", "without a system call", "by one system call behind the work")
        yield from self._enough_cpus(evidence)
        yield from _last_end(observation, self.width)
        yield from oracles.equals(evidence, "partition", self.partition)
        yield from self.check(evidence)
        yield from oracles.equals(evidence, "answer", self.answer)

    def check(self, evidence: Evidence) -> Iterator[str]:
        """That the shares are what the rule says."""
        raise NotImplementedError

    def _enough_cpus(self, evidence: Evidence) -> Iterator[str]:
        if not self.oversubscribe and oracles.number(evidence, "cpus") < self.width:
            yield f"{self.width} workers ran on {evidence.get('cpus', 'an unknown number of')} CPUs"


def _whole(elapsed_ns: float, operations: int) -> float:
    """The time of the whole work, once."""
    return elapsed_ns / operations


def _last_end(observation: Observation, width: int) -> Iterator[str]:
    """Every worker ended after the release, and the sample is when the last one did."""
    words = observation.evidence.get("worker_ends_ns", "").split()
    ends = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 20]
    if not len(ends) == len(words) == width:
        yield f"worker_ends_ns: expected the ends of {width} workers, found '{' '.join(words)[:80]}'"
    elif observation.measurements and observation.measurements[0].samples[-1] != max(ends):
        yield f"the sample is not the end of the last worker: {observation.measurements[0].samples[-1]} of {max(ends)}"
