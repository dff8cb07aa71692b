"""Benchmark `kernel.primitive`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

import msgspec

from benchproof.benchmarks import BENCHMARKS, translation
from benchproof.benchmarks.translation import Metric, Translation
from benchproof.model import Better, Definition, Frozen, Observation, Target, Unit
from benchproof.quantities import Duration

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}", re.ASCII)


class Primitive(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What does a primitive cost that only this kernel has?

    `what`: the kernel's name of it. `counts`: evidence that equals the number of operations, `zeros`: that is 0,
    `expect`: that has a stated value. At least one of them: without evidence it would be a number and no more.
    """

    definition: ClassVar = Definition(
        name="kernel.primitive",
        tier=1,
        question="What does a primitive cost that only this kernel has?",
        mechanism="what the kernel says of it",
        without_posix="itself: a ring no-op, a capability's look-up, a park and wake, a switch, a chunk to hash",
        oracle="the evidence that the plan asks for: counts equal to the operations, zeros, stated values",
    )
    quantity: ClassVar[str] = "latency"
    unit: ClassVar[Unit] = "ns"
    better: ClassVar[Better] = "lower"

    what: str
    counts: tuple[str, ...] = ()
    zeros: tuple[str, ...] = ()
    expect: dict[str, str | int] = msgspec.field(default_factory=dict)
    timeout: Duration = Duration(60)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.what):
            raise ValueError(
                f"what: expected the kernel's name of a primitive, such as 'page.map', found '{self.what}'"
            )
        if self.what in BENCHMARKS.own:
            raise ValueError(f"what: '{self.what}' is a benchmark, whose oracle knows more: ask it by that name")
        keys = (*self.counts, *self.zeros, *self.expect)
        if not keys:
            raise ValueError(
                "expected evidence to ask for: counts (= operations), zeros or expect; a number alone proves nothing"
            )
        for key in keys:
            if not _NAME.fullmatch(key) or keys.count(key) > 1:
                raise ValueError(f"expected each key of the evidence once, as the kernel prints it, found '{key}'")
            if key in translation.OURS:
                raise ValueError(f"expected keys that the kernel prints, found '{key}', which benchproof adds itself")
        if self.timeout <= 0:
            raise ValueError("expected a timeout that is not zero")

    @property
    def row(self) -> Translation:
        """What must be told, as for any benchmark of ours."""
        return Translation(
            operation=self.what,
            differs="a primitive of this kernel alone",
            counts=self.counts,
            zeros=self.zeros,
            expect=self.literals,
        )

    @property
    def literals(self) -> Mapping[str, str]:
        """The stated values as the kernel prints them."""
        return {key: str(value) for key, value in self.expect.items()}

    @property
    def stem(self) -> str:
        """What the names of its metrics begin with."""
        return self.what

    @property
    def metric(self) -> Metric:
        """Named as the kernel's primitive."""
        return Metric(
            stem=self.stem,
            quantity=self.quantity,
            unit=self.unit,
            better=self.better,
            sample=lambda elapsed_ns, operations: elapsed_ns / operations,
        )

    def quick(self) -> Self:
        """The same: the kernel decides how often it measures."""
        return self

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        with target.start() as instance:
            reported = translation.reporting(instance).report(self.what, timeout_s=float(self.timeout))
        return translation.observed(reported, self.metric, self.row, self.literals)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        return translation.judged(observation, self.row, self.literals)
