"""The whole vocabulary: what is measured, what was seen, how it ended, and the three seams.

Data is frozen. A number lives in a `Measurement`, and of the outcomes that a run of ours can have only `Passed`
has measurements: nothing downstream can plot, gate or average a failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

Unit = Literal["ns", "bytes", "bytes/s", "op/s", "instructions", "cycles", "count", "ratio"]
Better = Literal["lower", "higher"]
Clock = Literal["host", "target", "instructions"]
Facet = Literal["system", "machine", "authority", "workload", "time"]
Facts = Mapping[str, Mapping[str, str]]  # section -> fact -> value; sections are those of an envelope

SMOKE_BLOCK = -2  # tier 0, before anything is measured; stored apart
WARMUP_BLOCK = -1  # the block that is run first, stored apart and never counted


class Frozen(msgspec.Struct, frozen=True):
    """A value: no field ever changes, two of the same content are equal."""


class Measurement(Frozen, frozen=True, kw_only=True):
    """One metric of one invocation, as raw samples.

    `samples` are in `unit` per operation, never rounded, never empty; each stands for `iterations` operations.
    A total over N operations is one sample. `warmups` came first and are in no statistic.
    """

    metric: str
    unit: Unit
    better: Better
    clock: Clock
    iterations: int
    warmups: tuple[float, ...] = ()
    samples: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.samples:
            raise ValueError(f"{self.metric}: a measurement has at least one sample")
        if not all(math.isfinite(s) for s in (*self.samples, *self.warmups)):
            raise ValueError(f"{self.metric}: a sample is a finite number")


class _Tagged(Frozen, frozen=True, tag_field="status"):
    """Common ground of the variants of `Outcome`."""


class Passed(_Tagged, frozen=True, tag="passed"):
    """The oracle agreed with every operation; the only outcome of ours with numbers."""

    measurements: tuple[Measurement, ...]


class Failed(_Tagged, frozen=True, tag="failed"):
    """The target's fault: a wrong answer, a crash, a time-out."""

    violations: tuple[str, ...]


class Unsupported(_Tagged, frozen=True, tag="unsupported"):
    """Nobody's fault. `missing` is the way to get it, empty where there is none."""

    reason: str
    missing: str = ""


class Invalid(_Tagged, frozen=True, tag="invalid"):
    """The laboratory's fault: noise over a limit, truncated output, wider authority than declared."""

    reason: str


class Unverified(_Tagged, frozen=True, tag="unverified"):
    """Stated by another tool, or by a system without evidence: shown, but never a baseline."""

    source: str
    measurements: tuple[Measurement, ...]


Outcome = Passed | Failed | Unsupported | Invalid | Unverified


class Observation(Frozen, frozen=True):
    """What was seen in one invocation, not yet judged. The oracle reads this and nothing else."""

    measurements: tuple[Measurement, ...]
    evidence: dict[str, str]
    unverified: str = ""  # who states these numbers, where nothing that an oracle could read came with them
    noise: Noise | None = None  # while this was measured, where that was in another invocation's time


class Noise(Frozen, frozen=True):
    """What else went on in the machine during an invocation. None: this kernel does not tell."""

    steal: float | None = None  # share of all CPU time that the hypervisor gave to others, 0 to 1
    pressure: float | None = None  # share of the time in which some task waited for a CPU, 0 to 1
    load: float | None = None  # one-minute load average when it ended
    context_switches: int | None = None  # of the whole machine
    involuntary_switches: int | None = None  # of the processes of this invocation
    clock_source: str | None = None
    cpu_mhz: float | None = None  # of the first CPU when it ended
    clock_step_ns: int | None = None  # how far the wall clock was moved against the monotonic one


class Result(Frozen, frozen=True):
    """One line of `results.jsonl`: one attempt at one invocation of one case."""

    run_id: str
    target: str
    benchmark: str
    parameters: dict[str, Any]
    tier: int
    block: int
    started_at: str  # RFC 3339, UTC
    duration_ns: int  # of the whole invocation, start and stop included, on the host's clock
    envelope: str  # hash of an entry of envelope.json; empty where the target could not be described
    attempt: int  # 1, and more where the tries before were invalid
    outcome: Outcome
    evidence: dict[str, str] = {}
    noise: Noise = Noise()
    logs: tuple[str, ...] = ()  # paths within the run
    log_hashes: tuple[str, ...] = ()  # sha256 of each


class Envelope(Frozen, frozen=True):
    """Every fact that could change the number, by section: host, machine, system, probe, authority."""

    sections: dict[str, dict[str, str]]


class Completed(Frozen, frozen=True):
    """A command that ended. A negative `exit_status` is the number of the signal that killed it."""

    exit_status: int
    stdout: bytes
    stderr: bytes
    elapsed_ns: int  # on the host's clock, from the request to the end


class Authority(Frozen, frozen=True, kw_only=True):
    """What a benchmark needs, and so all that its work may have: more than this makes an invocation invalid."""

    capabilities: tuple[str, ...] = ()  # as Linux names them: CAP_SYS_ADMIN
    seccomp: Literal["none", "confined"] = "none"  # the filter that it brings along; "confined": see authority.c
    namespaces: tuple[str, ...] = ()  # new ones, by their names in /proc/self/ns
    network: bool = False
    devices: tuple[str, ...] = ()  # paths
    measurement_build: bool = False  # a build of the system that exists to be measured, and is never shipped
    ambient: bool = False  # what the target gives to its commands, whatever that is: they need none of it

    @property
    def privileged(self) -> bool:
        """Whether starting it is to be put on record."""
        return bool(self.capabilities or self.measurement_build)

    def __str__(self) -> str:
        said = {
            ", ".join(self.capabilities): self.capabilities,
            f"seccomp filter '{self.seccomp}'": self.seccomp != "none",
            f"new namespaces {', '.join(self.namespaces)}": self.namespaces,
            "network": self.network,
            f"devices {', '.join(self.devices)}": self.devices,
            "a measurement build": self.measurement_build,
            "what the target gives to its commands": self.ambient,
        }
        return "; ".join(words for words, there in said.items() if there) or "none"


class Definition(Frozen, frozen=True):
    """What a benchmark is, for its reader and for the manifest of a run."""

    name: str
    tier: int
    question: str
    mechanism: str  # what is really timed, the label in a report
    without_posix: str  # what it maps to on a system without POSIX
    oracle: str  # how a wrong answer is noticed
    nondeterminism: str = "none"  # what the oracle lets differ between two correct runs
    corpus: str = "none"  # hash of the input, where there is one
    authority: Authority = Authority()
    when_unsupported: str = "the system's own words, as outcome `unsupported`"
    parser: int = 1  # version of the reader of its output


class Lab:
    """The room in which targets are started: where files may lie, and where logs go."""

    def __init__(self, *, cache: Path, scratch: Path, log: Callable[[str, bytes], None], probe: Path) -> None:
        self.cache = cache  # kernels and verdicts that later runs may use
        self.scratch = scratch  # emptied when the run ends
        self.log = log  # (name, content): kept with the present invocation
        self.probe = probe  # for this host's architecture; also the supervisor of everything we start
        self.until_closed = ExitStack()  # what a target keeps for more than one invocation: ended with the room


class Reported(Frozen, frozen=True, kw_only=True):
    """What a system that measures itself said of one benchmark, whole and undamaged, but not yet judged.

    `warmups` and `samples` are the elapsed `unit`s of `iterations` operations each; evidence is in its own words.
    """

    name: str  # as the system calls it
    mechanism: str  # what it says that it really times
    unit: Unit  # ns, instructions or cycles
    clock: Clock
    iterations: int
    warmups: tuple[float, ...]
    samples: tuple[float, ...]
    evidence: dict[str, str]
    source: str = ""  # the dialect, where it has no evidence at all: the numbers are nobody's but the system's
    noise: Noise | None = None  # around the start that answered, where it answered other questions before


class Footprint(Frozen, frozen=True, kw_only=True):
    """What one started instance holds of the host; all of it must be gone when the instance is."""

    processes: tuple[int, ...]  # pids on the host
    files: tuple[Path, ...]  # that exist for this instance alone
    memory_bytes: int  # proportional set size of the processes: a page that n processes share counts 1/n in each
    disk_bytes: int  # blocks in use by `files`, not their logical size
    untold: str = ""  # why memory and disk are not known, where they are not; both are 0 then
    remains: Callable[[], Sequence[str]] | None = None  # asks the system itself what it still knows of an ended one


class Instance(Protocol):
    """A started target. Paths are those that the command sees."""

    clock: Clock  # what the probe's nanoseconds count in here: `target`, or `instructions` in exact mode

    @property
    def probe(self) -> str:
        """Where the probe lies inside; empty where nothing can be run."""

    @property
    def cat(self) -> Sequence[str]:
        """Words of a command that copies its input, or the files named behind them, to its output."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """Run one command to its end. Raises TargetFailed on a time-out, having ended all that it started."""

    def put(self, source: Path, name: str) -> str:
        """Copy a file in, executable, under a plain name; returns the path inside."""

    def get(self, path: str) -> bytes:
        """The content of a file inside. Raises TargetFailed if it cannot be read."""


@runtime_checkable
class Reporting(Protocol):
    """A started target in which nothing can be run: it measures itself and says so on its console."""

    def report(self, name: str, *, timeout_s: float) -> Reported:
        """What it says of the benchmark that it calls `name`. Raises InvocationError where it is no whole answer."""


class Target(Protocol):
    """A system under test at rest."""

    def facts(self) -> Facts:
        """Sections `machine`, `system`, `authority`, asked of the system itself. Raises NotSupported, StartFailed."""

    def start(self) -> AbstractContextManager[Instance]:
        """One fresh instance; leaving the context ends it and everything in it."""


class ForkableInstance(Instance, Protocol):
    """A started instance that can be frozen, and that says what it holds of the host."""

    def footprint(self) -> Footprint:
        """Looked up now."""

    def freeze(self) -> Image:
        """Write its memory, and its disk where it has one, to the host's disk; the instance goes on."""


class Image(Protocol):
    """A frozen instance at rest: what any number of clones starts from."""

    def start(self) -> AbstractContextManager[ForkableInstance]:
        """A clone that runs; leaving the context ends it and removes all that it held."""

    def size_bytes(self) -> int:
        """Disk blocks in use by the files of this image alone, not their logical size."""

    def delete(self) -> None:
        """Remove the files of this image; clones that run are not disturbed. Deleting twice is no error."""


@runtime_checkable
class Forkable(Target, Protocol):
    """A target whose instances can be frozen and cloned. Each method raises NotSupported where it cannot be done."""

    def cold(self) -> AbstractContextManager[ForkableInstance]:
        """A start from nothing, no image used, whatever the plan's usual start is."""

    def image(self) -> Image:
        """The image of a freshly started instance, made at first use and kept; `delete` does nothing to it."""


class Service(Protocol):
    """A sandbox service that runs, as its clients know it."""

    url: str  # where its HTTP interface begins, without a slash at the end
    headers: Mapping[str, str]  # what every request carries: the token
    mcp: str  # URL of its MCP endpoint (streamable HTTP); empty: it has none
    mcp_sandbox: str  # what its tools call the argument that names a sandbox; empty: they know one sandbox alone
    stdio: tuple[str, ...]  # a command that speaks MCP on its standard streams for this service; empty: there is none
    pid: int | None  # of the process that we started; None: it was there before us, and is not ours to end

    def await_ready(self, *, timeout_s: float) -> int:
        """When it first said that it serves, on the host's monotonic clock in ns. Raises StartFailed."""


@runtime_checkable
class Served(Protocol):
    """A target whose instances are made by a service; what is asked of the service itself begins here."""

    def serve(self) -> AbstractContextManager[Service]:
        """A service of its own, its process just started and perhaps not ready yet; leaving the context ends it.

        Raises NotSupported where the plan names one that runs already.
        """

    def service(self) -> Service:
        """The one that `start` uses, ready; started at first use and kept until the run ends. Raises StartFailed."""


@runtime_checkable
class Networked(Protocol):
    """An instance that says where it finds the host: for what is measured over a network."""

    host_address: str  # by which it reaches what listens on the host's 127.0.0.1; empty: it does not


@runtime_checkable
class Housed(Protocol):
    """A target that says in which room it is started: for a benchmark that starts something on the host beside it."""

    lab: Lab


class Benchmark(Protocol):
    """A question, and the oracle that knows its answer. The fields of an implementation are its parameters."""

    definition: ClassVar[Definition]

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""

    def verify(self, observation: Observation) -> Iterable[str]:
        """The violations: one sentence each, none if the answer is right."""

    def quick(self) -> Benchmark:
        """The same question with fewer samples."""
