"""Benchmark `mount.tmpfs`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof import oracles
from benchproof.benchmarks.primitive.probed import TIER, Probed
from benchproof.model import Authority, Definition
from benchproof.oracles import Evidence


class MountTmpfs(Probed, frozen=True):
    """What does it cost to mount an empty file system and to take it away?"""

    definition = Definition(
        name="mount.tmpfs",
        tier=TIER,
        question=__doc__,
        mechanism="mount and umount2 of a tmpfs, in a mount namespace of its own",
        without_posix="an empty name space that is joined to another and taken away; not_applicable without one",
        oracle="statfs sees a tmpfs on a device of its own while it is mounted, and the folder as it was afterwards",
        authority=Authority(capabilities=("CAP_SYS_ADMIN",), namespaces=("mnt",)),
        when_unsupported="who has no CAP_SYS_ADMIN to keep: `unsupported`, with the way",
    )
    exact_batch = 5
    exact_batches = 40

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        yield from oracles.equals(evidence, "mounts", evidence.get("operations"))
        yield from oracles.equals(evidence, "mounted_type", "tmpfs")
        yield from oracles.equals(evidence, "mounted_apart", 1)
        yield from oracles.equals(evidence, "gone", 1)
