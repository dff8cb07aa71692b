"""Benchmark `startup.command`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Literal, Self

import msgspec

from benchproof import oracles, probe
from benchproof.benchmarks.guest import inside
from benchproof.errors import NotSupported
from benchproof.model import Better, Definition, Frozen, Measurement, Observation, Target, Unit
from benchproof.oracles import Evidence
from benchproof.quantities import Duration

_WAY = 'root = "debian" for a guest of kind "qemu", system = true for "bwrap", or another `command`'
_WAY_TO_COLD = 'a guest of kind "qemu" with root = "debian" has one'
_MOST_STARTS = 1000
_KEPT_BYTES = 16_384
_MOST_WORDS = 64
_SHOWN = 60  # characters of an output in a message


class Command(Frozen, frozen=True, forbid_unknown_fields=True):
    """How long does a program of the target take, from its start to its end?

    `command`: its words. `expect`: a regular expression for all that it prints, without the blanks around. `samples`
    are of warm starts; a cold one is a start before which not a page of its files was in the cache.
    """

    definition = Definition(
        name="startup.command",
        tier=inside.TIER,
        question="How long does a program of the target take, from its start to its end?",
        mechanism="fork, exec and wait by the probe inside, output into a file in memory",
        without_posix="the start of a program and the wait for its end",
        oracle="each start ends with the exit status and prints what is expected; before a cold one no page is cached",
        nondeterminism="none",
        when_unsupported="a command that is not there; a cold start of files that the cache keeps, as those in use",
    )
    quantity: ClassVar[str] = "warm_latency"
    unit: ClassVar[Unit] = "ns"
    better: ClassVar[Better] = "lower"

    command: tuple[str, ...] = ("python3", "-c", "print(6*7)")
    expect: str = "42"
    exit_status: int = 0
    cache: Literal["both", "cold", "warm"] = "both"
    samples: int = 10
    cold_samples: int = 3
    timeout: Duration = Duration(300)

    def __post_init__(self) -> None:
        words = 1 <= len(self.command) <= _MOST_WORDS and self.command[0] and "\0" not in "".join(self.command)
        if not words:
            raise ValueError(f"command: expected a list of 1 to {_MOST_WORDS} words, found {list(self.command)}")
        if not (self.samples >= 1 <= self.cold_samples and self.samples + self.cold_samples <= _MOST_STARTS):
            raise ValueError(f"expected samples and cold_samples of at least 1, together at most {_MOST_STARTS}")
        if not 0 <= self.exit_status <= 255 or self.timeout <= 0:
            raise ValueError("expected an exit_status from 0 to 255 and a timeout that is not zero")
        try:
            re.compile(self.expect)
        except re.error as error:
            raise ValueError(f"expect: expected a regular expression, found '{self.expect}': {error}") from error

    def quick(self) -> Self:
        """The same question with fewer starts."""
        return msgspec.structs.replace(self, samples=min(self.samples, 5), cold_samples=min(self.cold_samples, 2))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        cold = 0 if self.cache == "warm" else self.cold_samples
        words = {"--iterations": self.samples, "--cold": cold}
        with target.start() as instance:
            inside.refuse_without_programs(instance)
            try:
                reading = inside.measured(
                    instance,
                    self.definition.name,
                    words,
                    behind=("--", *self.command),
                    timeout_s=float(self.timeout),
                )
            except NotSupported as error:
                raise NotSupported(error.reason, missing=error.missing or _WAY) from error
        return self.observe(reading)

    def observe(self, reading: probe.Reading) -> Observation:
        """What the probe's output says. Raises NotSupported where only cold starts were asked for and there is none."""
        warm, cold = (inside.words_of(reading.evidence.get(name, "")) for name in ("warm_ns", "cold_ns"))
        evidence = dict(reading.evidence)
        evidence["cold"] = "proved" if cold and _is_cold(evidence) else "not asked for"
        if self.cache != "warm" and evidence["cold"] != "proved":
            evidence["cold"] = f"not proved: {_why_warm(evidence)}"
            evidence["figure_lacking"] = f"no cold_latency: {_why_warm(evidence)}; {_WAY_TO_COLD}"
        evidence["mechanism"] = f"{self.definition.mechanism}; its files on {inside.laid_on(evidence)}"
        if self.cache == "cold" and evidence["cold"] != "proved":
            raise NotSupported(f"a cold start is {evidence['cold']}", missing='cache = "both" times warm ones')
        figures = {"cold": cold if evidence["cold"] == "proved" else (), "warm": warm if self.cache != "cold" else ()}
        measurements = tuple(_figure(self.definition.name, kind, times) for kind, times in figures.items() if times)
        return Observation(measurements=measurements, evidence=evidence)

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from inside.common(evidence)
        cold, warm = (inside.words_of(evidence.get(name, "")) for name in ("cold_ns", "warm_ns"))
        if len(warm) != self.samples or len(cold) not in {0, self.cold_samples}:
            wanted = f"{self.samples} warm starts and {self.cold_samples} or no cold ones"
            yield f"expected {wanted}, found {len(warm)} and {len(cold)}"
        if sum(cold) + sum(warm) != oracles.number(evidence, "sampled_ns"):
            yield f"the starts do not add up: {sum(cold) + sum(warm):.0f} of {evidence.get('sampled_ns')} ns"
        if cold and not _is_cold(evidence):
            yield "a start is called cold, and its files were in the cache or nobody could look"
        if not observation.measurements or min((*cold, *warm), default=0) < 1:
            yield "no start was timed, or one took no time"
        yield from self._ended_well(evidence, len(cold) + len(warm))
        yield from self._printed(evidence)

    def _ended_well(self, evidence: Evidence, starts: int) -> Iterator[str]:
        statuses = evidence.get("exit_statuses", "").split()
        bad = [status for status in statuses if status != str(self.exit_status)]
        if len(statuses) < starts:
            yield f"{starts} starts were timed, {len(statuses)} ends were seen"
        if bad:
            said = _text(evidence.get("said_on_error", "")).strip().splitlines() or ["nothing said"]
            yield f"{len(bad)} of {len(statuses)} starts ended with {bad[0]}, not {self.exit_status}: {said[-1][:200]}"

    def _printed(self, evidence: Evidence) -> Iterator[str]:
        outputs = [_text(text).strip() for name, text in evidence.items() if name.startswith("output.")]
        if not outputs or oracles.number(evidence, "outputs") != len(outputs):
            found = f"{len(outputs)} of {evidence.get('outputs', 'unknown')} kinds"
            yield f"expected what each start printed, found {found}"
        if oracles.number(evidence, "output_bytes") > _KEPT_BYTES:
            yield f"a start printed {evidence.get('output_bytes')} bytes: {_KEPT_BYTES} are looked at, expect less"
        for output in outputs:
            if not re.fullmatch(self.expect, output, re.DOTALL):
                yield f"expected output '{self.expect}', found '{output[:_SHOWN]}'"


def _is_cold(evidence: Evidence) -> bool:
    """Looked up before, by a way that afterwards saw the pages come; and the files are those that a start takes."""
    seen = oracles.number(evidence, "resident_before_cold") == 0 < oracles.number(evidence, "resident_after_cold")
    return seen and oracles.number(evidence, "files") > 0 and evidence.get("cache_seen_by", "none") != "none"


def _why_warm(evidence: Evidence) -> str:
    if evidence.get("files_found_by") == "nothing":
        return "its files cannot be found, for nothing can be traced here"
    if evidence.get("cache_seen_by", "none") == "none":
        return "nobody can look at the cache of this target"
    return f"the cache keeps '{evidence.get('kept_file', 'unknown')}', which others use or which lies in memory"


def _text(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode(errors="replace")


def _figure(name: str, kind: str, times: tuple[float, ...]) -> Measurement:
    return inside.figure(f"{name}.{kind}_latency", "ns", times, better="lower")
