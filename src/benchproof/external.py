"""The `[external]` tables of a plan: figures that others published, each with its source, held against what is known.

They are context. Nothing here is compared, and nothing is imported: `benchproof import` reads files of raw results.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from benchproof.analysis.limit import UNITS
from benchproof.analysis.published import Figure, Published
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import UsageError
from benchproof.model import Unit
from benchproof.plugins import nearest
from benchproof.policy import Known, benchmark_of
from benchproof.tables import refuse_unknown

_KEYS = ["source", "machine", "date", "figures"]
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([^\s\d]*)\s*", re.ASCII)
_LONGEST = 500  # characters of a text
_UNIT_OF: dict[str, Unit] = {word: unit for unit, words in UNITS.items() for word in words}


def published_of(tables: Mapping[str, Any], known: Known, where: str) -> tuple[Published, ...]:
    """What the tables state. `known`: the metrics of this plan; those of other benchmarks are looked up."""
    if not tables:
        return ()
    metrics = _metrics(known)
    return tuple(_published(name, table, metrics, f"{where}: external.{name}") for name, table in tables.items())


def of_benchmarks(tables: dict[str, Any]) -> dict[str, Any]:
    """The tables without figures of what is no benchmark by its own name; what makes no sense is left to be refused."""
    names, found = BENCHMARKS.names(), {}
    for name, table in tables.items():
        figures = table.get("figures") if isinstance(table, dict) else None
        if not isinstance(figures, dict) or not figures:
            found[name] = table
        elif kept := {key: text for key, text in figures.items() if benchmark_of(key, names)}:
            found[name] = table | {"figures": kept}
    return found


def _metrics(known: Known) -> dict[str, dict[str, Unit]]:
    """By benchmark, full names of metrics with their units; empty where it does not say beforehand."""
    found: dict[str, dict[str, Unit]] = {}
    for name in BENCHMARKS.names():
        kind = BENCHMARKS.load(name)
        quantity, unit = getattr(kind, "quantity", None), getattr(kind, "unit", None)
        found[name] = {f"{name}.{quantity}": unit} if isinstance(quantity, str) and unit in UNITS else {}
    for name, metrics in known.items():
        found[name] = {metric: unit for metric, (unit, _) in metrics.items()} or found.get(name, {})
    return found


def _published(name: str, table: Any, metrics: Mapping[str, Mapping[str, Unit]], where: str) -> Published:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: expected a table with a source and figures, found {table!r}")
    refuse_unknown(table, _KEYS, where)
    texts = {key: _text(table.get(key, ""), f"{where}: {key}") for key in ("source", "machine", "date")}
    if not texts["source"]:
        raise UsageError(
            f"{where}: source: expected where the figures were published (a URL, a citation), found nothing"
        )
    figures = table.get("figures")
    if not isinstance(figures, dict) or not figures:
        example = 'figures = { "syscall.getpid.latency" = "0.33 us" }'
        raise UsageError(f"{where}: figures: expected a table such as {example}, found {figures!r}")
    return Published(name=name, **texts, figures=tuple(_figures(figures, metrics, f"{where}: figures")))


def _text(given: Any, where: str) -> str:
    found = given.isoformat() if isinstance(given, dt.date) else given
    if not isinstance(found, str) or len(found) > _LONGEST or not found.isprintable():
        raise UsageError(f"{where}: expected one line of at most {_LONGEST} printable characters, found {given!r:.80}")
    return found.strip()


def _figures(table: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Unit]], where: str) -> Iterator[Figure]:
    seen: dict[str, str] = {}
    for key, text in table.items():
        metric, unit = _metric(key, metrics, where)
        if metric in seen:
            raise UsageError(f"{where}.{key}: expected each metric once, '{seen[metric]}' is the same")
        seen[metric] = key
        yield _figure(metric, text, unit, f"{where}.{key}")


def _metric(key: str, metrics: Mapping[str, Mapping[str, Unit]], where: str) -> tuple[str, Unit | None]:
    """Its full name and unit; None where that is known only once it was measured. Raises UsageError."""
    by_name = {metric: unit for some in metrics.values() for metric, unit in some.items()}
    alone = metrics.get(key, {})
    if len(alone) == 1:
        return next(iter(alone.items()))
    if key in by_name:
        return key, by_name[key]
    name = benchmark_of(key, [each for each, some in metrics.items() if not some])
    if name is None or name == key:
        quotes = "; a name with a dot needs quotes" if key in {each.partition(".")[0] for each in by_name} else ""
        raise UsageError(f"{where}: unknown metric '{key}'{quotes}; {nearest(key, list(by_name))}")
    return key, None


def _figure(metric: str, text: Any, unit: Unit | None, where: str) -> Figure:
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in _UNIT_OF:
        raise UsageError(f"{where}: expected an amount such as '0.33 us', found {text!r:.80}")
    number, word = match.groups()
    found = _UNIT_OF[word]
    value = float(Decimal(number) * UNITS[found][word])
    if not math.isfinite(value):
        raise UsageError(f"{where}: expected an amount that is finite, found {text!r:.80}")
    if not value and found not in {"count", "ratio"}:
        raise UsageError(f"{where}: expected more than nothing, found {text!r:.80}; leave out what was not measured")
    if unit is not None and found not in _allowed(unit):
        words = ", ".join(f"'{each}'" for each in UNITS[unit] if each) or "a plain number"
        also = " or 'cycles'" if unit == "ns" else ""
        raise UsageError(
            f"{where}: the metric is in {unit}, so expected an amount in {words}{also}, found {text!r:.80}"
        )
    return Figure(metric=metric, text=f"{number} {word}".strip(), value=value, unit=found)


def _allowed(unit: Unit) -> frozenset[Unit]:
    """Others state times in cycles as well; they stay cycles here."""
    return frozenset({unit, "cycles"} if unit == "ns" else {unit, "count"} if unit == "ratio" else {unit})
