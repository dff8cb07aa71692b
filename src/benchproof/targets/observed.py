"""What a started target says of itself, asked by the probe from within: the envelope is evidence, not belief."""

from __future__ import annotations

import msgspec

from benchproof.errors import TargetFailed
from benchproof.model import Instance

_TIMEOUT_S = 60.0


def observe(instance: Instance) -> dict[str, str]:
    """The probe's `facts`, by name: see `facts()` in probe.c."""
    done = instance.run([instance.probe, "facts"], timeout_s=_TIMEOUT_S)
    if done.exit_status:
        raise TargetFailed(f"the probe could not ask for facts: {done.stderr[-200:].decode(errors='replace').strip()}")
    try:
        return msgspec.json.decode(done.stdout, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TargetFailed(f"the probe's facts are damaged: {error}") from error


def split(observed: dict[str, str], *, execution: str) -> tuple[dict[str, str], dict[str, str]]:
    """What was observed, as sections `machine` and `system`. `execution` is native, kvm, tcg or unknown."""
    of_machine = ("architecture", "cpu", "cpus", "page_bytes")
    machine = {key: observed[key] for key in of_machine if key in observed}
    system = {key: value for key, value in observed.items() if key not in of_machine}
    return machine | {"execution": execution}, system
