"""What the in-guest categories share: the probe is run inside, in a folder of the target, and leaves its evidence.

Their time is the target's own. What they prepare and check outside of the timed calls is longer than these, so that the
clocks are held against each other over the whole of it (`whole_ns`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from benchproof import authority, oracles, probe
from benchproof.analysis import stats
from benchproof.errors import NotSupported
from benchproof.model import Authority, Better, Instance, Measurement, Observation, Reporting, Unit
from benchproof.oracles import Evidence

TIER = 3
NONDETERMINISM = "the random content, which is another in every invocation"
_MARK = "benchproof-workspace"


def refuse_without_programs(instance: Any) -> None:
    """Raises NotSupported for a system in which nothing can be run, and where a clock counts instructions."""
    if isinstance(instance, Reporting):
        raise NotSupported("not_applicable: nothing can be run in a system that measures itself")
    if instance.clock == "instructions":
        raise NotSupported("not_applicable: a device has no instructions to count", missing="exact = false")


def workspace(instance: Instance) -> str:
    """The folder inside to which files are copied: on its disk, where it has one."""
    with tempfile.NamedTemporaryFile() as empty:
        return str(PurePosixPath(instance.put(Path(empty.name), _MARK)).parent)


def measured(
    instance: Instance, name: str, words: Mapping[str, object], *, behind: tuple[str, ...] = (), timeout_s: float
) -> probe.Reading:
    """One run of the probe: one sample, nothing calibrated, no authority. Raises InvocationError.

    `words`: options and their values; `behind`: words that are no option of ours.
    """
    common = {"--samples": 1, "--warmups": 0, "--budget-ns": round(timeout_s * 1e9)}
    options = [str(word) for pair in (common | dict(words)).items() for word in pair]
    argv = ["bench", name, *authority.options(Authority()), *options, *behind]
    done = instance.run([instance.probe, *argv], timeout_s=timeout_s)
    reading = probe.read(done, name)
    evidence = reading.evidence | {
        "sampled_ns": str(sum(reading.samples_ns)),
        "shortest_sample_ns": str(min(reading.samples_ns, default=0)),
        "host_ns": str(done.elapsed_ns),
        "command": " ".join(argv),
    }
    authority.check(evidence, Authority())
    oracles.refuse_starved(whole(evidence))
    return probe.Reading(
        iterations=reading.iterations,
        warmups_ns=reading.warmups_ns,
        samples_ns=reading.samples_ns,
        evidence=evidence,
    )


def whole(evidence: Evidence) -> dict[str, str]:
    """The evidence with the time of everything in place of that of the timed calls."""
    return {**evidence, "wall_ns": evidence.get("whole_ns", "")}


def common(evidence: Evidence) -> Iterator[str]:
    """The violations of what all have in common."""
    yield from oracles.no_failures(evidence)
    yield from oracles.clocks_agree(whole(evidence))
    yield from oracles.samples_took_time(evidence)


def laid_on(evidence: Evidence) -> str:
    """The file system and its device in words: ext4 on /dev/vda, disk-backed."""
    kind, device, storage = (evidence.get(name, "unknown") for name in ("filesystem", "device", "storage"))
    backed = "backing unknown" if storage == "unknown" else f"{storage}-backed"
    return f"{kind} on {device}, {backed}"


def words_of(latencies: str) -> tuple[float, ...]:
    """A list of nanoseconds as the probe prints it."""
    return tuple(float(word) for word in latencies.split() if word.isascii() and word.isdigit())


def figure(
    metric: str, unit: Unit, samples: tuple[float, ...], *, better: Better = "higher", iterations: int = 1
) -> Measurement:
    """One metric on the target's clock."""
    return Measurement(metric=metric, unit=unit, better=better, clock="target", iterations=iterations, samples=samples)


def latency(stem: str, latencies: tuple[float, ...]) -> Iterator[Measurement]:
    """The time of every call, and those quantiles of this invocation that so many support."""
    yield figure(f"{stem}latency", "ns", latencies, better="lower")
    for name in ("p95", "p99"):
        if len(latencies) >= stats.LEAST_OF[name]:
            yield figure(f"{stem}latency_{name}", "ns", (stats.quantile(latencies, name),), better="lower")


def calls_add_up(observation: Observation) -> Iterator[str]:
    """The time of every call is there, and together with the last fsync they are the time that is told."""
    evidence = observation.evidence
    found = [each for each in observation.measurements if each.metric.endswith("latency")]
    if len(found) != 1 or str(len(found[0].samples)) != evidence.get("latencies"):
        yield f"expected the time of each of {evidence.get('latencies')} calls, found {len(found)} such metrics"
        return
    parts = sum(found[0].samples) + oracles.number({"sync_ns": "0", **evidence}, "sync_ns")
    elapsed = oracles.number(evidence, "sampled_ns")
    if parts > elapsed or (evidence.get("compared") != "in the clock" and parts != elapsed):
        yield f"the calls took {parts:.0f} ns together, the whole is said to have taken {elapsed} ns"
