"""Targets on one machine: `like` copies it from another target, and `reference = "linux"` adds a Linux guest on it.

    [targets.mine]
    kind = "kernel"
    image = "build/kernel.elf"
    memory = "64 MiB"
    reference = "linux"      # adds mine-linux: Debian's kernel on the same machine, which ratios are to

    [targets.linux-6_12]
    kind = "qemu"
    kernel = "debian:linux-image-6.12-cloud-amd64"
    like = "mine"

A target that the plan itself calls `linux` is meant where there is one. The document that is recorded with a run stays
as it was written: this is done wherever it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from benchproof.errors import UsageError
from benchproof.guest.architecture import AARCH64, X86_64, emulated_by
from benchproof.guest.kernels import promised_architecture
from benchproof.plugins import nearest
from benchproof.targets.settings import MACHINE

LIKE = "like"
LINUX = "linux"
_GUESTS = frozenset({"kernel", "qemu"})  # the kinds that have a machine
_KERNELS = {X86_64.name: "debian:linux-image-cloud-amd64", AARCH64.name: "debian:linux-image-cloud-arm64"}


def resolved(tables: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The targets' own tables, in order, each Linux guest before the first that asks for it. Raises UsageError."""
    plain = {name: _without_like(name, tables, f"{where}: targets.{name}") for name in tables}
    if LINUX in plain:
        return plain
    found: dict[str, Any] = {}
    guests: dict[bytes, str] = {}
    for name, table in plain.items():
        if not (_refers(table, LINUX) and table.get("kind", name) in _GUESTS):
            found[name] = table
            continue
        machine = _machine(table)
        key = msgspec.json.encode(machine, order="sorted", enc_hook=str)
        guest = guests.setdefault(key, f"{name}-{LINUX}")
        if guest in plain:
            raise UsageError(f"{where}: targets.{guest}: that is what the reference of '{name}' is called; rename it")
        if guest not in found:
            kernel = _kernel(table, f"{where}: targets.{name}")
            found[guest] = machine | {"kind": "qemu", "kernel": kernel, "reference": guest}
        found[name] = table | {"reference": guest}
    return found


def written(names: Sequence[str], tables: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Those of the names that the plan itself has: a guest that is added comes with its target. Raises UsageError."""
    whole = resolved(tables, where)
    added = whole.keys() - tables.keys()
    for name in added.intersection(names):
        owners = [each for each, table in whole.items() if each != name and _refers(table, name)]
        if not any(owner == each or owner.startswith(f"{each}/") for owner in owners for each in names):
            raise UsageError(f"'{name}' is only there as the reference of '{owners[0]}'; name that target")
    return tuple(name for name in names if name not in added)


def _refers(table: Any, name: str) -> bool:
    return isinstance(table, dict) and table.get("reference") == name


def _without_like(name: str, tables: Mapping[str, Any], where: str) -> Any:
    """A target's table with the machine of the one that it is like."""
    table = tables[name]
    if not isinstance(table, dict) or LIKE not in table:
        return table
    other = tables.get(table[LIKE]) if isinstance(table[LIKE], str) and table[LIKE] != name else None
    if not isinstance(other, dict) or LIKE in other:
        known = [
            each for each in tables if each != name and isinstance(tables[each], dict) and LIKE not in tables[each]
        ]
        raise UsageError(
            f"{where}: {LIKE}: expected a target with a machine of its own, found '{table[LIKE]}'; "
            f"{nearest(str(table[LIKE]), known)}"
        )
    machine = _machine(other)
    own = {key: value for key, value in table.items() if key != LIKE}
    for key in MACHINE:
        if key in own and own[key] != machine.get(key):
            raise UsageError(f"{where}: {key}: it is that of '{table[LIKE]}', which this target is like; leave it out")
    return machine | own


def _machine(table: Mapping[str, Any]) -> dict[str, Any]:
    """What of a table makes the machine. A card for ports that are forwarded is a card."""
    machine = {key: table[key] for key in MACHINE if key in table}
    return machine | ({"network": True} if table.get("forward") else {})


def _kernel(table: Mapping[str, Any], where: str) -> str:
    """Debian's for the architecture of the machine. Raises UsageError where there is none."""
    named = str(table.get("emulator", ""))
    promised = promised_architecture(str(table.get("kernel", "")))
    architecture = emulated_by(named).name if named else promised or X86_64.name
    if architecture not in _KERNELS:
        raise UsageError(
            f"{where}: reference: no Linux kernel is known for {architecture}; add a target of kind 'qemu' with a"
            f" kernel of your own, {LIKE} this one, and name that as the reference"
        )
    return _KERNELS[architecture]
