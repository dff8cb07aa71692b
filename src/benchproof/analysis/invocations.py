"""What the invocations of one case amount to together: which of them count, how they ended and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

import msgspec

from benchproof.model import Failed, Invalid, Passed, Result, Unsupported, Unverified

_INVALID_SHARE = 0.1  # of the invocations; with more of them bad, the rest is not believed either
_WORST_FIRST = ("failed", "unverified", "passed", "unsupported", "invalid")

Question = tuple[str, str]  # benchmark, parameters
Asked = tuple[Question, str]  # of one target


def question(benchmark: str, parameters: Mapping[str, object]) -> Question:
    """Equal for equal questions, whatever the order of their parameters."""
    return benchmark, msgspec.json.encode(parameters, order="sorted").decode()


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


def statuses(results: Iterable[Result]) -> Counter[str]:
    """How often each status of an outcome occurs."""
    return Counter(str(msgspec.to_builtins(result.outcome)["status"]) for result in results)


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
            return (f"imported from {source}, not verified",)
        case Passed():
            return ()
    assert_never(result.outcome)
