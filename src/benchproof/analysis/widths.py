"""From the results of a run to its scaling table: which rows are one workload at several widths.

Two things make widths: the parameter `width` of a benchmark, and targets that differ in their vCPUs alone (there, a
benchmark with the parameter is taken at width = vCPUs, and one of the subject `scaling` that has none as it is).
Evidence `answer` is compared over the widths, evidence `partition` says how the work was split. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from benchproof.analysis import invocations, scaling, stats
from benchproof.analysis.invocations import Question
from benchproof.analysis.scaling import Cpus, Point, ScalingRow, Series
from benchproof.model import Frozen, Measurement, Passed, Result

PARAMETER = "width"
SUBJECT = "scaling."

Case = tuple[str, str, Mapping[str, object], int]  # target, benchmark, parameters, tier
_ByTarget = Mapping[str, Sequence[Result]]


class System(Frozen, frozen=True, kw_only=True):
    """One target, or the targets that differ in their vCPUs alone."""

    name: str
    targets: dict[int, str]  # vCPUs -> target; of a single target that has none of its own: 0
    cpus: Cpus = Cpus()
    comparison: bool = False
    virtual_host: bool = False
    nested: bool = False


class _Workload(Frozen, frozen=True):
    """A benchmark with its parameters but the width, and what was seen of it at each width."""

    benchmark: str
    parameters: dict[str, object]
    by_width: dict[int, _ByTarget]  # width 0: it has no such parameter


def cpus(host: Mapping[str, str], machine: Mapping[str, str], vcpus: int = 0) -> Cpus:
    """The CPU set of a target from its envelope: that of the machine where it has one, else that of the host."""
    allowed = machine.get("cpu_set") or host.get("cpus_allowed", "")
    numbers = [int(each) for each in allowed.split(",") if each.isdecimal()]
    if not numbers or len(numbers) != len(allowed.split(",")):
        return Cpus(allowed=allowed)
    cores = [set(core.split(",")) for core in host.get("cpu_siblings", "").split()]
    used = sum(not core.isdisjoint(map(str, numbers)) for core in cores) if cores else None
    many = host.get("cpus", "")
    return Cpus(
        allowed=allowed,
        count=min(len(numbers), vcpus or len(numbers)),
        cores=None if used is None else min(used, vcpus or used),
        pinned=True if machine.get("cpu_set") else len(numbers) < int(many) if many.isdecimal() else None,
        isolated=bool(isolation := _isolation(host, numbers)),
        isolation=isolation,
    )


def _isolation(host: Mapping[str, str], numbers: Sequence[int]) -> str:
    """By what all of these CPUs are kept free of others; empty where they are not."""
    partition = host.get("cpuset_partition") == "isolated"
    if not partition and not set(numbers) <= set(_isolated(host.get("cpus_isolated", ""))):
        return ""
    said = {"isolcpus": "cpus_isolated", "nohz_full": "cpus_without_tick", "rcu_nocbs": "cpus_without_rcu"}
    words = [f"{word} {host[fact]}" for word, fact in said.items() if host.get(fact)]
    return ", ".join([*words, *(["an isolated cpuset"] if partition else [])])


def _isolated(text: str) -> Iterator[int]:
    """The numbers of a list such as `1-3,7`, as the kernel writes it."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            yield from range(int(first), int(last if last.isdecimal() else first) + 1)


def rows(cases: Iterable[Case], results: Sequence[Result], systems: Sequence[System]) -> tuple[ScalingRow, ...]:
    """The table of a run, a line for each system and workload; empty where nothing was asked at several widths."""
    workloads = _workloads(cases, invocations.last_tries(results))
    names = _names(workloads)
    found = []
    for name, workload in zip(names, workloads, strict=True):
        for system in systems:
            seen = _seen(workload, system)
            if len(seen) > 1 and not _is_a_part(system, systems, seen):
                whose = {"benchmark": workload.benchmark, "targets": tuple(system.targets.values())}
                found += [msgspec.structs.replace(line, **whose) for line in _lines(name, system, seen)]
    return tuple(found)


def _is_a_part(system: System, systems: Sequence[System], seen: Mapping[int, Sequence[Result]]) -> bool:
    """Whether this target can do one width alone, and stands in a line with others that differ in their vCPUs."""
    able = [width for width, results in seen.items() if invocations.status(results) != "unsupported"]
    own = set(system.targets.values())
    return len(able) < 2 and any(own < set(other.targets.values()) for other in systems)


def _workloads(cases: Iterable[Case], last: Mapping[Question, _ByTarget]) -> list[_Workload]:
    found: dict[Question, _Workload] = {}
    for _, benchmark, parameters, _ in cases:
        width = parameters.get(PARAMETER, 0)
        if not isinstance(width, int) or isinstance(width, bool) or not (width or benchmark.startswith(SUBJECT)):
            continue
        others = {key: value for key, value in parameters.items() if key != PARAMETER}
        workload = found.setdefault(invocations.question(benchmark, others), _Workload(benchmark, others, {}))
        workload.by_width[width] = last.get(invocations.question(benchmark, parameters), {})
    return list(found.values())


def _names(workloads: Sequence[_Workload]) -> list[str]:
    """The benchmark's name, with the parameters in which workloads of that name differ."""
    names = []
    for each in workloads:
        alike = [other for other in workloads if other.benchmark == each.benchmark]
        differing = [
            f"{key}={value}"
            for key, value in each.parameters.items()
            if any(other.parameters.get(key) != value for other in alike)
        ]
        names.append(" ".join([each.benchmark, *differing]))
    return names


def _seen(workload: _Workload, system: System) -> dict[int, Sequence[Result]]:
    """Its results by width: of one target by the parameter, of several by their vCPUs."""
    if len(system.targets) == 1:
        (target,) = system.targets.values()
        return {width: by_target[target] for width, by_target in workload.by_width.items() if target in by_target}
    found = {}
    for vcpus, target in system.targets.items():
        by_target = workload.by_width.get(vcpus, workload.by_width.get(0, {}))
        if target in by_target:
            found[vcpus] = by_target[target]
    return found


def _lines(name: str, system: System, seen: Mapping[int, Sequence[Result]]) -> list[ScalingRow]:
    """One for each metric that is a wall time; one that says why there is none where no metric is."""
    metrics = _metrics(seen)
    timed = [each for each in metrics if scaling.is_wall_time(each.metric, each.unit, each.clock)]
    if not timed:
        return [_refused(name, system, metrics, seen)]
    found = []
    for metric in timed:
        series = _series(name if len(timed) == 1 else metric.metric, system, metric, seen)
        try:
            found.append(scaling.row(series))
        except ValueError as error:
            found.append(_without_figures(name, system, metric, seen, f"no claim: {error}"))
    return found


def _metrics(seen: Mapping[int, Sequence[Result]]) -> list[Measurement]:
    """One measurement for each metric that is a time, or a count of cycles."""
    found = {
        measurement.metric: measurement
        for results in seen.values()
        for result in results
        if isinstance(result.outcome, Passed)
        for measurement in result.outcome.measurements
        if measurement.unit in {"ns", "cycles"} and measurement.better == "lower"
    }
    return list(found.values())


def _refused(
    name: str, system: System, metrics: Sequence[Measurement], seen: Mapping[int, Sequence[Result]]
) -> ScalingRow:
    if metrics:
        words = ", ".join(each.metric for each in metrics)
        return _without_figures(
            name, system, metrics[0], seen, f"no claim: {words}: expected wall time, found CPU time"
        )
    words = "; ".join(f"{PARAMETER} {width} {invocations.status(results)}" for width, results in sorted(seen.items()))
    failed = any(invocations.status(results) == "failed" for results in seen.values())
    return _without_figures(name, system, None, seen, f"{'failed' if failed else 'no claim'}: {words}")


def _without_figures(
    name: str, system: System, metric: Measurement | None, seen: Mapping[int, Sequence[Result]], status: str
) -> ScalingRow:
    steps = tuple(
        scaling.Step(width=width, label=f"smp{width}", status=invocations.status(results), n=0, median=None)
        for width, results in sorted(seen.items())
    )
    return ScalingRow(
        system=system.name,
        workload=name,
        metric=metric.metric if metric else "",
        unit=metric.unit if metric else "",
        steps=steps,
        status=status,
        cpu_set=scaling.cpu_set(system.cpus),
    )


def _series(name: str, system: System, metric: Measurement, seen: Mapping[int, Sequence[Result]]) -> Series:
    return Series(
        system=system.name,
        workload=name,
        metric=metric.metric,
        unit=metric.unit,
        clock=metric.clock,
        points=tuple(_point(width, results, metric.metric) for width, results in sorted(seen.items())),
        cpus=system.cpus,
        comparison=system.comparison,
        virtual_host=system.virtual_host,
        nested=system.nested,
    )


def _point(width: int, results: Sequence[Result], metric: str) -> Point:
    status = invocations.status(results)
    times = invocations.values(results, metric) if status == "passed" else {}
    passed = [result.evidence for result in results if isinstance(result.outcome, Passed)]
    return Point(
        width=width,
        median=stats.median(list(times.values())) if times else None,
        times=times,
        status=status if times or status != "passed" else "missing",
        answers=tuple(sorted({evidence["answer"] for evidence in passed if "answer" in evidence})),
        partition=" and ".join(sorted({evidence["partition"] for evidence in passed if "partition" in evidence})),
    )


def systems(
    targets: Mapping[str, tuple[str, object]],
    envelopes: Mapping[str, Mapping[str, Mapping[str, str]]],
    compared_with: Iterable[str],
) -> list[System]:
    """Each target alone (name -> kind, settings), then those that differ in `vcpus` alone. `envelopes` by target."""
    comparisons = set(compared_with)
    alike: dict[tuple[str, bytes], dict[int, str]] = {}
    found = []
    for name, (kind, settings) in targets.items():
        plain, vcpus = _without_vcpus(settings)
        if vcpus:
            alike.setdefault((kind, msgspec.json.encode(plain, order="sorted")), {})[vcpus] = name
        found.append(_system(name, {vcpus: name}, envelopes, comparisons))
    groups = [group for group in alike.values() if len(group) > 1]
    return found + [_system(_group_name(group), group, envelopes, comparisons) for group in groups]


def _group_name(group: Mapping[int, str]) -> str:
    """That of the matrix, where the targets are of one."""
    names = {target.replace(f"/vcpus={vcpus}", "") for vcpus, target in group.items()}
    return names.pop() if len(names) == 1 else ", ".join(group.values())


def _without_vcpus(settings: object) -> tuple[object, int]:
    """The settings of a target as plain values, and apart from them its vCPUs; 0 where it has none, as a plug-in may.

    The host's CPUs that it is pinned to are left out too: a guest with more vCPUs may be given more of them.
    """
    plain = msgspec.to_builtins(settings, enc_hook=str)
    vcpus = plain.pop("vcpus", 0) if isinstance(plain, dict) else 0
    if isinstance(plain, dict):
        plain.pop("cpus", None)
    return plain, vcpus if isinstance(vcpus, int) and vcpus > 0 else 0


def _system(
    name: str,
    targets: dict[int, str],
    envelopes: Mapping[str, Mapping[str, Mapping[str, str]]],
    comparisons: set[str],
) -> System:
    known = [each for _, each in sorted(targets.items(), reverse=True) if each in envelopes]
    sections = envelopes[known[0]] if known else {}  # of the widest: the others need no more CPUs
    host, machine = sections.get("host", {}), sections.get("machine", {})
    vcpus = max(targets)
    return System(
        name=name,
        targets=targets,
        cpus=cpus(host, machine, vcpus),
        comparison=not comparisons.isdisjoint(targets.values()),
        virtual_host=host.get("hypervisor") == "yes",
        nested=machine.get("execution") in {"kvm", "tcg"},
    )
