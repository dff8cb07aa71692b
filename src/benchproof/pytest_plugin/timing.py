"""Times a call, in a process that exists for nothing else: calibrated batches, warm-up apart, answers checked.

The clock is bound when this module is loaded, before a test can have it frozen by a library that replaces it. The last
answer of every batch is judged, outside of the timed region; the first wrong one ends it all.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof.benchmarks.python.reading import Order, Reading
from benchproof.pytest_plugin.calls import Called, Oracle

_COARSE = 100  # steps of the clock that a sample has to last
_MOST_CALLS = 1 << 30  # in a batch
_LOOKS = 200
_TOOLS = 6  # of sys.monitoring


class _Wrong(Exception):  # noqa: N818 - it ends the measuring, and is no error of ours
    """An answer that the oracle refuses."""


def measured(called: Called, oracle: Oracle, order: Order, item: pytest.Item) -> Any:
    """Measure, write the reading, and return the last answer; ends the test where there is no figure."""
    if reason := _watched():
        _tell(order, Reading(invalid=reason))
        raise pytest.fail.Exception(f"benchproof: no answer: {reason}")
    watch = _Stopwatch(called, oracle)
    try:
        reading = _series(watch, order)
    except _Wrong as wrong:
        _tell(order, Reading(evidence=watch.evidence() | {"wrong": str(wrong)}))
        pytest.fail(f"benchproof: {wrong}; a wrong answer has no figure")
    told = {"mechanism": f"calls by {item.nodeid}, whose source is {_source(item)}"}
    _tell(order, msgspec.structs.replace(reading, evidence=reading.evidence | told))
    if reading.invalid:
        pytest.fail(f"benchproof: no answer: {reading.invalid}")
    return watch.answer


def tell_unsupported(order: Order, reason: str, missing: str) -> None:
    """There is nothing to measure, and how there could be."""
    _tell(order, Reading(unsupported=reason, missing=missing))


def _tell(order: Order, reading: Reading) -> None:
    Path(order.path).write_bytes(msgspec.json.encode(reading))


class _Stopwatch:
    """Batches of one call, each judged."""

    def __init__(
        self,
        called: Called,
        oracle: Oracle,
        clock: Callable[[], int] = time.perf_counter_ns,
        beside: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._called = called
        self._oracle = oracle
        self.clock = clock
        self._beside = beside
        self._began = clock(), beside()
        self.operations = self.checked = self.failures = 0
        self.answer: Any = None

    def batch(self, iterations: int) -> int:
        """How long so many calls took, in ns. Raises _Wrong."""
        call, clock = self._called.prepared(), self.clock
        passes = itertools.repeat(None, iterations)
        began = clock()
        for _ in passes:
            answer = call()
        elapsed_ns = clock() - began
        self.answer = answer
        self.operations += iterations
        if wrong := self._oracle.wrong(answer):
            self.failures += 1
            raise _Wrong(wrong)
        self.checked += self._oracle.name != "none"
        return elapsed_ns

    @property
    def is_prepared(self) -> bool:
        """Whether each call has a setup, and so is timed alone."""
        return self._called.setup is not None

    def evidence(self) -> dict[str, str]:
        """What is known of all calls, those of the calibration too."""
        return {
            "operations": str(self.operations),
            "failures": str(self.failures),
            "checked": str(self.checked),
            "oracle": self._oracle.name,
            "wall_ns": str(self.clock() - self._began[0]),
            "monotonic_ns": str(self._beside() - self._began[1]),
            "garbage_collector": "on" if gc.isenabled() else "off",
        }


def _series(watch: _Stopwatch, order: Order) -> Reading:
    """Calibration, warm-ups within a quarter of the budget, samples within all of it; at least one of each."""
    step_ns = _step_ns(watch.clock)
    if step_ns < 1:
        return Reading(invalid="perf_counter_ns stands still: is time frozen by a library?")
    iterations = 1 if watch.is_prepared else _calibrated(watch, max(order.sample_ns, _COARSE * step_ns))
    warmups = _batches(watch, iterations, order.warmups, order.budget_ns // 4)
    samples = _batches(watch, iterations, order.samples, order.budget_ns)
    if min(samples) < _COARSE * step_ns:
        return Reading(
            invalid=f"{iterations} calls took {min(samples)} ns and the clock's step is {step_ns} ns; let one call do "
            "more, for with setup= each is timed alone"
        )
    return Reading(
        iterations=iterations,
        warmups_ns=warmups,
        samples_ns=samples,
        evidence=watch.evidence() | {"clock_step_ns": str(step_ns)},
    )


def _batches(watch: _Stopwatch, iterations: int, most: int, budget_ns: int) -> tuple[int, ...]:
    found: list[int] = []
    began = watch.clock()
    while len(found) < most and (not found or watch.clock() - began < budget_ns):
        found.append(watch.batch(iterations))
    return tuple(found)


def _calibrated(watch: _Stopwatch, sample_ns: int) -> int:
    """How many calls last a sample, by batches that grow tenfold at most. A first call that is slow does not count."""
    iterations = 1
    while iterations < _MOST_CALLS:
        elapsed_ns = watch.batch(iterations)
        if elapsed_ns >= sample_ns and (elapsed_ns := min(elapsed_ns, watch.batch(iterations))) >= sample_ns:
            break
        wanted = iterations * sample_ns // max(elapsed_ns, 1) + 1
        iterations = min(max(wanted, iterations * 2), iterations * 10, _MOST_CALLS)
    return iterations


def _step_ns(clock: Callable[[], int]) -> int:
    """The least time that the clock was seen to pass; 0 where it stands still."""
    steps = []
    for _ in range(_LOOKS):
        before = clock()
        steps += [after - before for after in [clock()] if after > before]
    return min(steps, default=0)


def _watched() -> str:
    """Who looks at every line or call of this process, and so makes them slower; empty where nobody does."""
    if sys.gettrace() or sys.getprofile():
        return "a tracer, such as a debugger or one for coverage, is active in the process"
    monitoring = getattr(sys, "monitoring", None)
    tools = [monitoring.get_tool(number) for number in range(_TOOLS)] if monitoring else []
    names = [str(name) for name in tools if name]
    return f"{', '.join(names)} watches the process by sys.monitoring" if names else ""


def _source(item: pytest.Item) -> str:
    """A hash of the test, so that two figures of two texts are told apart."""
    try:
        text = inspect.getsource(getattr(item, "obj", item))  # type: ignore[arg-type]
    except (OSError, TypeError):
        return "unknown"
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:12]}"
