"""What the invocations of one case amount to together: which of them count, how they ended and why.

Here too is the one number of an invocation, the same for every table, comparison and gate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

import msgspec

from benchproof.analysis import stats, steady
from benchproof.analysis.steady import Steady, Together
from benchproof.model import Failed, Invalid, Measurement, Passed, Result, Unsupported, Unverified

_INVALID_SHARE = 0.1  # of the invocations; with more of them bad, the rest is not believed either
_WORST_FIRST = ("failed", "unverified", "passed", "unsupported", "invalid")

INJECTIONS = ("inject", "inject_instructions")

Question = tuple[str, str]  # benchmark, parameters
Asked = tuple[Question, str]  # of one target
Attempt = tuple[Asked, int, int]  # block and attempt: each has a line in results.jsonl


def question(benchmark: str, parameters: Mapping[str, object]) -> Question:
    """Equal for equal questions, whatever the order of their parameters."""
    return benchmark, msgspec.json.encode(parameters, order="sorted").decode()


def injection(parameters: Mapping[str, object]) -> dict[str, object]:
    """What a case was made slower by, on purpose; empty for a plain one."""
    return {name: parameters[name] for name in INJECTIONS if name in parameters}


def injected(parameters: Mapping[str, object]) -> str:
    """The same in words, for whoever reads a figure of it; empty for a plain case."""
    found = injection(parameters)
    delay_s, chain = (found.get(name) for name in INJECTIONS)
    words = [f"{delay_s * 1e9:.6g} ns"] if isinstance(delay_s, float) else []
    return " and ".join([*words, *([f"{chain} instructions"] if chain is not None else [])])


def last_tries(results: Iterable[Result]) -> dict[Question, dict[str, list[Result]]]:
    """The last try of each invocation, by question and target; the tries before it were invalid."""
    last: dict[tuple[Question, str, int], Result] = {}
    for result in results:
        key = (question(result.benchmark, result.parameters), result.target, result.block)
        if key not in last or result.attempt > last[key].attempt:
            last[key] = result
    found: dict[Question, dict[str, list[Result]]] = {}
    for (asked, target, _), result in last.items():
        found.setdefault(asked, {}).setdefault(target, []).append(result)
    return found


def attempt(result: Result) -> Attempt:
    """Which line a result is, whatever became of its outcome since."""
    return (question(result.benchmark, result.parameters), result.target), result.block, result.attempt


def lines(results: Iterable[Result]) -> dict[Attempt, int]:
    """Where each result stands, counted from 1, of all results of a run in their order."""
    return {attempt(result): number for number, result in enumerate(results, start=1)}


def statuses(results: Iterable[Result]) -> Counter[str]:
    """How often each status of an outcome occurs."""
    return Counter(str(result.outcome.__struct_config__.tag) for result in results)


def status(results: Sequence[Result]) -> str:
    """One word for all: any wrong answer takes the number away, what fails sometimes is not known to have worked."""
    if not results:
        return "missing"
    by_status = statuses(results)
    worst = next(each for each in _WORST_FIRST if by_status[each])
    return "invalid" if worst == "passed" and by_status["invalid"] > _INVALID_SHARE * len(results) else worst


def notes(results: Sequence[Result]) -> tuple[str, ...]:
    """The three most frequent reasons why there is no number, or why there are fewer."""
    if not results:
        return ("not run",)
    reasons = Counter(text for result in results for text in _reasons(result))
    many = len(results) > 1
    return tuple(f"{text} ({count} of {len(results)})" if many else text for text, count in reasons.most_common(3))


def _reasons(result: Result) -> tuple[str, ...]:
    match result.outcome:
        case Failed(violations=violations):
            return violations
        case Unsupported(reason=reason, missing=missing):
            return (f"{reason}; to get it: {missing}" if missing else reason,)
        case Invalid(reason=reason):
            return (reason,)
        case Unverified(source=source):
            return (f"stated by {source}, not verified",)
        case Passed():
            return ()
    assert_never(result.outcome)


def value(measurement: Measurement) -> float:
    """The one number of an invocation: the median of its samples, those of a warm-up left out.

    Only a warm-up that ended is left out: the samples after it are what the case is about. Where they end slower or
    never settle, nothing says which of them are the right ones, and all count.
    """
    found = steadiness(measurement)
    return stats.median(measurement.samples[found.counts_from if found else 0 :])


def steadiness(measurement: Measurement) -> Steady | None:
    """What the samples did over the invocation; None for counts, which are no series in time."""
    if measurement.clock == "instructions":
        return None
    return steady.classify(measurement.samples, better=measurement.better)


def steadiness_of(results: Iterable[Result], metric: str) -> Together | None:
    """Of the invocations of a case that passed; None where there is none."""
    found = [steadiness(measurement) for measurement in measurements(results, metric).values()]
    known = [each for each in found if each is not None]
    return steady.together(known) if known else None


def values(results: Iterable[Result], metric: str) -> dict[int, float]:
    """One number an invocation that passed, by block."""
    return {block: value(measurement) for block, measurement in measurements(results, metric).items()}


def measurements(results: Iterable[Result], metric: str) -> dict[int, Measurement]:
    """One metric of each invocation that passed, by block."""
    return {
        result.block: measurement
        for result in results
        if isinstance(result.outcome, Passed)
        for measurement in result.outcome.measurements
        if measurement.metric == metric
    }
