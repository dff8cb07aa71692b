"""Why might it be slow? Rules that are data (hints.toml), and what has to be seen before one of them is shown.

A hint is no finding: it names a cause that often stands behind what was seen, and it names what was seen. Where a
condition cannot be looked up, because nothing was measured, it is not met: nothing is shown without evidence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources

import msgspec

from benchproof.analysis import invocations
from benchproof.analysis.cells import Cell
from benchproof.model import Frozen, Passed, Result, Unit

_LONGEST_NUMBER = 40


class _Condition(Frozen, frozen=True, tag_field="if", forbid_unknown_fields=True, kw_only=True):
    def met(self, seen: Seen) -> str:
        """What was seen, in words; empty where it is not met."""
        raise NotImplementedError


class Share(_Condition, frozen=True, kw_only=True, tag="share"):
    """`part` takes more than so much of the whole."""

    part: str
    of: str
    above: float

    def met(self, seen: Seen) -> str:
        one, whole = seen.median(self.part), seen.median(self.of)
        return f"{self.part} is {one / whole:.0%} of {self.of}" if one and whole and one / whole > self.above else ""


class Figure(_Condition, frozen=True, kw_only=True, tag="figure"):
    """The median of a metric, in its base unit, is above."""

    metric: str
    above: float

    def met(self, seen: Seen) -> str:
        found = seen.median(self.metric)
        return (
            f"{self.metric} is {_amount(found, seen, self.metric)}" if found is not None and found > self.above else ""
        )


class Spread(_Condition, frozen=True, kw_only=True, tag="spread"):
    """The most of all samples is so many medians."""

    metric: str
    above: float

    def met(self, seen: Seen) -> str:
        found = seen.figures.get(f"{seen.benchmark}.{self.metric}")
        if found is None or not found.cell.median or found.cell.extent is None:
            return ""
        times, samples = found.cell.extent.max / found.cell.median, found.cell.extent.n
        return f"the most of {samples} samples of {self.metric} is {times:.1f} times the median" * (times > self.above)


class Said(_Condition, frozen=True, kw_only=True, tag="evidence"):
    """Some invocation left this."""

    name: str
    any_of: tuple[str, ...] = ()
    above: float | None = None

    def met(self, seen: Seen) -> str:
        values = [each[self.name] for each in seen.evidence if self.name in each]
        matching = [value for value in values if value in self.any_of or _is_above(value, self.above)]
        if not matching:
            return ""
        return f"{self.name} is '{matching[0]}' in {len(matching)} of {len(seen.evidence)} invocations"


class Parameter(_Condition, frozen=True, kw_only=True, tag="parameter"):
    """It was asked so."""

    name: str
    any_of: tuple[str, ...] = ()
    above: float | None = None
    below: float | None = None

    def met(self, seen: Seen) -> str:
        value = seen.parameters.get(self.name)
        is_met = str(value) in self.any_of
        if isinstance(value, int | float) and not isinstance(value, bool):
            is_met = is_met or (self.above is not None and value > self.above)
            is_met = is_met or (self.below is not None and value < self.below)
        return f"{self.name} = {value}" if is_met else ""


class Fact(_Condition, frozen=True, kw_only=True, tag="fact"):
    """The target is so."""

    section: str
    name: str
    any_of: tuple[str, ...]

    def met(self, seen: Seen) -> str:
        value = seen.facts.get(self.section, {}).get(self.name, "")
        return f"{self.section}.{self.name} is '{value}'" if value in self.any_of else ""


class Slower(_Condition, frozen=True, kw_only=True, tag="slower"):
    """It is slower than its reference, in any metric of the benchmark, by the verdict of the comparison."""

    def met(self, seen: Seen) -> str:
        found = [
            f"{metric} is slower than the reference's, {comparison.ratio.estimate:.2f}x"
            for metric, each in seen.figures.items()
            if (comparison := each.cell.comparison) and comparison.verdict == "slower" and comparison.ratio
        ]
        return found[0] if found else ""


class Differs(_Condition, frozen=True, kw_only=True, tag="differs"):
    """Evidence is another one than the reference's."""

    evidence: str

    def met(self, seen: Seen) -> str:
        name, sides = self.evidence, (seen.evidence, seen.reference)
        own, other = ({each[name] for each in side if name in each} for side in sides)
        if not own or not other or own == other:
            return ""
        return f"{name} is '{' and '.join(sorted(own))}', that of the reference '{' and '.join(sorted(other))}'"


Condition = Share | Figure | Spread | Said | Parameter | Fact | Slower | Differs


class Rule(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One cause."""

    name: str
    benchmarks: tuple[str, ...]
    when: tuple[Condition, ...]
    cause: str
    remedy: str

    def is_about(self, benchmark: str) -> bool:
        """Whether the rule is one of that benchmark."""
        return any(_matches(pattern, benchmark) for pattern in self.benchmarks)


class Rules(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file. `stages`: benchmarks -> the parts that it measures of its latency."""

    stages: dict[str, tuple[str, ...]]
    rules: tuple[Rule, ...]


class Figured(Frozen, frozen=True):
    """A metric of one target, and its unit."""

    cell: Cell
    unit: Unit


class Seen(Frozen, frozen=True, kw_only=True):
    """All that is known of one target's answer to one question. `figures`: by metric, those that have a number."""

    target: str
    benchmark: str
    parameters: Mapping[str, object]
    figures: Mapping[str, Figured]
    evidence: tuple[Mapping[str, str], ...] = ()
    facts: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)
    reference: tuple[Mapping[str, str], ...] = ()  # evidence of the target that it is held against

    def median(self, metric: str) -> float | None:
        """Of a metric by its last part."""
        found = self.figures.get(f"{self.benchmark}.{metric}")
        return None if found is None else found.cell.median


class Hint(Frozen, frozen=True):
    """A likely cause, and what was seen of it."""

    rule: str
    target: str
    benchmark: str
    parameters: Mapping[str, object]
    cause: str
    remedy: str
    seen: tuple[str, ...]


class Stage(Frozen, frozen=True):
    """A part of a call. `share`: of the whole."""

    name: str
    ns: float
    share: float


class Breakdown(Frozen, frozen=True):
    """Where the time of a call goes; what no stage has is the last one, `rest`."""

    target: str
    benchmark: str
    parameters: Mapping[str, object]
    whole_ns: float
    stages: tuple[Stage, ...]


@cache
def rules() -> Rules:
    """Those that come with benchproof."""
    return read(resources.files("benchproof.analysis").joinpath("hints.toml").read_text())


def read(text: str) -> Rules:
    """A file of rules. Raises msgspec.ValidationError."""
    return msgspec.convert(tomllib.loads(text), Rules)


def of(seen: Iterable[Seen], known: Rules) -> Iterator[Hint]:
    """The causes that all their conditions speak for."""
    for each in seen:
        for rule in known.rules:
            if rule.is_about(each.benchmark) and (words := _all_met(rule.when, each)):
                yield Hint(
                    rule.name, each.target, each.benchmark, dict(each.parameters), rule.cause, rule.remedy, words
                )


def breakdowns(seen: Iterable[Seen], known: Rules) -> Iterator[Breakdown]:
    """Of every answer whose parts were measured; parts that are more than the whole are none, and are not shown."""
    for each in seen:
        whole = each.median("latency")
        names = next((names for pattern, names in known.stages.items() if _matches(pattern, each.benchmark)), ())
        parts = {name: ns for name in names if (ns := each.median(name)) is not None}
        if whole and parts and sum(parts.values()) <= whole:
            parts["rest"] = whole - sum(parts.values())
            stages = tuple(Stage(name, ns, ns / whole) for name, ns in parts.items())
            yield Breakdown(each.target, each.benchmark, dict(each.parameters), whole, stages)


def seen_in(
    answers: Iterable[tuple[str, str, Mapping[str, object], Mapping[str, Figured]]],
    results: Iterable[Result],
    facts: Mapping[str, Mapping[str, Mapping[str, str]]],
    references: Mapping[str, str],
) -> Iterator[Seen]:
    """`answers`: target, benchmark, parameters, figures. `facts` and `references`: by target."""
    last = invocations.last_tries(results)
    for target, benchmark, parameters, figures in answers:
        by_target = last.get(invocations.question(benchmark, parameters), {})
        reference = references.get(target, target)
        yield Seen(
            target=target,
            benchmark=benchmark,
            parameters=parameters,
            figures=figures,
            evidence=_passed(by_target.get(target, ())),
            facts=facts.get(target, {}),
            reference=_passed(by_target.get(reference, ())) if reference != target else (),
        )


def _passed(results: Iterable[Result]) -> tuple[Mapping[str, str], ...]:
    return tuple(each.evidence for each in results if isinstance(each.outcome, Passed))


def _matches(pattern: str, benchmark: str) -> bool:
    return benchmark.startswith(pattern[:-1]) if pattern.endswith("*") else benchmark == pattern


def _all_met(conditions: Iterable[Condition], seen: Seen) -> tuple[str, ...]:
    """What was seen, one sentence each; empty where a condition is not met."""
    found = []
    for condition in conditions:
        words = condition.met(seen)
        if not words:
            return ()
        found.append(words)
    return tuple(found)


def _is_above(value: str, above: float | None) -> bool:
    if above is None or not value.isascii() or not value.isdigit() or len(value) > _LONGEST_NUMBER:
        return False
    return int(value) > above


def _amount(value: float, seen: Seen, metric: str) -> str:
    unit = seen.figures[f"{seen.benchmark}.{metric}"].unit
    if unit == "ns":
        return f"{value / 1e6:.4g} ms"
    return f"{value / 2**20:.4g} MiB" if unit == "bytes" else f"{value:.4g} {unit}"
