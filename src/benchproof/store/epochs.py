"""What makes an epoch: all facts that could change a number, except the thing that is measured.

A trend follows the system under test through its versions, so the section `system` never splits it. Everything else
does: the laboratory, the machine as the system sees it, the program that measures and its compiler, the authority, and
the harness itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from benchproof.model import Envelope

HARNESS = "harness.version"
RULES = "harness.rules"  # an upstream's, of which some are not met: no trend goes on across a change of them
_SYSTEM = "system"
_REASON = "_reason"  # says why another fact is as it is, and changes no number itself
# of a guest's initial file system, what is not the system's own kernel modules is the probe, a section of its own
_OF_THE_SYSTEM = {"machine.initramfs_sha256"}
_START = "system.start"  # a guest that boots is no newer version of one that is cloned
# where a system runs on the host's own kernel, that kernel is under test, with what its version alone decides
_OF_THE_KERNEL = {"host.kernel", "host.mitigations", "host.memory"}
_MEMORY = "host.memory"


def facts_of(envelope: Envelope | None, *, harness: str) -> dict[str, str]:
    """The facts of an epoch as `section.fact`. None: the target was never described, as in an imported file."""
    found = {HARNESS: harness}
    sections = envelope.sections if envelope else {}
    left_out = _OF_THE_SYSTEM | (_OF_THE_KERNEL if _shares_the_kernel(sections) else set())
    for section, facts in sections.items():
        for fact, value in facts.items():
            name = f"{section}.{fact}"
            if (section != _SYSTEM or name == _START) and name not in left_out and not fact.endswith(_REASON):
                found[name] = _coarse(value) if name == _MEMORY else value
    return found


def system_of(envelope: Envelope | None) -> dict[str, str]:
    """What was measured, in its own words: shown where a level changed, and part of no epoch."""
    return dict(envelope.sections.get(_SYSTEM, {})) if envelope else {}


def key_of(facts: Mapping[str, str]) -> str:
    """Equal for equal facts."""
    return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()


def _shares_the_kernel(sections: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether the system says that its kernel is the host's."""
    host, system = sections.get("host", {}).get("kernel", ""), sections.get(_SYSTEM, {})
    words = [system.get("kernel", ""), system.get("kernel_build", "")]
    return all(words) and host == f"{system.get('os', 'Linux')} {words[0]} {words[1]}"


def _coarse(memory: str) -> str:
    """Two digits of `24684096 kB`: what a kernel reserves for itself is another amount in each version."""
    number, _, unit = memory.partition(" ")
    return f"{float(number):.1e} {unit}" if number.isdecimal() else memory
