"""What the readers of general tools have in common: a tool that measures any command on the machine on which it runs.

Such a file does not name the system, as its reader ran the tool inside it. Times become nanoseconds and rates bytes or
operations a second, correctly rounded; nothing here rounds twice or makes up a number.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from benchproof.importers import Found, Imported, Unreadable, strict
from benchproof.model import Better, Clock, Failed, Invalid, Measurement, Unit, Unsupported, Unverified

UNNAMED = "unnamed"  # the user says which system it was: `import --target`
NS_PER_S = 1e9
SHORT = 900  # characters of a foreign text that is kept as evidence

Positive = Annotated[float, msgspec.Meta(gt=0)]

_DIRECTIONS: dict[Unit, Better] = {"bytes/s": "higher", "op/s": "higher"}  # all else is a cost


def figure(
    metric: str,
    unit: Unit,
    samples: Iterable[float],
    *,
    iterations: int = 1,
    warmups: Iterable[float] = (),
    clock: Clock = "target",
) -> Measurement:
    """A measurement. What a tool counts or times is a cost, a rate is a gain."""
    return Measurement(
        metric=metric,
        unit=unit,
        better=_DIRECTIONS.get(unit, "lower"),
        clock=clock,
        iterations=iterations,
        warmups=tuple(warmups),
        samples=tuple(samples),
    )


def published(
    metric: str, unit: Unit, statistics: Mapping[str, float], *, clock: Clock = "target"
) -> tuple[Measurement, ...]:
    """Statistics whose samples are not there, each named as what it is."""
    return tuple(figure(f"{metric}.published_{word}", unit, [value], clock=clock) for word, value in statistics.items())


def exact(digits: str, factor: int) -> float:
    """A decimal number as it is written, times a factor: rounded once."""
    return float(Decimal(digits) * factor)


def supported(percentile: str, n: int | None) -> bool:
    """Whether n samples support a percentile: p95 from 20, p99 from 100, p99.9 from 1000. None: n is not known."""
    return n is None or (100 - Decimal(percentile)) * n >= 100


def found(
    benchmark: str,
    parameters: dict[str, Any],
    outcome: Unverified | Failed | Unsupported | Invalid,
    *,
    evidence: Mapping[str, str] | None = None,
    block: int = 0,
) -> Found:
    """One outcome of a tool that measured the system in which it ran."""
    return Found(
        target=UNNAMED,
        benchmark=benchmark,
        parameters=parameters,
        outcome=outcome,
        evidence={key: value for key, value in (evidence or {}).items() if value},
        block=block,
    )


def only(
    tool: str,
    results: Iterable[Found],
    *,
    version: str = "",
    created_at: str = "",
    facts: Mapping[str, Mapping[str, str]] | None = None,
    labels: Mapping[str, str] | None = None,
    notes: Iterable[str] = (),
) -> tuple[Imported, ...]:
    """The one run of a file."""
    stated = {section: _stated(each) for section, each in (facts or {}).items() if _stated(each)}
    return (
        Imported(
            tool=tool,
            version=strict.plain(version)[:SHORT],
            created_at=created_at,
            results=tuple(results),
            facts=stated,
            labels=_stated(labels or {}),
            notes=tuple(dict.fromkeys(notes)),
        ),
    )


def _stated(facts: Mapping[str, str]) -> dict[str, str]:
    return {strict.plain(fact)[:SHORT]: strict.plain(value)[:SHORT] for fact, value in facts.items() if value}


def apart(cases: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same parameters for the second time are another case: `occurrence` 2, and so on."""
    counts: dict[bytes, int] = {}
    for parameters in cases:
        key = msgspec.json.encode(parameters, order="sorted")
        counts[key] = counts.get(key, 0) + 1
        yield parameters if counts[key] == 1 else parameters | {"occurrence": counts[key]}


def moment(stated: float | str) -> str:
    """A time that a tool wrote for people: empty where it has no zone, or is in no form that is known."""
    with contextlib.suppress(Unreadable):
        return strict.instant(stated, "", "")
    return ""


def short(text: str) -> str:
    """A foreign text as evidence or reason."""
    return strict.plain(" ".join(text.split()))[:SHORT]
