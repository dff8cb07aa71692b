"""What all of disk.* share: a file in a folder of the target, its blocks written or read, every byte of it checked.

A figure says in its name what it is not: `memory_` of a file system that lies in memory, `warm_` where a cold cache was
not proved, `buffered_` where O_DIRECT was wanted and is not there. So they are never compared with those of a disk.
What lies below the target, as the host's own cache does, cannot be seen from inside and is not claimed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import ClassVar, Literal, Self

import msgspec

from benchproof import oracles, probe
from benchproof.benchmarks.guest import inside
from benchproof.errors import NotSupported
from benchproof.model import Better, Definition, Frozen, Measurement, Observation, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Duration, Size

PAGE_BYTES = 4096
ORACLE = (
    "every page carries seed, offset and generation and is compared byte by byte; bytes moved are those asked for; "
    "no offset comes twice; the file has no hole"
)
UNSUPPORTED = "no room, no such folder, or a file system that cannot do it: `unsupported`, with its own words"
_MOST_OPERATIONS = 65_536
_MOST_BLOCK_BYTES = 16 << 20
_MOST_BYTES = 1 << 32
_QUICK_BYTES = 16 << 20
_SYNC = {"none": 0, "end": 1, "each": 2}
_SYNC_WORDS = {"none": "no fsync", "end": "one fsync at the end in its time", "each": "fsync after each in its time"}
_ON_THE_CLOCK = "in the clock"  # a slower figure, so another one
_DIRECT = {"off": 0, "on": 1, "auto": 2}
_NOT_DONE = {"accepted": "is taken and not done", "refused": "is refused"}
Direct = Literal["auto", "on", "off"]
Fsync = Literal["none", "end", "each"]
Cache = Literal["any", "cold", "warm"]


class Disk(Frozen, frozen=True, forbid_unknown_fields=True):
    """The parameters that all share. `folder`: empty for where files are copied to; `timeout`: for everything."""

    definition: ClassVar[Definition]
    quantity: ClassVar[str] = "throughput"
    unit: ClassVar[Unit] = "bytes/s"
    better: ClassVar[Better] = "higher"

    size: Size = Size(256 << 20)
    block: Size = Size(1 << 20)
    folder: str = ""
    direct: Direct = "auto"
    timeout: Duration = Duration(600)

    def __post_init__(self) -> None:
        if self.block % PAGE_BYTES or not PAGE_BYTES <= self.block <= _MOST_BLOCK_BYTES:
            raise ValueError(f"block: expected a multiple of 4 KiB, up to 16 MiB, found {self.block:.0f} B")
        if not self.block <= self.size <= _MOST_BYTES or self.size % self.block:
            raise ValueError(f"size: expected whole blocks, up to 4 GiB, found {self.size:.0f} B")
        if self.operations_asked > _MOST_OPERATIONS:
            raise ValueError(f"expected up to {_MOST_OPERATIONS} blocks, found {self.operations_asked}; larger blocks?")
        if self.timeout <= 0:
            raise ValueError("expected a timeout that is not zero")
        if "\0" in self.folder or (self.folder and not self.folder.startswith("/")):
            raise ValueError(f"folder: expected a path inside that begins with '/', found '{self.folder}'")

    def quick(self) -> Self:
        """The same question of a smaller file."""
        return msgspec.structs.replace(self, size=Size(min(self.size, max(_QUICK_BYTES, self.block))))

    @property
    def operations_asked(self) -> int:
        """Blocks that are moved."""
        return int(self.size // self.block)

    @property
    def words(self) -> dict[str, object]:
        """Options of the probe that only some have."""
        return {}

    @property
    def done(self) -> str:
        """What is done with the blocks, in words."""
        raise NotImplementedError

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        with target.start() as instance:
            inside.refuse_without_programs(instance)
            words = {
                "--dir": self.folder or inside.workspace(instance),
                "--size": int(self.size),
                "--block": int(self.block),
                "--iterations": self.operations_asked,
                "--direct": _DIRECT[self.direct],
                "--seed": secrets.randbits(62),
            }
            reading = _with_way(
                lambda: inside.measured(
                    instance, self.definition.name, words | self.words, timeout_s=float(self.timeout)
                )
            )
        return self.observe(reading)

    def observe(self, reading: probe.Reading) -> Observation:
        """What the probe's output says. Raises NotSupported where it is not what was insisted on."""
        latencies = inside.words_of(reading.evidence.get("latencies_ns", ""))
        evidence = {name: text for name, text in reading.evidence.items() if name != "latencies_ns"}
        evidence["o_direct"] = direct_of(evidence)
        evidence["cache"] = self.cache_of(evidence)
        evidence |= {"latencies": str(len(latencies)), "mechanism": self._mechanism(evidence)}
        self.refuse_other(evidence)
        if min(reading.samples_ns, default=0) < 1 or not latencies:
            return Observation(measurements=(), evidence=evidence)
        return Observation(
            measurements=tuple(self._figures(reading.samples_ns[0], latencies, evidence)), evidence=evidence
        )

    def cache_of(self, evidence: Evidence) -> str:
        """What the cache of the target was to these calls: direct, or what a benchmark says of it."""
        return "direct" if evidence["o_direct"] == "proved" else "buffered"

    def condition_of(self, cache: str) -> str:
        """What a figure with this cache is not; empty where it is what was asked for."""
        return "buffered_" if self.direct == "auto" and cache != "direct" else ""

    def refuse_other(self, evidence: Evidence) -> None:
        """Raises NotSupported where the target did something else than was insisted on."""
        found = evidence["o_direct"]
        if self.direct == "on" and found in _NOT_DONE and evidence.get("storage") != "memory":
            doubt = "is not proved: nobody can look at its cache" if is_blind(evidence) else _NOT_DONE[found]
            raise NotSupported(f"O_DIRECT {doubt} ({inside.laid_on(evidence)})", missing='direct = "auto"')

    def condition(self, evidence: Evidence) -> str:
        """What a figure of it is not, as the beginning of its name; empty where it is what was asked for."""
        if evidence.get("storage") == "memory":
            return "memory_"
        return self.condition_of(evidence["cache"])

    def _mechanism(self, evidence: Evidence) -> str:
        words = [self.done, f"blocks of {_size(self.block)}", evidence["cache"], inside.laid_on(evidence)]
        words += [f"compared {_ON_THE_CLOCK}"] if evidence.get("compared") == _ON_THE_CLOCK else []
        return ", ".join(words)

    def _figures(self, elapsed_ns: int, latencies: tuple[float, ...], evidence: Evidence) -> Iterator[Measurement]:
        stem, count = f"{self.definition.name}.{self.condition(evidence)}", self.operations_asked
        rates: list[tuple[str, Unit, float]] = [("throughput", "bytes/s", float(self.block)), ("rate", "op/s", 1.0)]
        for quantity, unit, amount in sorted(rates, key=lambda rate: rate[0] != self.quantity):
            yield inside.figure(f"{stem}{quantity}", unit, (amount * count / (elapsed_ns / 1e9),), iterations=count)
        yield from inside.latency(stem, latencies)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations: of what all share, of this benchmark, and of figures that do not follow."""
        evidence = observation.evidence
        yield from inside.common(evidence)
        yield from oracles.equals(evidence, "operations", self.operations_asked)
        yield from oracles.equals(evidence, "bytes_moved", self.operations_asked * int(self.block))
        yield from oracles.equals(evidence, "distinct_offsets", self.operations_asked)
        yield from oracles.equals(evidence, "file_bytes", int(self.size))
        yield from oracles.equals(evidence, "pages_verified", self.pages_to_verify)
        yield from oracles.equals(evidence, "pages_wrong", 0)
        if oracles.number(evidence, "allocated_bytes") < self.size:
            found = evidence.get("allocated_bytes", "an unknown number of")
            yield f"the file has holes: {found} bytes are allocated of {self.size:.0f}"
        yield from oracles.equals(evidence, "latencies", self.operations_asked)
        yield from self.verify_calls(observation)

    def verify_calls(self, observation: Observation) -> Iterator[str]:
        """The violations of the time of each call."""
        yield from inside.calls_add_up(observation)

    @property
    def pages_to_verify(self) -> int:
        """All of the file where it was written, what was read where it was read."""
        return int(self.size) // PAGE_BYTES


class Random(Disk, frozen=True):
    """Blocks at random offsets, none of them twice."""

    quantity = "rate"
    unit = "op/s"

    block: Size = Size(PAGE_BYTES)
    operations: int = 10_000  # at most as many as the file has blocks

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.operations < 1:
            raise ValueError(f"operations: expected 1 or more, found {self.operations}")

    def quick(self) -> Self:
        """Fewer operations on a smaller file."""
        return msgspec.structs.replace(super().quick(), operations=min(self.operations, 1000))

    @property
    def operations_asked(self) -> int:
        return min(self.operations, int(self.size // self.block))


def policy(fsync: Fsync) -> dict[str, object]:
    """When a write counts, for the probe."""
    return {"--sync": _SYNC[fsync]}


def policy_words(fsync: Fsync) -> str:
    """The same for a reader."""
    return _SYNC_WORDS[fsync]


def refuse_warm_direct(cache: Cache, direct: Direct) -> None:
    """Raises ValueError: what passes the cache by does not read what is in it."""
    if cache == "warm" and direct == "on":
        raise ValueError('cache: expected "any" or "cold" beside direct = "on", found "warm"')


def warmth(cache: Cache) -> dict[str, object]:
    """What the probe does before it reads."""
    return {"--warm": 1, "--direct": 0} if cache == "warm" else {"--warm": 0}


def cache_of_read(evidence: Evidence) -> str:
    """Direct and cold where that was proved; warm is all else, for nobody can say that it was not."""
    if evidence["o_direct"] == "proved":
        return "direct"
    return "cold" if evidence.get("resident_start") == "0" and not is_blind(evidence) else "warm"


def condition_of_read(cache: str, direct: Direct) -> str:
    """What a figure of reading is not."""
    return "warm_" if cache == "warm" else "buffered_" if direct == "auto" and cache != "direct" else ""


def refuse_not_cold(asked: Cache, evidence: Evidence) -> None:
    """Raises NotSupported where the cache had to be cold and that is not proved."""
    if asked == "cold" and evidence["cache"] == "warm":
        found = f"{evidence.get('resident_start', 'unknown')} pages were in the cache before the first read"
        found = "nobody can look at its cache" if is_blind(evidence) else found
        raise NotSupported(
            f"a cold cache is not proved ({inside.laid_on(evidence)}): {found}",
            missing='cache = "warm", or a folder on a disk',
        )


def direct_of(evidence: Evidence) -> str:
    """Whether the cache was passed by: proved, or in the probe's words off, refused, or accepted and no more."""
    asked = evidence.get("o_direct", "off")
    passed_by = evidence.get("resident_start") == evidence.get("resident_end") == "0"
    return "proved" if asked == "accepted" and passed_by and not is_blind(evidence) else asked


def is_blind(evidence: Evidence) -> bool:
    """Whether no way to look at the page cache was seen to work."""
    return evidence.get("cache_seen_by", "none") == "none"


def _with_way(measure: Callable[[], probe.Reading]) -> probe.Reading:
    try:
        return measure()
    except NotSupported as error:
        way = "a smaller `size` (--size-mb), or a `folder` (--dir) with more room" if "no space" in str(error) else ""
        raise NotSupported(error.reason, missing=error.missing or way) from error


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 2**20:g} MiB" if size_bytes >= 1 << 20 else f"{size_bytes / 2**10:g} KiB"
