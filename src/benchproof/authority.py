"""What a benchmark may do: as words for the probe, and as a judgement on what the probe says that it really had.

More than was declared is the laboratory's fault, and no number comes of it; less is nobody's. A network that a target
has is no authority of the benchmark: it belongs to the envelope, as does a filter that the target puts on everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchproof.errors import LabInvalid, NotSupported, UsageError
from benchproof.model import Authority
from benchproof.plugins import nearest

_CAPABILITIES = [  # in the order of their numbers
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
]
_SETS = ("capabilities", "inheritable", "ambient", "bounding")
_WAY = "run benchproof as root, or on a target whose commands have it"


def mask(capabilities: tuple[str, ...]) -> int:
    """The set as the kernel keeps it. Raises UsageError for a name that it does not have."""
    for name in capabilities:
        if name not in _CAPABILITIES:
            raise UsageError(f"unknown capability '{name}'; {nearest(name, _CAPABILITIES)}")
    return sum(1 << _CAPABILITIES.index(name) for name in set(capabilities))


def names(held: int) -> str:
    """A set in words."""
    known = [name for number, name in enumerate(_CAPABILITIES) if held >> number & 1]
    return f"all {len(known)} capabilities" if len(known) > len(_CAPABILITIES) - 2 else ", ".join(known) or "none"


def options(declared: Authority) -> list[str]:
    """The probe's words for it; none for a benchmark that needs nothing."""
    return [
        *(["--namespaces", ",".join(declared.namespaces)] if declared.namespaces else []),
        *(["--capabilities", f"{mask(declared.capabilities):016x}"] if declared.capabilities else []),
        *(["--seccomp", declared.seccomp] if declared.seccomp != "none" else []),
    ]


def check(evidence: Mapping[str, str], declared: Authority) -> None:
    """Raises LabInvalid where the work could have done more than was declared, NotSupported where it could do less."""
    if wider := tuple(_wider(evidence, declared)):
        raise LabInvalid(f"authority wider than declared: expected {declared}, found {'; '.join(wider)}")
    if lacking := mask(declared.capabilities) & ~_held(evidence, "capabilities"):
        raise NotSupported(f"authority narrower than declared: it lacks {names(lacking)}", missing=_WAY)


def with_way(error: NotSupported, declared: Authority) -> NotSupported:
    """The same, with the way to get what a privileged benchmark needs."""
    return NotSupported(error.reason, missing=error.missing or _WAY) if declared.privileged else error


def _wider(evidence: Mapping[str, str], declared: Authority) -> Iterator[str]:
    allowed = mask(declared.capabilities)
    for name in _SETS:
        stuck = name == "bounding" and evidence.get("authority.bounding_droppable") == "no"
        if not stuck and (beyond := _held(evidence, name) & ~allowed):  # without new privileges the bound is moot
            yield f"{name} {evidence.get(f'authority.{name}', 'untold')} ({names(beyond)})"
    if (locked := evidence.get("authority.no_new_privileges")) != "1":
        yield f"no_new_privileges {locked}"
    namespaces = evidence.get("authority.new_namespaces", "untold")
    expected = ",".join(declared.namespaces) or "none"
    if namespaces != "unknown" and set(namespaces.split(",")) != set(expected.split(",")):
        yield f"new namespaces {namespaces}"
    if declared.seccomp != "none" and evidence.get("authority.seccomp") != "filter":
        yield f"seccomp {evidence.get('authority.seccomp')}"
    if "net" in declared.namespaces and evidence.get("authority.interfaces") != "0":
        yield f"network interfaces {evidence.get('authority.interfaces')}"


def _held(evidence: Mapping[str, str], name: str) -> int:
    """A set that the probe told; all of them where it did not."""
    try:
        return int(evidence.get(f"authority.{name}", ""), 16)
    except ValueError:
        return (1 << 64) - 1
