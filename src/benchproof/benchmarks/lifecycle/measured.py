"""What all benchmarks of whole systems share: the host times them, and the target must be one that can be cloned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import msgspec

from benchproof import oracles
from benchproof.errors import NotSupported
from benchproof.model import Authority, Better, Definition, Forkable, Frozen, Measurement, Served, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

TIER = 2
AUTHORITY = Authority(ambient=True)  # the host times them; what they may do is not part of the question
NONDETERMINISM = "the random words that are asked for"
UNSUPPORTED = "a target that cannot be frozen and cloned, or the target's own words, as outcome `unsupported`"


def forkable(target: Target) -> Forkable:
    """The target as one that can be frozen and cloned. Raises NotSupported."""
    if isinstance(target, Forkable):
        return target
    raise NotSupported(
        "this target cannot be frozen and cloned", missing='a target that can be: kind = "qemu", "gvisor" or "service"'
    )


def served(target: Target) -> Served:
    """The target as one behind which there is a service. Raises NotSupported."""
    if isinstance(target, Served):
        return target
    raise NotSupported("there is no sandbox service behind this target", missing='a target of kind = "service"')


class Measured(Frozen, frozen=True, forbid_unknown_fields=True):
    """The parameters that all share; `timeout` is for each command."""

    definition: ClassVar[Definition]
    quantity: ClassVar[str] = "latency"
    unit: ClassVar[Unit] = "ns"
    better: ClassVar[Better] = "lower"

    samples: int = 5
    warmups: int = 1
    timeout: Duration = Duration(60)

    def __post_init__(self) -> None:
        if not (1 <= self.samples <= 10_000 and 0 <= self.warmups <= 10_000):
            raise ValueError(
                f"expected 1 to 10000 samples and at most 10000 warm-ups, found {self.samples} and {self.warmups}"
            )
        if self.timeout <= 0:
            raise ValueError("expected a timeout that is not zero")

    def quick(self) -> Self:
        """The same question with fewer samples."""
        return msgspec.structs.replace(self, samples=min(self.samples, 2), warmups=min(self.warmups, 1))

    @property
    def rounds(self) -> int:
        """Warm-ups and samples together."""
        return self.warmups + self.samples

    def measurement(self, values: Sequence[float]) -> Measurement:
        """The metric of this benchmark; the first of the values are the warm-ups."""
        return Measurement(
            metric=f"{self.definition.name}.{self.quantity}",
            unit=self.unit,
            better=self.better,
            clock="host",
            iterations=1,
            warmups=tuple(values[: self.warmups]),
            samples=tuple(values[self.warmups :]),
        )

    def common(self, evidence: Evidence) -> Iterator[str]:
        """The violations of what every benchmark here must show: right answers, time that passed, nothing left."""
        yield from oracles.answers(evidence, at_least=self.rounds)
        yield from oracles.nothing_left(evidence)
        yield from oracles.samples_took_time(evidence)


def timing(elapsed_ns: Sequence[int], *, wall_ns: int) -> dict[str, str]:
    """What `oracles.samples_took_time` reads."""
    return {
        "sampled_ns": str(sum(elapsed_ns)),
        "shortest_sample_ns": str(min(elapsed_ns, default=0)),
        "wall_ns": str(wall_ns),
    }
