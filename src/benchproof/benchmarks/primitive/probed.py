"""A benchmark whose operation is timed by the probe inside the target; the oracle reads the probe's evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Self

import msgspec

from benchproof import authority, oracles, probe
from benchproof.benchmarks import translation
from benchproof.benchmarks.primitive import counted
from benchproof.benchmarks.translation import Metric, Translation
from benchproof.errors import NotSupported
from benchproof.model import Better, Completed, Definition, Frozen, Measurement, Observation, Reporting, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

TIER = 1
_UNPROVED = Translation(operation="whatever the system means by it", differs="")  # of figures without any evidence
_EXACT_WARMUPS = 20  # batches until the kernel's caches and free lists are as full as they get
_LEAST_DELAY_S = 1e-12
_USE_INSTRUCTIONS = "inject_instructions in place of inject"


class Probed(Frozen, frozen=True, forbid_unknown_fields=True):
    """The parameters that all probed benchmarks share; `timeout` is for the whole command."""

    definition: ClassVar[Definition]
    translation: ClassVar[Translation | None] = None  # None: a system without POSIX has nothing that we could check
    quantity: ClassVar[str] = "latency"
    unit: ClassVar[Unit] = "ns"
    better: ClassVar[Better] = "lower"
    operation: ClassVar[str] = ""  # the probe's name of it, where it is not that of the benchmark
    exact_batch: ClassVar[int] = 100  # operations in a batch whose instructions are counted; short beside a timer tick
    exact_batches: ClassVar[int] = 200

    samples: int = 40
    warmups: int = 10
    sample_time: Duration = Duration(0.005)
    budget: Duration = Duration(5)  # samples end here even if they are fewer
    timeout: Duration = Duration(60)
    # slower on purpose, by so much an operation; not there in a plain case, so that it is never an injected one
    inject: Duration | msgspec.UnsetType = msgspec.UNSET
    inject_instructions: int | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if not (1 <= self.samples <= 10_000 and 0 <= self.warmups <= 10_000):
            raise ValueError(
                f"expected 1 to 10000 samples and at most 10000 warm-ups, found {self.samples} and {self.warmups}"
            )
        if not (0 < self.sample_time <= 60 and 0 < self.budget <= 3600 and self.timeout > 0):
            raise ValueError("expected sample_time up to 60 s, budget up to 1 h and a timeout, none of them zero")
        if self.inject is not msgspec.UNSET and not _LEAST_DELAY_S <= self.inject <= 1:
            raise ValueError("inject: expected a delay from 0.001 ns to 1 s an operation; leave it out for none")
        if self.inject_instructions is not msgspec.UNSET and not 1 <= self.inject_instructions <= 10**9:
            raise ValueError("inject_instructions: expected 1 to 1000000000 an operation; leave it out for none")

    def quick(self) -> Self:
        """The same question in 60 to 100 ms of measuring."""
        return msgspec.structs.replace(self, samples=20, warmups=5, sample_time=Duration(0.002), budget=Duration(0.1))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        with target.start() as instance:
            if isinstance(instance, Reporting):
                return self.hear(instance)
            if instance.clock == "instructions":
                if self.delay_ns is not None:
                    raise NotSupported("a delay says nothing where instructions are counted", missing=_USE_INSTRUCTIONS)
                done = instance.run([instance.probe, *self.exact_arguments()], timeout_s=float(self.timeout))
                return self.count(done)
            done = instance.run([instance.probe, *self.arguments()], timeout_s=float(self.timeout))
        return self.observe(done)

    def hear(self, instance: Reporting) -> Observation:
        """What a system says that measures itself. Raises InvocationError."""
        translation.refuse_delay(self.delay_ns or self.chain)
        reported = instance.report(self.definition.name, timeout_s=float(self.timeout))
        row = _UNPROVED if reported.source else self._row()
        metric = Metric(
            stem=self.definition.name,
            quantity=self.quantity,
            unit=self.unit,
            better=self.better,
            sample=self.sample,
        )
        return translation.observed(reported, metric, row, self.literals)

    def _judged(self, observation: Observation) -> Iterator[str]:
        yield from translation.judged(observation, self._row(), self.literals)
        yield from self.check_told(observation.evidence)

    def _row(self) -> Translation:
        if self.translation is None:
            raise NotSupported(
                f"not_applicable: '{self.definition.name}' has no counterpart without POSIX that proves its work"
            )
        return self.translation

    @property
    def literals(self) -> Mapping[str, str]:
        """The evidence of known value that a system must tell that measures itself."""
        return self.translation.expect if self.translation else {}

    @property
    def delay_ns(self) -> str | None:
        """What each operation is to be delayed by, as the probe is told it."""
        return None if self.inject is msgspec.UNSET else f"{self.inject * 1e9:.3f}"

    @property
    def chain(self) -> int | None:
        """How many instructions each operation is to have more."""
        return None if self.inject_instructions is msgspec.UNSET else self.inject_instructions

    def arguments(self) -> list[str]:
        """The probe's command line."""
        settings = {
            "--samples": self.samples,
            "--warmups": self.warmups,
            "--sample-ns": round(self.sample_time * 1e9),
            "--budget-ns": round(self.budget * 1e9),
        }
        return self.command(settings)

    def exact_arguments(self) -> list[str]:
        """The probe's command line where instructions are counted: the same work in every run, on every kernel."""
        return self.command(
            {"--samples": self.exact_batches, "--warmups": _EXACT_WARMUPS, "--iterations": self.exact_batch}
        )

    def command(self, settings: dict[str, int]) -> list[str]:
        """The words behind the probe's path."""
        return [
            "bench",
            self.operation or self.definition.name,
            *authority.options(self.definition.authority),
            *(str(word) for pair in settings.items() for word in pair),
            *(["--inject-ns", self.delay_ns] if self.delay_ns is not None else []),
            *(["--inject-instructions", str(self.chain)] if self.chain is not None else []),
        ]

    def count(self, done: Completed) -> Observation:
        """What the probe's output says where its clock counts instructions: the figure of one batch stands for all."""
        reading = self._read(done)
        batches = Counter(reading.samples_ns)
        evidence = reading.evidence | counted.evidence(batches) | {"command": " ".join(self.exact_arguments())}
        authority.check(evidence, self.definition.authority)
        figure, _ = counted.figure(batches)
        measurement = Measurement(
            metric=f"{self.definition.name}.instructions",
            unit="instructions",
            better="lower",
            clock="instructions",
            iterations=reading.iterations,
            warmups=tuple(each / reading.iterations for each in reading.warmups_ns),
            samples=(figure / reading.iterations,),
        )
        return Observation(measurements=(measurement,) if figure else (), evidence=evidence)

    def _read(self, done: Completed) -> probe.Reading:
        try:
            return probe.read(done, self.operation or self.definition.name)
        except NotSupported as error:
            raise authority.with_way(error, self.definition.authority) from error

    def observe(self, done: Completed) -> Observation:
        """What the probe's output says. Raises InvocationError where it says nothing, or had wider authority."""
        reading = self._read(done)
        evidence = reading.evidence | {
            "sampled_ns": str(sum((*reading.warmups_ns, *reading.samples_ns))),
            "shortest_sample_ns": str(min(reading.samples_ns, default=0)),
            "host_ns": str(done.elapsed_ns),
            "command": " ".join(self.arguments()),
        }
        authority.check(evidence, self.definition.authority)
        oracles.refuse_starved(evidence)
        if min(reading.samples_ns, default=0) < 1:
            return Observation(measurements=(), evidence=evidence)
        measurement = Measurement(
            metric=f"{self.definition.name}.{self.quantity}",
            unit=self.unit,
            better=self.better,
            clock="target",
            iterations=reading.iterations,
            warmups=tuple(self.sample(ns, reading.iterations) for ns in reading.warmups_ns),
            samples=tuple(self.sample(ns, reading.iterations) for ns in reading.samples_ns),
        )
        return Observation(measurements=(measurement,), evidence=evidence)

    def sample(self, elapsed_ns: float, iterations: int) -> float:
        """One sample in `unit`; here the time of one operation."""
        return elapsed_ns / iterations

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations, those common to all probed benchmarks first."""
        evidence = observation.evidence
        if translation.is_own_word(observation):
            yield from () if observation.unverified else self._judged(observation)
            return
        yield from oracles.no_failures(evidence)
        yield from oracles.injected(evidence, delay_ns=self.delay_ns, instructions=self.chain)
        if evidence.get("clock") == "instructions":
            yield from counted.violations(observation)
        else:
            yield from oracles.clocks_agree(evidence)
            yield from oracles.samples_took_time(evidence)
        yield from self.check(evidence)

    def check(self, evidence: Evidence) -> Iterable[str]:
        """The post-condition of this benchmark alone."""
        raise NotImplementedError

    def check_told(self, evidence: Evidence) -> Iterable[str]:
        """What must follow from the evidence of a system that measures itself, beside its row of the table."""
        del evidence
        return ()


def throughput(size_bytes: int, elapsed_ns: float, iterations: int) -> float:
    """Bytes a second."""
    return size_bytes * iterations / (elapsed_ns / 1e9)


def round_trips(evidence: Evidence) -> Iterator[str]:
    """What the ping-pongs share: nobody lost a token."""
    yield from oracles.equals(evidence, "round_trips", evidence.get("operations"))
    yield from oracles.equals(evidence, "partner_served", evidence.get("operations"))
    yield from oracles.equals(evidence, "partner_exit_status", 0)
