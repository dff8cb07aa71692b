"""Why does an operation cost what it costs, and why do two systems differ? By function, in exact instructions.

A benchmark is counted as in exact mode, and its oracle asked. Then the very same run is done once more while one of its
batches is traced instruction by instruction: one whose count is the figure, so the functions add up to it. Up to that
batch both runs must have the same counts, and the oracle judges the second one too.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchproof import probe
from benchproof.analysis import profile
from benchproof.analysis.profile import DEVIATION_LIMIT, Explanation, Profile
from benchproof.benchmarks.primitive.probed import Probed
from benchproof.errors import LabInvalid, NotSupported, TargetFailed
from benchproof.guest import symbols
from benchproof.guest.trace import LINES_LIMIT, Batch, trace
from benchproof.model import Completed, Observation
from benchproof.targets.qemu import Qemu

MARKER = "batch_clock"  # the probe's function that is called where a batch begins and where it ends
_WAIT = "spin_until"  # where the agent waits before it starts the command: millions of instructions that are no news
_NEAR = 0.001  # where no two batches agree, the first that is so near to the shortest stands for it


def explain(
    benchmark: Probed, targets: Mapping[str, Qemu], *, timeout_s: float, lines_limit: int = LINES_LIMIT
) -> Explanation:
    """Profile a benchmark on one exact target, or on two side by side; `timeout_s` is for each trace.

    Raises InvocationError: TargetFailed with the oracle's words where an answer is wrong.
    """
    stopped = threading.Event()
    one = partial(_profile, benchmark, timeout_s=timeout_s, lines_limit=lines_limit, stopped=stopped)
    with ThreadPoolExecutor(len(targets)) as pool:
        try:
            profiles = tuple(pool.map(one, targets, targets.values()))
        except BaseException:
            stopped.set()  # the other one ends too, and so does its guest
            raise
    return Explanation(
        benchmark=benchmark.definition.name,
        profiles=profiles,
        changes=profile.changes(*profiles) if len(profiles) == 2 else (),
        notes=tuple(note for each in profiles for note in notes_on(each)),
    )


def _profile(
    benchmark: Probed, name: str, target: Qemu, *, timeout_s: float, lines_limit: int, stopped: threading.Event
) -> Profile:
    try:
        counter = target.counter()
    except NotSupported as error:
        raise NotSupported(f"'{name}': {error.reason}", missing=error.missing) from error
    argv = [target.machine.probe, *benchmark.exact_arguments()]
    counted = counter.run(argv, timeout_s=float(benchmark.timeout))
    observation = benchmark.count(counted)
    _refuse_wrong(benchmark, observation, name)
    batch = _batch_to_trace(benchmark, counted, observation)

    program = (target.foreign_probe.path if target.foreign_probe else target.lab.probe).read_bytes()
    user = symbols.of_elf(program)
    marker = user.start(MARKER)
    if marker is None:
        raise NotSupported("the probe was built without symbols", missing="a compiler that is not told to strip (-s)")
    seen = trace(
        counter,
        argv,
        Batch(marker, 2 * batch),
        timeout_s=timeout_s,
        stopped=stopped,
        lines_limit=lines_limit,
        left_out=user.span(_WAIT),
    )
    _refuse_wrong(benchmark, benchmark.count(seen.completed), name)
    if _batches(benchmark, seen.completed)[: batch + 1] != _batches(benchmark, counted)[: batch + 1]:
        raise LabInvalid(f"'{name}': the run that was traced is not the one that was counted, their batches differ")

    kernel = symbols.of_kernel(counter, target.machine, seen.counts)
    functions = profile.by_function(seen.counts, partial(symbols.name_of, user=user, kernel=kernel))
    (measurement,) = observation.measurements
    operations = measurement.iterations
    return Profile(
        target=name,
        system=target.kernel.facts.get("kernel_package") or str(target.settings.kernel),
        operations=operations,
        batch=batch,
        rows=profile.rows(functions, operations),
        total=sum(functions.values()) / operations,
        figure=measurement.samples[0],
        statistic=observation.evidence["statistic"],
    )


def _refuse_wrong(benchmark: Probed, observation: Observation, name: str) -> None:
    if violations := list(benchmark.verify(observation)):
        raise TargetFailed(f"'{name}' gave a wrong answer, which explains nothing: {'; '.join(violations)}")


def _batch_to_trace(benchmark: Probed, counted: Completed, observation: Observation) -> int:
    """The number of the first batch, warm-ups included, that is as long as the figure says."""
    (measurement,) = observation.measurements
    figure = round(measurement.samples[0] * measurement.iterations)
    tolerance = 0.0 if observation.evidence["statistic"] == "mode" else figure * _NEAR
    batches = enumerate(_batches(benchmark, counted))
    return next(number for number, batch in batches if abs(batch - figure) <= tolerance)


def _batches(benchmark: Probed, completed: Completed) -> tuple[int, ...]:
    """Instructions of each batch, warm-ups first."""
    reading = probe.read(completed, benchmark.operation or benchmark.definition.name)
    return (*reading.warmups_ns, *reading.samples_ns)


def notes_on(found: Profile) -> list[str]:
    """What the reader of a profile has to know."""
    notes = []
    if found.statistic == "minimum":
        notes.append(f"{found.target}: batches differ (a timer tick, a cache); one of the shortest is shown")
    if abs(found.deviation) > DEVIATION_LIMIT:
        notes.append(
            f"{found.target}: the sum is {found.deviation:+.2%} off exact mode's figure, which counts only part of "
            "what happens between two readings of the clock"
        )
    return notes
