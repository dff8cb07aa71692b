"""What this machine can measure, what it cannot and how to get it, and whether it is fit to measure now."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchproof import envelope, noise
from benchproof.errors import InvocationError, NotSupported, TargetFailed
from benchproof.guest import roots
from benchproof.model import Facts, Frozen, Instance, Lab, Reporting, Target
from benchproof.plan import FULL_BLOCKS, Plan
from benchproof.store import calibrations

_WATCH_S = 1.0
_STEAL_LIMIT = 0.02
_PRESSURE_LIMIT = 0.10
_FREE_BYTES = 2 << 30
_CLOCK_READS = 20_000
_ECHO = b"benchproof\x00\xff\n"


class Finding(Frozen, frozen=True):
    """One line of the examination. `level`: ok, warning (figures will be noisy or of another kind), missing, bad."""

    level: str
    what: str
    found: str
    remedy: str = ""


def examine(plan: Plan, lab: Lab, *, home: Path, probe: dict[str, str]) -> Iterator[Finding]:
    """First the machine, then each target of the plan, started for real, and whether its noise was measured.

    `home`: where calibrations are kept; `probe`: the facts of the probe, for which they hold.
    """
    yield from _noise_now()
    yield from _frequency()
    yield _clock()
    yield _room("memory", _available_memory(), "close what is not needed")
    yield _room("disk for the cache", shutil.disk_usage(_existing(lab.cache)).free, "make room, or set XDG_CACHE_HOME")
    level, found, remedy = roots.readiness(lab.cache)
    yield Finding(level=level, what='root = "debian"', found=found, remedy=remedy)
    for name in plan.targets:
        target = plan.make_target(name, lab)
        finding, facts = _target(name, target)
        yield finding
        if facts and name not in plan.exact:  # a count has no noise
            yield from _calibrated(name, facts, home, probe)


def _calibrated(name: str, facts: Facts, home: Path, probe: dict[str, str]) -> Iterator[Finding]:
    """Whether A/A floors are known that hold for a target with these facts."""
    here = envelope.capture(facts, probe)
    what, remedy = f"noise of '{name}'", f"benchproof calibrate --targets {name}"
    found = calibrations.find(home, {name: here}, blocks=FULL_BLOCKS)
    many = len({each.metric for each in found.floors})
    if found.notes or not many:
        yield Finding(level="warning", what=what, found="; ".join(found.notes) or "not calibrated", remedy=remedy)
        return
    most = max(found.floors, key=lambda each: each.floor)
    words = f"A/A floors of {many} metrics are known, the widest {most.floor:.1%} ({most.metric})"
    yield Finding(level="ok", what=what, found=words)


def _target(name: str, target: Target) -> tuple[Finding, Facts | None]:
    """Ask for the facts, then run one command and compare its bytes; one that speaks by itself has said them."""
    started_s = time.monotonic()
    facts = None
    try:
        facts = target.facts()
        with target.start() as instance:
            if not isinstance(instance, Reporting):
                started_s = time.monotonic()
                _echo(instance)
        elapsed_s = time.monotonic() - started_s
    except InvocationError as error:
        return _ailing(name, error), facts
    machine, system = facts["machine"], facts["system"]
    named = system.get("stated_system") or f"{system.get('os')} {system.get('kernel')}"
    found = f"{named}, {machine.get('execution')}, one invocation in {elapsed_s:.2f} s"
    if reason := machine.get("accel_reason"):
        remedy = "a host where KVM boots guests; until then its figures compare with emulated ones only"
        return Finding(level="warning", what=f"target '{name}'", found=f"{found}: {reason}", remedy=remedy), facts
    return Finding(level="ok", what=f"target '{name}'", found=found), facts


def _echo(instance: Instance) -> None:
    done = instance.run(instance.cat, stdin=_ECHO, timeout_s=60)
    if done.stdout != _ECHO:
        raise TargetFailed(f"a command returned {done.stdout!r} where {_ECHO!r} was expected")


def _ailing(name: str, error: InvocationError) -> Finding:
    if isinstance(error, NotSupported):
        return Finding(level="missing", what=f"target '{name}'", found=error.reason, remedy=error.missing)
    return Finding(level="bad", what=f"target '{name}'", found=str(error))


def _noise_now() -> Iterator[Finding]:
    before = noise.snapshot()
    time.sleep(_WATCH_S)
    now = noise.between(before, noise.snapshot())
    idle = "stop other work, or expect wide intervals"
    cpus = os.cpu_count() or 1
    yield _limit("load", now.load, cpus / 2, idle, "{:.2f}")
    yield _limit("CPU pressure", now.pressure, _PRESSURE_LIMIT, idle, "{:.1%}")
    yield _limit("steal time", now.steal, _STEAL_LIMIT, "a machine with less busy neighbours", "{:.1%}")


def _limit(what: str, value: float | None, limit: float, remedy: str, form: str) -> Finding:
    if value is None:
        return Finding(level="ok", what=what, found="this kernel does not tell")
    high = value > limit
    found = form.format(value) + (f", more than {form.format(limit)}" if high else "")
    return Finding(level="warning" if high else "ok", what=what, found=found, remedy=remedy if high else "")


def _frequency() -> Iterator[Finding]:
    facts = envelope.host()
    governor = facts.get("governor")
    if governor is None:
        yield Finding(level="ok", what="CPU frequency governor", found="not visible (a virtual machine?)")
    else:
        fine = governor == "performance"
        remedy = "" if fine else "cpupower frequency-set -g performance"
        yield Finding(level="ok" if fine else "warning", what="CPU frequency governor", found=governor, remedy=remedy)


def _clock() -> Finding:
    """The monotonic clock, read on each CPU in turn: it may stand, but never run backwards."""
    allowed = os.sched_getaffinity(0)
    last_ns, backwards = time.monotonic_ns(), 0
    try:
        for turn in range(_CLOCK_READS // 1000):
            os.sched_setaffinity(0, {sorted(allowed)[turn % len(allowed)]})
            for _ in range(1000):
                now_ns = time.monotonic_ns()
                backwards += now_ns < last_ns
                last_ns = now_ns
    finally:
        os.sched_setaffinity(0, allowed)
    found = f"{envelope.host().get('clock_source', 'unknown')}, {_CLOCK_READS} reads on {len(allowed)} CPUs"
    if backwards:
        return Finding(
            level="bad",
            what="clock",
            found=f"{found}: ran backwards {backwards} times",
            remedy="boot with another clocksource=",
        )
    return Finding(level="ok", what="clock", found=found)


def _room(what: str, free_bytes: int, remedy: str) -> Finding:
    short = free_bytes < _FREE_BYTES
    return Finding(
        level="warning" if short else "ok",
        what=what,
        found=f"{free_bytes / 2**30:.1f} GiB free",
        remedy=remedy if short else "",
    )


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
