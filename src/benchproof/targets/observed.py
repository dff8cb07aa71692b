"""What a started target says of itself, asked by the probe from within: the envelope is evidence, not belief."""

from __future__ import annotations

import shutil
import subprocess

import msgspec

from benchproof.errors import NotSupported, StartFailed, TargetFailed
from benchproof.model import Completed, Instance

_TIMEOUT_S = 60.0
_WAIT_NS = 500_000_000
_CLOCK_TOLERANCE = 0.1
_SLACK_NS = 100_000_000


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


def sections(observed: dict[str, str], *, execution: str, **declared: str) -> dict[str, dict[str, str]]:
    """What was observed, by section of the envelope; `declared` facts go to `system`.

    `execution` is native, kvm, tcg or unknown.
    """
    section_of = dict.fromkeys(("architecture", "cpu", "cpus", "page_bytes"), "machine") | {
        "seccomp_filters": "authority"
    }
    found: dict[str, dict[str, str]] = {"machine": {"execution": execution}, "system": declared, "authority": {}}
    for fact, value in observed.items():
        found[section_of.get(fact, "system")][fact] = value
    return found


def check_clock(instance: Instance) -> None:
    """A target whose clock runs at another pace than ours makes every number of it wrong. Raises StartFailed.

    It waits half a second on its own clock while we look at ours; a busy host gets a second try. Raises NotSupported
    where not even a trivial command runs: a sandbox needs rights that a container or a kernel may not give.
    """
    for _ in range(2):
        start_ns = _trivial(instance, "exit", "0").elapsed_ns
        elapsed_ns = _trivial(instance, "wait", str(_WAIT_NS)).elapsed_ns
        slow_ns = _WAIT_NS * (1 + _CLOCK_TOLERANCE) + 2 * start_ns + _SLACK_NS
        if _WAIT_NS * (1 - _CLOCK_TOLERANCE) <= elapsed_ns <= slow_ns:
            return
    pace = _WAIT_NS / max(1, elapsed_ns - start_ns)
    raise StartFailed(f"the target's clock is not to be trusted: it counts {pace:.2f} s in a second of the host's")


def _trivial(instance: Instance, *words: str) -> Completed:
    done = instance.run([instance.probe, *words], timeout_s=_TIMEOUT_S)
    if done.exit_status:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.exit_status}"]
        raise NotSupported(f"no command runs in it here: {said[-1]}", missing="the rights that its own words ask for")
    return done
