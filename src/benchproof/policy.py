"""Reads what must hold: the `[gates]` of a plan, and policies, which state the same of a run that is there already.

A policy is a TOML file of its own, or one that comes with benchproof. It is held against what the run measured before
anything is judged, so that a misspelt name is a wrong question and no lost metric.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from benchproof.analysis import bands
from benchproof.analysis.bands import Band
from benchproof.analysis.gate import REFERENCE, Gate, Mode, Statistic, wrong_side
from benchproof.analysis.goals import Priority
from benchproof.analysis.limit import Limit, words_for
from benchproof.document import document_of, policies
from benchproof.errors import UsageError
from benchproof.model import Better, Facet, Frozen, Unit
from benchproof.plugins import nearest
from benchproof.tables import convert, refuse_unknown, table_of

MOST = 100_000  # invocations that a gate may ask for

Metrics = Mapping[str, tuple[Unit, Better]]  # full name -> what is known of it beforehand; may be empty
Known = Mapping[str, Metrics]  # benchmark -> its metrics


class Policy(Frozen, frozen=True, kw_only=True):
    """A policy as it is written; its gates make sense only beside a run. `trust`: tools whose imports may be judged."""

    name: str
    baseline: str | None = None
    trust: tuple[str, ...] = ()
    vary: tuple[Facet, ...] | None = None  # None: what the run's plan says
    gates: dict[str, Any]


class _PolicyTable(Frozen, frozen=True, forbid_unknown_fields=True):
    baseline: str | None = None
    trust: tuple[str, ...] = ()
    vary: tuple[Facet, ...] | None = None


class _GateTable(Frozen, frozen=True, forbid_unknown_fields=True):
    """A table of `[gates]`, not yet held against anything."""

    statistic: Statistic | None = None
    limit: str | None = None
    mode: Mode = "gate"
    target: str | None = None
    must_pass: bool = False
    baseline: str | None = None
    bands: dict[str, Any] | None = None
    require: str | None = None
    least: int = 1
    width: int | None = None
    title: str = ""
    priority: Priority | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.least <= MOST:
            raise ValueError(f"least: expected 1 to {MOST}, found {self.least}")
        if (self.statistic == "speedup") != (self.width is not None):
            what = "none" if self.width is None else f"{self.width} without that"
            raise ValueError(f'width: expected one such as 2 beside statistic = "speedup" alone, found {what}')
        if self.priority is not None and (self.limit is None or self.statistic in {"ratio", "speedup"}):
            raise ValueError("priority: expected a limit on a figure of the target itself beside it")
        if self.title and self.priority is None:
            raise ValueError(f"title: expected priority = \"High\" or the like beside '{self.title}', found none")
        if self.width is not None and self.width < 2:
            raise ValueError(f"width: expected 2 or more, found {self.width}: a speed-up is from one worker to so many")


def load(path: Path) -> Policy:
    """Read a policy file, or the policy of that name that comes with benchproof. Raises UsageError."""
    document = document_of(path, what="policy", shipped=policies())
    refuse_unknown(document, [*_PolicyTable.__struct_fields__, "gates"], path.name)
    gates = table_of(document, "gates", path.name)
    if not gates:
        raise UsageError(
            f'{path.name}: gates: expected at least one table such as [gates."syscall.getpid"], found none'
        )
    top = {key: each for key, each in document.items() if key != "gates"}
    for key in ("trust", "vary"):
        top |= {key: [top[key]]} if isinstance(top.get(key), str) else {}
    table: _PolicyTable = convert(top, _PolicyTable, path.name)
    return Policy(name=path.name, baseline=table.baseline, trust=table.trust, vary=table.vary, gates=gates)


def gates_of(
    tables: Mapping[str, Any],
    *,
    targets: Sequence[str],
    known: Known,
    where: str,
    what: str = "plan",
    lost: Collection[str] = (),
    baseline: str | None = None,
    groups: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Gate]:
    """The gates that the tables state of `what`. Raises UsageError.

    `lost`: benchmarks that are real although there is nothing known of them; `baseline`: of ratios that name none;
    `groups`: names that stand for several targets, with a gate on each.
    """
    names = [*known, *(name for name in lost if name not in known)]
    for key, table in tables.items():
        at = f"{where}: gates.{key}"
        name = benchmark_of(key, names) or next((name for name, metrics in known.items() if key in metrics), None)
        if name is None:
            quotes = "; a name with a dot needs quotes" if _is_nested(table) else ""
            raise UsageError(
                f"{at}: expected a benchmark of this {what} or one of its metrics{quotes}; {nearest(key, list(known))}"
            )
        if not isinstance(table, dict):
            raise UsageError(f"{at}: expected a table, found {table!r}")
        read: _GateTable = convert(table, _GateTable, at)
        for target in _meant(read.target, targets, groups, at):
            one = msgspec.structs.replace(read, target=target)
            yield _gate(key, name, one, known.get(name, {}), at, baseline)


def _meant(
    target: str | None, targets: Sequence[str], groups: Mapping[str, Sequence[str]], where: str
) -> Sequence[str | None]:
    """The targets that a gate is on, each with a verdict of its own; None: all of them."""
    if target is not None and target in groups:
        return [each for each in groups[target] if each in targets]
    if target is not None and target not in targets:
        raise UsageError(f"{where}: target: unknown target '{target}'; {nearest(target, [*groups, *targets])}")
    return [target]


def benchmark_of(key: str, names: Sequence[str]) -> str | None:
    """The benchmark that the key of a gate means, by its own name or that of a metric."""
    meant = [name for name in names if re.fullmatch(rf"{re.escape(name)}(\.\w+)*", key, re.ASCII)]
    return max(meant, key=len, default=None)


def _is_nested(table: Any) -> bool:
    return isinstance(table, dict) and any(isinstance(inner, dict) for inner in table.values())


def _gate(key: str, name: str, read: _GateTable, metrics: Metrics, where: str, baseline: str | None) -> Gate:
    meant = {metric: about for metric, about in metrics.items() if key in {name, metric}}
    table = _bands(read, where)
    limit = None if table else _limit(read, where)
    is_ratio = read.statistic == "ratio"
    if read.baseline is not None and not is_ratio:
        raise UsageError(f'{where}: baseline: expected statistic = "ratio" beside it, found {read.statistic!r}')
    if limit is not None and read.statistic == "speedup":
        _refuse_bad_speedup(limit, where)
    elif limit is not None and is_ratio:
        _refuse_bad_ratio(limit, meant, name, where)
    elif limit is not None:
        _refuse_wrong_unit(limit, meant, name, f"{where}: limit")
    elif table:
        _refuse_wrong_unit(table[0].median, meant, name, f"{where}: bands.{table[0].name}: median")
    return Gate(
        key=key,
        benchmark=name,
        metric=None if key == name else key,
        mode=read.mode,
        target=read.target,
        statistic=read.statistic,
        limit=limit,
        baseline=(read.baseline or baseline or REFERENCE) if is_ratio else None,
        bands=table,
        require=read.require,
        least=read.least,
        width=read.width,
        title=read.title,
        priority=read.priority,
    )


def _limit(table: _GateTable, where: str) -> Limit | None:
    """The limit of a gate, None where it only asks that all passed; exactly one of the two must be there."""
    stated = (table.statistic is not None, table.limit is not None)
    if table.require is not None:
        raise UsageError(f"{where}: require: expected bands = {{ ... }} beside it, found none")
    if table.must_pass and not any(stated):
        return None
    if table.must_pass:
        raise UsageError(f"{where}: expected either must_pass or a statistic with a limit, found both")
    for key, there, example in zip(("statistic", "limit"), stated, ('"max"', '"< 1.2 s"'), strict=True):
        if not there:
            raise UsageError(f"{where}: {key}: expected one such as {key} = {example}, or must_pass = true; found none")
    return _parsed(table.limit, f"{where}: limit")


def _parsed(text: Any, where: str) -> Limit:
    try:
        return Limit.parse(str(text))
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _bands(table: _GateTable, where: str) -> tuple[Band, ...]:
    """The table of bands, from the best to the worst; empty where the gate has none."""
    if table.bands is None:
        return ()
    if table.must_pass or table.statistic is not None or table.limit is not None:
        raise UsageError(f"{where}: expected either bands or a statistic with a limit (or must_pass), found both")
    found = tuple(_band(name, inner, f"{where}: bands.{name}") for name, inner in table.bands.items())
    if not found:
        raise UsageError(f"{where}: bands: expected at least one, from the best to the worst, found none")
    if problem := bands.problem(found):
        raise UsageError(f"{where}: bands.{problem}")
    names = [band.name for band in found]
    if table.require not in names:
        was = f"found '{table.require}'; {nearest(table.require, names)}" if table.require else "found none"
        raise UsageError(f"{where}: require: expected the worst band that is good enough ({', '.join(names)}), {was}")
    return found


def _band(name: str, table: Any, where: str) -> Band:
    example = '{ median = "< 100 ms", p95 = "< 110 ms" }'
    if name == bands.BEYOND:
        raise UsageError(f"{where}: expected another name: this is what holds no limit of any band")
    if not isinstance(table, dict):
        raise UsageError(f"{where}: expected a table such as {example}, found {table!r}")
    refuse_unknown(table, list(bands.STATISTICS), where)
    limits: dict[str, Limit] = {}
    for statistic in bands.STATISTICS:
        if not isinstance(table.get(statistic), str):
            raise UsageError(f"{where}: {statistic}: expected a limit, as in {example}, found {table.get(statistic)!r}")
        limits[statistic] = _parsed(table[statistic], f"{where}: {statistic}")
        if not limits[statistic].bound:
            raise UsageError(f"{where}: {statistic}: expected a limit above nothing, found '{limits[statistic].text}'")
    return Band(name=name, median=limits["median"], p95=limits["p95"])


def _refuse_bad_ratio(limit: Limit, metrics: Metrics, name: str, where: str) -> None:
    if limit.word or not limit.bound:
        raise UsageError(f"{where}: limit: expected a ratio such as '< 1.05' or '> 0.95', found '{limit.text}'")
    problems = {metric: wrong_side(limit, better) for metric, (_, better) in metrics.items()}
    if problems and all(problems.values()):
        metric, problem = next(iter(problems.items()))
        raise UsageError(f"{where}: limit: of {_quantity(metric, name)} {problem}")


def _refuse_bad_speedup(limit: Limit, where: str) -> None:
    if limit.word or not limit.comparison.startswith(">"):
        raise UsageError(f"{where}: limit: expected a speed-up such as '>= 1.6', found '{limit.text}'")


def _refuse_wrong_unit(limit: Limit, metrics: Metrics, name: str, where: str) -> None:
    """As far as it is known beforehand what is measured; of other metrics only the results tell."""
    if not metrics or any(limit.fits(unit) for unit, _ in metrics.values()):
        return
    if limit.unit == "instructions":  # which a target may count instead of time
        return
    metric, (unit, _) = next(iter(metrics.items()))
    expected = f"a unit of {_quantity(metric, name)} ({words_for(unit)})"
    raise UsageError(f"{where}: expected {expected}, found '{limit.text}'")


def _quantity(metric: str, benchmark: str) -> str:
    return metric.removeprefix(f"{benchmark}.")
