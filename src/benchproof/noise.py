"""What else went on in the machine while we measured: evidence on every invocation, read from /proc and /sys."""

from __future__ import annotations

import os
import re
import resource
import time
from pathlib import Path

from benchproof.model import Frozen, Noise

_STEAL_FIELD = 7  # of the line `cpu` of /proc/stat
_CPU_FIELDS = 8  # guest time, behind them, is counted in user time already


class Snapshot(Frozen, frozen=True):
    """Counters of the kernel at one moment; two of them make a `Noise`."""

    monotonic_ns: int
    wall_ns: int
    cpu_ticks: tuple[int, ...] | None
    pressure_us: int | None
    context_switches: int | None
    involuntary_switches: int


def snapshot() -> Snapshot:
    """The counters now."""
    stat = _read("/proc/stat")
    ticks = re.match(r"cpu +([\d ]+)", stat)
    switches = re.search(r"^ctxt (\d+)", stat, re.MULTILINE)
    pressure = re.match(r"some .*total=(\d+)", _read("/proc/pressure/cpu"))
    return Snapshot(
        monotonic_ns=time.monotonic_ns(),
        wall_ns=time.time_ns(),
        cpu_ticks=tuple(map(int, ticks[1].split()[:_CPU_FIELDS])) if ticks else None,
        pressure_us=int(pressure[1]) if pressure else None,
        context_switches=int(switches[1]) if switches else None,
        involuntary_switches=resource.getrusage(resource.RUSAGE_CHILDREN).ru_nivcsw,
    )


def between(before: Snapshot, after: Snapshot) -> Noise:
    """What went on from one moment to the other."""
    elapsed_ns = max(1, after.monotonic_ns - before.monotonic_ns)
    return Noise(
        steal=_steal(before.cpu_ticks, after.cpu_ticks),
        pressure=None
        if before.pressure_us is None or after.pressure_us is None
        else (after.pressure_us - before.pressure_us) * 1000 / elapsed_ns,
        load=os.getloadavg()[0],
        context_switches=None
        if before.context_switches is None or after.context_switches is None
        else after.context_switches - before.context_switches,
        involuntary_switches=after.involuntary_switches - before.involuntary_switches,
        clock_source=_read("/sys/devices/system/clocksource/clocksource0/current_clocksource").strip() or None,
        cpu_mhz=_cpu_mhz(),
        clock_step_ns=(after.wall_ns - before.wall_ns) - (after.monotonic_ns - before.monotonic_ns),
    )


def _steal(before: tuple[int, ...] | None, after: tuple[int, ...] | None) -> float | None:
    """One tick more or less is the grain of the counter, not a theft: it is taken off."""
    if before is None or after is None or len(after) <= _STEAL_FIELD:
        return None
    passed = sum(after) - sum(before)
    return max(0, after[_STEAL_FIELD] - before[_STEAL_FIELD] - 1) / passed if passed > 0 else 0.0


def _cpu_mhz() -> float | None:
    scaling = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq").strip()
    if scaling.isdigit():
        return int(scaling) / 1000
    told = re.search(r"^cpu MHz\s*:\s*([\d.]+)", _read("/proc/cpuinfo"), re.MULTILINE)
    return float(told[1]) if told else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
