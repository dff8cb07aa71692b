"""The kinds of system under test: one file each, and one line here or in the entry point group `benchproof.targets`.

A kind is a class with a `Settings` struct (the keys of its table in a plan) and a constructor `(settings, lab)`.
"""

from __future__ import annotations

from benchproof.plugins import Table

KINDS = Table(
    group="benchproof.targets",
    what="target kind",
    own={
        "host": "benchproof.targets.host:Host",
        "bwrap": "benchproof.targets.bwrap:Bwrap",
        "gvisor": "benchproof.targets.gvisor:Gvisor",
        "qemu": "benchproof.targets.qemu:Qemu",
        "firecracker": "benchproof.targets.firecracker:Firecracker",
        "kernel": "benchproof.targets.kernel:Kernel",
        "command": "benchproof.targets.command:Command",
        "service": "benchproof.targets.service:SandboxService",
        "python": "benchproof.targets.python:Python",
    },
)
