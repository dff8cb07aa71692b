"""What a started target says of itself, asked by the probe from within: the envelope is evidence, not belief."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

import msgspec

from benchproof import pinning
from benchproof.errors import NotSupported, StartFailed, TargetFailed
from benchproof.model import Completed, Instance

_TIMEOUT_S = 60.0
_WAIT_NS = 500_000_000
_CLOCK_TOLERANCE = 0.1
_SLACK_NS = 100_000_000
_OWN_STATUS = 7


def observe(instance: Instance) -> dict[str, str]:
    """The probe's `facts`, by name: see `facts()` in probe.c. Raises TargetFailed, also for a wrong clock."""
    if instance.clock == "target":
        check_clock(instance)
    done = instance.run([instance.probe, "facts"], timeout_s=_TIMEOUT_S)
    if done.exit_status:
        raise TargetFailed(f"the probe could not ask for facts: {done.stderr[-200:].decode(errors='replace').strip()}")
    try:
        return msgspec.json.decode(done.stdout, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TargetFailed(f"the probe's facts are damaged: {error}") from error


def tool_version(*command: str, missing: str) -> str:
    """The first line of what a tool says of its version. Raises NotSupported if it is not there or does not say."""
    if not shutil.which(command[0]):
        raise NotSupported(f"'{command[0]}' is not installed", missing=missing)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotSupported(f"'{' '.join(command)}' does not answer: {error}", missing=missing) from error
    return (done.stdout.splitlines() or ["unknown"])[0]


_OF_THE_MACHINE = frozenset({"architecture", "cpu", "cpus", "page_bytes"})
_FILTERS = "seccomp_filters"


def sections(
    observed: dict[str, str], *, execution: str, cpus: Sequence[int] = (), **declared: str
) -> dict[str, dict[str, str]]:
    """What was observed of a system that runs on the host's machine, by section; `declared` facts go to `system`.

    `execution` is native or unknown; `cpus`: what it was confined to, which it has to have seen. Raises NotSupported.
    """
    machine = {"execution": execution} | {fact: value for fact, value in observed.items() if fact in _OF_THE_MACHINE}
    if cpus:
        _refuse_unconfined(observed, cpus)
        machine["cpu_set"] = pinning.written(cpus)
    rest = {fact: value for fact, value in observed.items() if fact not in machine}
    return {"machine": machine} | seen_within(rest, **declared)


def seen_within(observed: dict[str, str], **declared: str) -> dict[str, dict[str, str]]:
    """Sections `system` and `authority` of a system whose machine is not the host's: what it sees is its own doing.

    No filter on system calls is not told: a system that has no such thing compares with one that has none in use.
    """
    filters = observed.get(_FILTERS, "0")
    of_system = {fact: value for fact, value in observed.items() if fact != _FILTERS}
    return {"system": declared | of_system, "authority": {_FILTERS: filters} if filters != "0" else {}}


def _refuse_unconfined(observed: dict[str, str], cpus: Sequence[int]) -> None:
    """A daemon that starts the command elsewhere does not inherit what we allow."""
    if observed.get("cpus") != str(len(cpus)):
        raise NotSupported(
            f"cpus = '{pinning.written(cpus)}' does not reach what runs in it, which sees {observed.get('cpus')} CPUs",
            missing="confine it by the wrapper's own option, and leave `cpus` out",
        )


def check_clock(instance: Instance) -> None:
    """A target whose clock runs at another pace than ours makes every number of it wrong. Raises StartFailed.

    It waits half a second on its own clock while we look at ours; a busy host gets a second try. Raises NotSupported
    where not even a trivial command runs: a sandbox needs rights that a container or a kernel may not give.
    """
    _refuse_yes(instance)
    for _ in range(2):
        start_ns = _trivial(instance, "exit", "0").elapsed_ns
        elapsed_ns = _trivial(instance, "wait", str(_WAIT_NS)).elapsed_ns
        slow_ns = _WAIT_NS * (1 + _CLOCK_TOLERANCE) + 2 * start_ns + _SLACK_NS
        if _WAIT_NS * (1 - _CLOCK_TOLERANCE) <= elapsed_ns <= slow_ns:
            return
    pace = _WAIT_NS / max(1, elapsed_ns - start_ns)
    raise StartFailed(f"the target's clock is not to be trusted: it counts {pace:.2f} s in a second of the host's")


def _refuse_yes(instance: Instance) -> None:
    """Who answers every command with success has run none of them."""
    ended = instance.run([instance.probe, "exit", str(_OWN_STATUS)], timeout_s=_TIMEOUT_S).exit_status
    if ended == 0:
        raise StartFailed(f"it runs no command: one that ends with status {_OWN_STATUS} was answered with 0")


def _trivial(instance: Instance, *words: str) -> Completed:
    done = instance.run([instance.probe, *words], timeout_s=_TIMEOUT_S)
    if done.exit_status:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.exit_status}"]
        raise NotSupported(f"no command runs in it here: {said[-1]}", missing="the rights that its own words ask for")
    return done
