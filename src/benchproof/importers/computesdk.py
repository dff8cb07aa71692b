"""computesdk's daily start-up times of sandbox providers: `ttiMs`, from the request to the end of the first command.

Each iteration creates a fresh sandbox: one invocation. A failed one is written as `ttiMs: 0` with its error and is
`failed` here. The published percentiles are taken after 5 % were cut off at each end, so that its "p99" is about the
p95 of all: they are left out, figures are computed from all samples. There is no total score here either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, strict
from benchproof.model import Failed, Frozen, Invalid, Measurement, Unsupported, Unverified

_NS_PER_MS = 1e6
_TRIMMED = 0.05
_ROUNDING = 0.011  # ms; two decimals


class _Environment(Frozen, frozen=True):
    node: str = ""
    platform: str = ""
    arch: str = ""


class _Config(Frozen, frozen=True):
    iterations: strict.Count = 0
    timeoutMs: strict.Amount = 0.0  # noqa: N815 - the name in the file


class _Iteration(Frozen, frozen=True):
    ttiMs: strict.Amount | None = None  # noqa: N815 - the name in the file
    error: str | None = None


class _Published(Frozen, frozen=True):
    median: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


class _Summary(Frozen, frozen=True):
    ttiMs: _Published = _Published()  # noqa: N815 - the name in the file


class _Provider(Frozen, frozen=True):
    provider: str
    iterations: list[_Iteration]
    summary: _Summary = _Summary()
    mode: str = "sequential"
    concurrency: strict.Count = 1
    skipped: bool = False
    skipReason: str = ""  # noqa: N815 - the name in the file


class _Document(Frozen, frozen=True):
    timestamp: str
    results: list[_Provider]
    version: str = ""
    environment: _Environment = _Environment()
    config: _Config = _Config()


def sniff(glimpse: Glimpse) -> bool:
    """Whether there are providers with their iterations."""
    document = glimpse.document
    results = document.get("results") if isinstance(document, dict) else None
    first = results[0] if isinstance(results, list) and results else None
    return isinstance(first, dict) and {"provider", "iterations"} <= first.keys()


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run; the providers are its targets."""
    document = strict.typed(content, name, _Document)
    providers = [each.provider for each in document.results]
    if len(set(providers)) != len(providers):
        raise Unreadable(name, "$.results", "a provider is there twice")
    results = [found for each in document.results for found in _results(each, document.config)]
    client = document.environment
    host = {"platform": strict.plain(client.platform), "architecture": strict.plain(client.arch)}
    return (
        Imported(
            tool="computesdk",
            version=strict.plain(document.version),
            created_at=strict.instant(document.timestamp, name, "$.timestamp"),
            results=tuple(results),
            facts={"host": _stated(host), "probe": _stated({"node": strict.plain(client.node)})},
            labels={},
            notes=tuple(_notes(document)),
        ),
    )


def _stated(facts: dict[str, str]) -> dict[str, str]:
    return {fact: value for fact, value in facts.items() if value}


def _results(provider: _Provider, config: _Config) -> Iterator[Found]:
    parameters: dict[str, Any] = {"timeout_ms": config.timeoutMs} if config.timeoutMs else {}
    if provider.mode != "sequential":
        parameters |= {"mode": strict.plain(provider.mode), "concurrency": provider.concurrency}
    outcomes = [_outcome(each) for each in provider.iterations]
    if provider.skipped:
        outcomes = [Unsupported(reason="skipped", missing=strict.plain(provider.skipReason))]
    else:
        missing = Invalid(reason=f"{config.iterations} iterations were asked for, {len(outcomes)} are in the file")
        outcomes += [missing] * min(config.iterations - len(outcomes), 1)
    for block, outcome in enumerate(outcomes):
        yield Found(
            target=strict.plain(provider.provider),
            benchmark="computesdk.sandbox_start",
            parameters=parameters,
            outcome=outcome,
            evidence=_ignored(provider) if block == 0 else {},
            block=block,
        )


def _outcome(iteration: _Iteration) -> Unverified | Failed | Unsupported | Invalid:
    if iteration.error is not None or not iteration.ttiMs:
        return Failed(violations=(strict.plain(iteration.error or "no time was recorded, and no error")[:900],))
    measured = Measurement(
        metric="computesdk.sandbox_start.latency",
        unit="ns",
        better="lower",
        clock="host",
        iterations=1,
        samples=(iteration.ttiMs * _NS_PER_MS,),
    )
    return Unverified("computesdk", (measured,))


def _ignored(provider: _Provider) -> dict[str, str]:
    """What the file publishes, as text: nothing is computed from it."""
    published = msgspec.structs.asdict(provider.summary.ttiMs)
    return {f"trimmed_{word}_ms": f"{value:g}" for word, value in published.items()}


def _notes(document: _Document) -> Iterator[str]:
    yield "providers were measured one after the other, not interleaved: their order is no comparison"
    yield "published percentiles are of what is left after 5 % were cut off at each end; here all samples count"
    for provider in document.results:
        times = sorted(each.ttiMs for each in provider.iterations if each.error is None and each.ttiMs)
        cut = int(len(times) * _TRIMMED)
        kept = times[cut : len(times) - cut]
        published = provider.summary.ttiMs
        if kept and abs(kept[-(-99 * len(kept) // 100) - 1] - published.p99) > _ROUNDING:
            yield f"{strict.plain(provider.provider)}: its published p99 {published.p99:g} ms is not of its samples"


FORMAT = Format(sniff=sniff, read=read)
