"""Benchmark `python.call`: the plug-in for pytest times, this module asks for it and judges.

Every invocation is a pytest of its own that runs one test, so that hash seed, addresses and what other tests left
behind are drawn anew each time. A test that fails, for whatever reason, has no figure.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import PurePosixPath
from typing import ClassVar, Protocol, Self, runtime_checkable

import msgspec

from benchproof import oracles
from benchproof.benchmarks.python.reading import NAME, OPTION, Order, Reading
from benchproof.errors import LabInvalid, NotSupported, TargetFailed
from benchproof.model import Better, Completed, Definition, Frozen, Measurement, Observation, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

PLUGIN = "benchproof.pytest_plugin"
UNCHECKED = "a test without check= or expect="
_COVERAGE = "pytest_cov"  # it would trace what is timed
_CLOCK_TOLERANCE = 0.02
_CLOCK_SLACK_NS = 2_000_000
_SHOWN = 300


@runtime_checkable
class Interpreter(Protocol):
    """A started target that starts Python in the folder of the tests."""

    options: tuple[str, ...]
    workspace: str

    def python(self, words: Sequence[str], *, timeout_s: float) -> Completed:
        """The interpreter, to its end."""

    def get(self, path: str) -> bytes:
        """The content of a file in the workspace."""


class Call(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What does a call cost that a test of pytest makes?

    `test` is the test's node id without its parameters, `case` their id, `label` tells calls of one test apart.
    """

    definition: ClassVar = Definition(
        name="python.call",
        tier=3,
        question="What does a call cost that a test of pytest makes?",
        mechanism="calls of a Python object in a loop, by perf_counter_ns, in a pytest of its own",
        without_posix="not applicable: there is no Python",
        oracle="the test's own check= or expect= on the last answer of every batch; the test passes; two clocks agree",
        nondeterminism="whatever the test's check lets pass",
        when_unsupported="a target without pytest, a coroutine",
    )
    quantity: ClassVar[str] = "latency"
    unit: ClassVar[Unit] = "ns"
    better: ClassVar[Better] = "lower"

    test: str
    case: str = ""
    label: str = ""
    samples: int = 40
    warmups: int = 10
    sample_time: Duration = Duration(0.005)
    budget: Duration = Duration(2)  # samples end here even if they are fewer
    timeout: Duration = Duration(600)

    def __post_init__(self) -> None:
        if self.test.startswith("-") or "::" not in self.test:
            raise ValueError(f"test: expected a node id such as 'tests/test_it.py::test_that', found '{self.test}'")
        if not (1 <= self.samples <= 10_000 and 0 <= self.warmups <= 10_000):
            raise ValueError(
                f"expected 1 to 10000 samples, at most 10000 warm-ups, found {self.samples}, {self.warmups}"
            )
        if not (0 < self.sample_time <= 60 and 0 < self.budget <= 3600 and self.timeout > 0):
            raise ValueError("expected sample_time up to 60 s, budget up to 1 h and a timeout, none of them zero")

    @property
    def node(self) -> str:
        """As pytest takes it."""
        return f"{self.test}[{self.case}]" if self.case else self.test

    @property
    def stem(self) -> str:
        """What the names of its metrics begin with: module, class and function."""
        path, _, rest = self.test.partition("::")
        parts = (PurePosixPath(path).stem, *rest.split("::"), *([self.label] if self.label else []))
        return ".".join(parts)

    def quick(self) -> Self:
        """The same question in about 100 ms of measuring."""
        return msgspec.structs.replace(self, samples=20, warmups=5, sample_time=Duration(0.002), budget=Duration(0.2))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        with target.start() as instance:
            if not isinstance(instance, Interpreter):
                raise NotSupported(
                    "not_applicable: no pytest of ours runs in it",
                    missing='a target of kind = "python", for this suite',
                )
            path = f"{instance.workspace}/{NAME}"
            done = instance.python(self.words(path, instance), timeout_s=float(self.timeout))
            return self.observe(done, self._read(done, instance, path))

    def words(self, path: str, instance: Interpreter) -> list[str]:
        """The arguments of the interpreter."""
        order = Order(
            path=path,
            label=self.label,
            samples=self.samples,
            warmups=self.warmups,
            sample_ns=round(self.sample_time * 1e9),
            budget_ns=round(self.budget * 1e9),
        )
        covers = importlib.util.find_spec(_COVERAGE) and not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
        known = entry_points(group="pytest11", name="benchproof")
        plugin = ["-p", "benchproof" if known else PLUGIN]
        ours = [
            *(["--no-cov"] if covers else []),
            "-q",
            "--no-header",
            "--tb=short",
            "--rootdir=.",
            "-o",
            f"cache_dir={instance.workspace}/cache",
        ]
        asked = [f"{OPTION}={msgspec.json.encode(order).decode()}", self.node]
        return ["-m", "pytest", *plugin, *instance.options, *ours, *asked]

    def _read(self, done: Completed, instance: Interpreter, path: str) -> Reading:
        try:
            return msgspec.json.decode(instance.get(path), type=Reading)
        except TargetFailed as error:
            raise TargetFailed(f"pytest ended without a reading: {_last_words(done)}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TargetFailed(f"the reading of the test is damaged: {error}") from error

    def observe(self, done: Completed, reading: Reading) -> Observation:
        """What the process said, and how it ended. Raises NotSupported, LabInvalid where it could not measure."""
        if reading.unsupported:
            raise NotSupported(reading.unsupported, missing=reading.missing)
        if reading.invalid:
            raise LabInvalid(reading.invalid)
        evidence = reading.evidence | {"exit_status": str(done.exit_status), "host_ns": str(done.elapsed_ns)}
        if done.exit_status:
            evidence["last_words"] = _last_words(done)
        sampled = (*reading.warmups_ns, *reading.samples_ns)
        evidence |= {"sampled_ns": str(sum(sampled)), "shortest_sample_ns": str(min(reading.samples_ns, default=0))}
        return Observation(
            measurements=self._measurements(reading),
            evidence=evidence,
            unverified=UNCHECKED if evidence.get("oracle") == "none" else "",
        )

    def _measurements(self, reading: Reading) -> tuple[Measurement, ...]:
        if reading.iterations < 1 or min(reading.samples_ns, default=0) < 1:
            return ()
        found = Measurement(
            metric=f"{self.stem}.{self.quantity}",
            unit=self.unit,
            better=self.better,
            clock="target",
            iterations=reading.iterations,
            warmups=tuple(each / reading.iterations for each in reading.warmups_ns),
            samples=tuple(each / reading.iterations for each in reading.samples_ns),
        )
        return (found,)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        if wrong := evidence.get("wrong"):
            yield wrong
            return
        if evidence.get("exit_status") != "0":
            words = evidence.get("last_words", "nothing said")
            yield f"the test did not pass: pytest ended with {evidence.get('exit_status', 'nothing')}: {words}"
            return
        yield from oracles.no_failures(evidence)
        yield from oracles.samples_took_time(evidence)
        yield from _clocks_agree(evidence)
        yield from oracles.one_of(evidence, "oracle", "check", "expect", "check and expect", "none")
        looked_at = sum(len(each.samples) + len(each.warmups) for each in observation.measurements)
        if evidence.get("oracle") != "none" and oracles.number(evidence, "checked") < max(1, looked_at):
            yield f"{evidence.get('checked', 'no')} answers were checked, of {looked_at} batches that were timed"


def _clocks_agree(evidence: Evidence) -> Iterator[str]:
    """Two clocks of the process saw the same time pass, and no more of it than the host."""
    inside, beside, outside = (oracles.number(evidence, name) for name in ("wall_ns", "monotonic_ns", "host_ns"))
    if min(inside, beside, outside) < 1:
        yield f"a clock stood still: {inside}, {beside} ns in the process, {outside} ns on the host"
    elif abs(inside - beside) > beside * _CLOCK_TOLERANCE + _CLOCK_SLACK_NS:
        yield f"two clocks of the process disagree: {inside} and {beside} ns; is time frozen by a library?"
    elif inside > outside * (1 + _CLOCK_TOLERANCE) + _CLOCK_SLACK_NS:
        yield f"the process's clock runs ahead: it counted {inside} ns within {outside} ns of the host"


def _last_words(done: Completed) -> str:
    """What pytest says of a failure, in a line."""
    said = (done.stdout or done.stderr).decode(errors="replace").strip().splitlines()
    told = [line for line in said if line.startswith(("FAILED ", "ERROR ", "E  "))] or said
    how = f"exit status {done.exit_status}"
    return f"{how}: {told[-1].strip()[:_SHOWN]}" if told else f"{how}, and it said nothing"
