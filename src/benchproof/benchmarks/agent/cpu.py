"""Benchmark `agent.cpu`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, NamedTuple, Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.agent import work
from benchproof.benchmarks.agent.asked import AUTHORITY, NONDETERMINISM, TIER, UNSUPPORTED, Asked
from benchproof.benchmarks.agent.crew import Crew, crew, died
from benchproof.errors import LabInvalid
from benchproof.footprint import cpu_ns
from benchproof.model import Definition, Measurement, Observation, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

_NAME = "agent.cpu"
_SLACK_NS = 20_000_000  # children that were awaited are counted in clock ticks
_FASTEST = 1_000.0
_MOST_LATE = 0.1  # of the time that all operations were to take


class _Window(NamedTuple):
    """CPU time and time that passed."""

    cpu_ns: int
    wall_ns: int


class Cpu(Asked, frozen=True):
    """How much CPU time do a service and its sandboxes need for an operation, on average and at worst?

    `rate`: operations a second, asked for at even intervals whatever the answers take, and one that is not reached has
    no figure; 0: each as soon as the one before has ended. `window`: over which a peak is taken.
    """

    definition = Definition(
        name=_NAME,
        tier=TIER,
        question="How much CPU time do a service and its sandboxes need for an operation, on average and at worst?",
        mechanism="CPU clocks of all processes (/proc, clock_gettime) before, within and after verified operations",
        without_posix="processor time charged to the server and its protection domains",
        oracle="each operation is verified; nobody that is looked at ended; no more CPU time than all CPUs have",
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    quantity: ClassVar[str] = "per_operation"

    samples: int = 100  # operations
    warmups: int = 10
    rate: float = 10.0
    window: Duration = Duration(0.25)
    sandboxes: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.rate <= _FASTEST:
            raise ValueError(f"rate: expected 0 to {_FASTEST:.0f} operations a second, found {self.rate:g}")
        if not (self.window >= 0.05 and 1 <= self.sandboxes <= 1_000):
            raise ValueError("expected a window of 50 ms or more and at least one sandbox")

    def quick(self) -> Self:
        """The same question with fewer operations."""
        return msgspec.structs.replace(self, samples=min(self.samples, 20), warmups=min(self.warmups, 4))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        with crew(target, self.command, timeout_s=float(self.timeout)) as working:
            for _ in range(self.sandboxes):
                working.add()
            for _ in range(self.warmups):
                working.operate()
            roots = working.roots()
            before_ns = cpu_ns(roots)
            with _watched(roots, float(self.window)) as windows:
                began_ns = time.monotonic_ns()
                late_ns = self._work(working, began_ns)
                wall_ns = time.monotonic_ns() - began_ns
            used_ns = cpu_ns(roots) - before_ns
            evidence = working.evidence()
        evidence |= {
            "cpu_ns": str(used_ns),
            "wall_ns": str(wall_ns),
            "cpus": str(os.cpu_count()),
            "windows": str(len(windows)),
            "windows_cpu_ns": str(sum(each.cpu_ns for each in windows)),
            "latest_start_ns": str(late_ns),
        }
        return Observation(measurements=tuple(self._measurements(used_ns, wall_ns, windows)), evidence=evidence)

    def _work(self, working: Crew, began_ns: int) -> int:
        """All operations; by how much the last of them was asked for too late, in ns. Raises LabInvalid.

        A rate that is not reached is no fault of the service alone: whoever else uses this machine slows it down, too.
        """
        late_ns = 0
        for number in range(self.samples):
            if self.rate:
                due_ns = began_ns + int(number * 1e9 / self.rate)
                late_ns = max(0, time.monotonic_ns() - due_ns)
                time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            working.operate()
        if self.rate and late_ns > self.samples / self.rate * 1e9 * _MOST_LATE:
            said = f"the last began {late_ns / 1e9:.2f} s too late; a lower `rate`, or a machine with less to do"
            raise LabInvalid(f"{self.rate:g} operations a second were not reached: {said}")
        return late_ns

    def _measurements(self, used_ns: int, wall_ns: int, windows: Sequence[_Window]) -> Iterator[Measurement]:
        yield _measurement("per_operation", "ns", [used_ns / self.samples], iterations=self.samples)
        yield _measurement("utilisation", "ratio", [used_ns / wall_ns], iterations=self.samples)
        if windows:
            yield _measurement("window", "ratio", [each.cpu_ns / each.wall_ns for each in windows])

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from work.verified(evidence, at_least=self.warmups + self.samples + self.sandboxes)
        yield from oracles.equals(evidence, "sandboxes", self.sandboxes)
        yield from died(evidence)
        yield from _plausible(evidence)


def _plausible(evidence: Evidence) -> Iterator[str]:
    """Some CPU time was used, no more than there was, and the windows have no more than the whole."""
    used, wall, cpus, windows = (
        oracles.number(evidence, name) for name in ("cpu_ns", "wall_ns", "cpus", "windows_cpu_ns")
    )
    if used < 1 or wall < 1:
        yield f"expected CPU time and time that passed, found {used} and {wall} ns"
    elif used > wall * cpus + _SLACK_NS:
        yield f"{used} ns of CPU time within {wall} ns on {cpus} CPUs: more than there is"
    if windows > used + _SLACK_NS:
        yield f"the windows have {windows} ns of CPU time, the whole only {used} ns"


@contextmanager
def _watched(roots: Sequence[int], window_s: float) -> Iterator[list[_Window]]:
    """Windows one after another until the context is left; a look that fails makes its window longer."""
    enough = threading.Event()
    windows: list[_Window] = []
    first = cpu_ns(roots), time.monotonic_ns()  # here, where nothing works yet and what it raises is heard

    def watch() -> None:
        last = first
        while not enough.wait(window_s):
            try:
                now = cpu_ns(roots), time.monotonic_ns()
            except LabInvalid:
                continue
            windows.append(_Window(max(0, now[0] - last[0]), now[1] - last[1]))
            last = now

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield windows
    finally:
        enough.set()
        thread.join()


def _measurement(quantity: str, unit: Unit, samples: Sequence[float], *, iterations: int = 1) -> Measurement:
    return Measurement(
        metric=f"{_NAME}.{quantity}",
        unit=unit,
        better="lower",
        clock="host",
        iterations=iterations,
        samples=tuple(samples),
    )
