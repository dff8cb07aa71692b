"""What rootfs.* share: the largest files of a root file system that is not ours are read, and read again.

Nobody knows beforehand what they hold, so two passes must agree, the second from the device where the cache lets go.
The list of files is hashed into the evidence: two lists are two questions, and a reader can see it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import ClassVar, Self

import msgspec

from benchproof import oracles, probe
from benchproof.benchmarks.guest import inside
from benchproof.benchmarks.guest.disk import Cache, is_blind, refuse_not_cold
from benchproof.errors import NotSupported
from benchproof.model import Better, Definition, Frozen, Measurement, Observation, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Duration, Size

UNSUPPORTED = "a root without files to read, as that of a guest that has the probe alone: `unsupported`, with the way"
NONDETERMINISM = "the order of random reads, which is another in every invocation"
_WAY = 'root = "debian" for a guest of kind "qemu", system = true for "bwrap", or another `folder`'
_LEAST_BYTES = 1 << 20
_MOST_BYTES = 1 << 32
_QUICK_BYTES = 16 << 20


class Rootfs(Frozen, frozen=True, forbid_unknown_fields=True):
    """The parameters that both share. `size`: of the largest files together; `timeout`: for everything."""

    definition: ClassVar[Definition]
    quantity: ClassVar[str] = "throughput"
    unit: ClassVar[Unit] = "bytes/s"
    better: ClassVar[Better] = "higher"

    folder: str = "/usr"
    size: Size = Size(256 << 20)
    cache: Cache = "any"
    timeout: Duration = Duration(600)

    def __post_init__(self) -> None:
        if not _LEAST_BYTES <= self.size <= _MOST_BYTES:
            raise ValueError(f"size: expected 1 MiB to 4 GiB, found {self.size:.0f} B")
        if "\0" in self.folder or not self.folder.startswith("/"):
            raise ValueError(f"folder: expected a path inside that begins with '/', found '{self.folder}'")
        if self.timeout <= 0:
            raise ValueError("expected a timeout that is not zero")

    def quick(self) -> Self:
        """The same question of fewer bytes."""
        return msgspec.structs.replace(self, size=Size(min(self.size, _QUICK_BYTES)))

    @property
    def operations_asked(self) -> int:
        """What the probe is told to do once or so often."""
        return 1

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        words = {
            "--dir": self.folder,
            "--size": int(self.size),
            "--iterations": self.operations_asked,
            "--warm": int(self.cache == "warm"),
            "--seed": secrets.randbits(62),
        }
        with target.start() as instance:
            inside.refuse_without_programs(instance)
            try:
                reading = inside.measured(instance, self.definition.name, words, timeout_s=float(self.timeout))
            except NotSupported as error:
                raise NotSupported(error.reason, missing=error.missing or _WAY) from error
        return self.observe(reading)

    def observe(self, reading: probe.Reading) -> Observation:
        """What the probe's output says. Raises NotSupported where the cache had to be cold and is not proved to be."""
        latencies = inside.words_of(reading.evidence.get("latencies_ns", ""))
        evidence = {name: text for name, text in reading.evidence.items() if name != "latencies_ns"}
        cold = evidence.get("resident_start") == "0" and not is_blind(evidence)
        evidence["cache"] = "cold" if cold else "warm"
        evidence["latencies"] = str(len(latencies))
        evidence["mechanism"] = self._mechanism(evidence)
        refuse_not_cold(self.cache, evidence)
        if min(reading.samples_ns, default=0) < 1:
            return Observation(measurements=(), evidence=evidence)
        figures = tuple(self.figures(self._stem(evidence), reading.samples_ns[0], latencies, evidence))
        return Observation(measurements=figures, evidence=evidence)

    def _stem(self, evidence: Evidence) -> str:
        """What a figure is called: what it is not stands in it."""
        in_memory = evidence.get("storage") == "memory"
        condition = "memory_" if in_memory else "warm_" if evidence["cache"] == "warm" else ""
        return f"{self.definition.name}.{condition}"

    def _mechanism(self, evidence: Evidence) -> str:
        access = "read-only" if evidence.get("mounted") == "ro" else "writable"
        where = f"{inside.laid_on(evidence)}, mounted {access}"
        return f"{self.definition.mechanism} under {self.folder}, {evidence['cache']}, {where}"

    def figures(
        self, stem: str, elapsed_ns: int, latencies: tuple[float, ...], evidence: Evidence
    ) -> Iterator[Measurement]:
        """The metrics of this benchmark."""
        raise NotImplementedError

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations: of what both share, then of this one."""
        evidence = observation.evidence
        yield from inside.common(evidence)
        if oracles.number(evidence, "files") < 1 or not evidence.get("list_crc32"):
            yield "no file was read, or nobody knows which"
        yield from self.check(observation)

    def check(self, observation: Observation) -> Iterator[str]:
        """The post-condition of this benchmark alone."""
        raise NotImplementedError
