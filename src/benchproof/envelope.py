"""All facts that could change a number, hashed by section, and whether two sets of them may be compared.

Sections and the facet that a comparison must declare before they may differ:

    host        the laboratory: hardware, kernel and settings of the machine that runs everything      machine
    machine     what the system under test runs on, as it sees it                                      machine
    system      the system under test: kernel, sandbox, versions, arguments                            system
    probe       source, compiler and bytes of the program that measures                                workload
    authority   what the workload may do                                                               authority

Two differences no declaration allows: native against emulated execution, and files that are kept in memory against
files on a disk where both say which. Such a number is context, not comparison.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

import msgspec

from benchproof import cloud
from benchproof.model import Envelope, Facet, Facts, Frozen

FACETS: tuple[Facet, ...] = get_args(Facet)
_FACET_OF: dict[str, Facet] = {
    "host": "machine",
    "machine": "machine",
    "system": "system",
    "probe": "workload",
    "authority": "authority",
}
_EMULATION, _STORAGE = "execution", "storage"
_NEVER = (_EMULATION, _STORAGE)
_EXPLANATION = "_reason"  # says why another fact is as it is, and changes no number itself
_LABEL = "_label"  # what every report has to say beside the target's name: a debug build, mitigations that are off
_SHOWN, _BEFORE = 60, 12  # characters of a value in a sentence, and of what comes before a difference
_MITIGATIONS_OFF = ("mitigations=off", "nopti", "nospectre_v1", "nospectre_v2", "mds=off")
_CHECKS_ON = ("slub_debug", "slab_debug", "debug_pagealloc=on", "page_poison=1", "kmemleak=on")
_SYS_CPU = Path("/sys/devices/system/cpu")
DECLARED_AUTHORITY = {"capabilities": "none", "no_new_privileges": "yes"}


class Difference(Frozen, frozen=True):
    """One fact that differs. `allowed`: the comparison declared its facet as what varies."""

    section: str
    fact: str
    base: str
    new: str
    allowed: bool

    def __str__(self) -> str:
        base, new = _told_apart(" ".join(self.base.split()), " ".join(self.new.split()))
        return f"{self.section}.{self.fact}: {base or 'absent'} against {new or 'absent'}"


def capture(target: Facts, probe: dict[str, str]) -> Envelope:
    """The envelope of one target on this host, now."""
    return Envelope(
        sections={
            "host": host(),
            "machine": dict(target["machine"]),
            "system": dict(target["system"]),
            "probe": probe,
            "authority": DECLARED_AUTHORITY | dict(target.get("authority", {})),
        }
    )


def fingerprint(envelope: Envelope) -> str:
    """The hash of the whole, from the hashes of the sections."""
    return _hash(section_hashes(envelope))


def section_hashes(envelope: Envelope) -> dict[str, str]:
    """One hash a section, so that a reader sees at a glance which one differs."""
    return {name: _hash(facts) for name, facts in envelope.sections.items()}


def labels(envelope: Envelope) -> tuple[str, ...]:
    """What a reader has to know of this target before any of its numbers; a fact `..._label` in any section."""
    facts = [pair for section in envelope.sections.values() for pair in section.items()]
    return tuple(dict.fromkeys(value for fact, value in facts if fact.endswith(_LABEL) and value))


def differences(base: Envelope, new: Envelope, *, vary: Iterable[Facet]) -> tuple[Difference, ...]:
    """Every fact that is not the same in both, those that forbid a comparison first."""
    allowed = set(vary)
    found = [
        Difference(
            section=section,
            fact=fact,
            base=before.get(fact, ""),
            new=after.get(fact, ""),
            allowed=_FACET_OF[section] in allowed and not _is_forbidden(fact, before, after),
        )
        for section in _FACET_OF
        for before, after in [(base.sections.get(section, {}), new.sections.get(section, {}))]
        for fact in sorted(before.keys() | after.keys())
        if before.get(fact) != after.get(fact) and not fact.endswith(_EXPLANATION)
    ]
    return tuple(sorted(found, key=lambda difference: (difference.allowed, difference.fact not in _NEVER)))


def remedy(base: Envelope, new: Envelope, *, vary: Iterable[Facet]) -> str:
    """What to declare so that the two may be compared, as a sentence; why nothing helps, where nothing does."""
    forbidden = [each for each in differences(base, new, vary=vary) if not each.allowed]
    never = [each.fact for each in differences(base, new, vary=FACETS) if not each.allowed]
    if _STORAGE in never:
        return (
            "no --vary allows files in memory against files on a disk: that ratio would be one of the disk; "
            "give both a root on a disk, or neither"
        )
    if never:
        return (
            "no --vary allows native against emulated execution: that ratio would be one of the emulator; "
            "run both natively, or both as guests under one accelerator"
        )
    if not forbidden:
        return ""
    needed = {*vary, *(_FACET_OF[each.section] for each in forbidden)}
    return f"to compare them all the same: --vary {','.join(facet for facet in FACETS if facet in needed)}"


def _told_apart(base: str, new: str) -> tuple[str, str]:
    """Both cut to what fits a line, from a little before they begin to differ."""
    alike = next((n for n, (one, other) in enumerate(zip(base, new, strict=False)) if one != other), len(base))
    start = alike - _BEFORE if max(len(base), len(new)) > _SHOWN and alike > _BEFORE else 0
    return _cut(base, start), _cut(new, start)


def _cut(text: str, start: int) -> str:
    shown = text[start : start + _SHOWN]
    return f"{'...' if start and shown else ''}{shown}{'...' if len(text) > start + _SHOWN else ''}"


def _is_forbidden(fact: str, before: dict[str, str], after: dict[str, str]) -> bool:
    if fact == _STORAGE:
        return bool(before.get(fact) and after.get(fact))
    return fact == _EMULATION and not {before.get(fact), after.get(fact)} <= {"native", "kvm"}


def _hash(content: object) -> str:
    return "sha256:" + hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def host() -> dict[str, str]:
    """The laboratory. No host name, no address: a bundle may be published."""
    facts = {
        "kernel": f"{platform.system()} {platform.release()} {platform.version()}",
        "architecture": platform.machine(),
        "cpu": _after("/proc/cpuinfo", "model name"),
        "microcode": _after("/proc/cpuinfo", "microcode"),
        "cpus": str(os.cpu_count()),
        "cpus_allowed": ",".join(map(str, sorted(os.sched_getaffinity(0)))),
        "cpu_siblings": _siblings(),
        "cpus_isolated": _text(_SYS_CPU / "isolated"),
        "cpus_without_tick": _text(_SYS_CPU / "nohz_full").replace("(null)", ""),
        "cpus_without_rcu": _kernel_argument("rcu_nocbs"),
        "cpuset_partition": _partition(),
        "smt": _text(_SYS_CPU / "smt" / "active"),
        "memory": _after("/proc/meminfo", "MemTotal"),
        "hypervisor": "yes" if " hypervisor" in _after("/proc/cpuinfo", "flags") else "no",
        "clock_source": _text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "governor": _text(_SYS_CPU / "cpu0" / "cpufreq" / "scaling_governor"),
        "turbo_off": _text(_SYS_CPU / "intel_pstate" / "no_turbo"),
        "huge_pages": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
        "address_randomisation": _text("/proc/sys/kernel/randomize_va_space"),
        "mitigations": _mitigations(),
        "seccomp_filters": _after("/proc/self/status", "Seccomp_filters"),
        "distribution": _after("/etc/os-release", "PRETTY_NAME").strip('"'),
        **cloud.facts(),
    }
    return {name: value for name, value in facts.items() if value} | {
        name: f"host: {label}" for name, label in kernel_labels(_text("/proc/cmdline"), _vulnerabilities()).items()
    }


def kernel_labels(command_line: str, vulnerabilities: Mapping[str, str]) -> dict[str, str]:
    """What a reader has to know of a kernel: protection that is off, checks that are on. As labels.c says it inside."""
    words, release = command_line.split(), platform.release()
    off = [word for word in words if word.startswith(_MITIGATIONS_OFF)]
    vulnerable = [name for name, state in sorted(vulnerabilities.items()) if state.startswith("Vulnerable")]
    debug = [word for word in words if word.startswith(_CHECKS_ON)]
    debug += ["lockdep"] if Path("/proc/lockdep_stats").exists() else []
    debug += [release] if "debug" in release else []
    exposed = f" (vulnerable: {', '.join(vulnerable)})" if vulnerable else ""
    found = {
        "mitigations_label": (", ".join(off) or "not mitigated") + exposed if off or vulnerable else "",
        "debug_label": f"debug kernel: {', '.join(debug)}" if debug else "",
    }
    return {name: label for name, label in found.items() if label}


def _siblings() -> str:
    """The physical cores, each as the CPUs that share it: `0,4 1,5`."""
    found = {_text(path) for path in _SYS_CPU.glob("cpu[0-9]*/topology/thread_siblings_list")} - {""}
    cores = sorted(sorted(_numbers(core)) for core in found)
    return " ".join(",".join(map(str, core)) for core in cores)


def _partition(root: Path = Path("/")) -> str:
    """`isolated` where a group of ours has CPUs that the kernel's scheduler leaves to it; empty for a usual one."""
    groups = (line.removeprefix("0::/") for line in _text(root / "proc/self/cgroup").splitlines() if line[:4] == "0::/")
    for own in (root / "sys/fs/cgroup" / group for group in groups):
        for folder in (own, *own.parents):
            if (kind := _text(folder / "cpuset.cpus.partition")) not in {"", "member"}:
                return kind
    return ""


def _numbers(text: str) -> Iterator[int]:
    """Of a list as the kernel writes it: `0-2,8`."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _kernel_argument(name: str) -> str:
    words = _text("/proc/cmdline").split()
    return next((word.partition("=")[2] for word in words if word.startswith(f"{name}=")), "")


def _mitigations() -> str:
    return "; ".join(f"{name}: {state}" for name, state in _vulnerabilities().items())


def _vulnerabilities() -> dict[str, str]:
    folder = _SYS_CPU / "vulnerabilities"
    return {path.name: _text(path) for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def _text(path: Path | str) -> str:
    """The content of a small file of the kernel; empty where this machine has none."""
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _after(path: str, key: str) -> str:
    """What stands behind the first `key` of a file with lines such as `key : value` or `key=value`."""
    for line in _text(path).splitlines():
        if line.startswith(key):
            return line[len(key) :].lstrip("\t :=")
    return ""
