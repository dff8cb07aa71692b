"""Small pure checks that benchmarks share. Each yields one sentence per violation and nothing when all is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from benchproof.errors import LabInvalid

Evidence = Mapping[str, str]

_LONGEST_NUMBER = 40  # digits
CLOCK_TOLERANCE = 0.02  # how much faster than the host's clock a target's may run
CLOCK_SLACK_NS = 2_000_000
STARTING_NS = 2_000_000_000  # what a process may need to start and end, outside of its own clock's sight


def number(evidence: Evidence, name: str) -> int:
    """The evidence as a whole number; absent or malformed evidence is -1, which no check accepts."""
    text = evidence.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else -1


def equals(evidence: Evidence, name: str, expected: object) -> Iterator[str]:
    """The evidence is exactly this."""
    if evidence.get(name) != str(expected):
        yield f"{name}: expected {expected}, found {evidence.get(name, 'nothing')}"


def one_of(evidence: Evidence, name: str, *expected: str) -> Iterator[str]:
    """The evidence is one of these."""
    if evidence.get(name) not in expected:
        yield f"{name}: expected {' or '.join(expected)}, found {evidence.get(name, 'nothing')}"


def no_failures(evidence: Evidence) -> Iterator[str]:
    """Operations were executed, and each returned what it should."""
    if number(evidence, "operations") < 1:
        yield "no operation was executed"
    if number(evidence, "failures") != 0:
        found = evidence.get("failures", "an unknown number")
        yield f"{found} of {evidence.get('operations', '?')} operations returned something else than they should"


def samples_took_time(evidence: Evidence) -> Iterator[str]:
    """There are samples, time passed in each, and together they took no longer than the whole."""
    if number(evidence, "shortest_sample_ns") < 1:
        yield "no sample was taken, or no time passed in one"
    if number(evidence, "sampled_ns") > number(evidence, "wall_ns"):
        yield f"the samples took {evidence.get('sampled_ns')} ns, all batches only {evidence.get('wall_ns')} ns"


def clocks_agree(evidence: Evidence) -> Iterator[str]:
    """The target's clock fits into the time that the host saw pass: it neither stood still nor ran ahead.

    `wall_ns` is on the target's clock, all batches together; `host_ns` on the host's, the command as a whole.
    """
    inside, outside = number(evidence, "wall_ns"), number(evidence, "host_ns")
    if inside < 1 or outside < 1:
        yield f"a clock stood still: the target counted {inside} ns, the host {outside} ns"
    elif inside > outside * (1 + CLOCK_TOLERANCE) + CLOCK_SLACK_NS:
        yield f"the target's clock runs ahead: it counted {inside} ns within {outside} ns of the host"
    elif inside < (outside - STARTING_NS) / 2:
        yield f"the target's clock runs behind: it counted {inside} ns within {outside} ns of the host"


def refuse_starved(evidence: Evidence) -> None:
    """Raises LabInvalid where a clock runs behind: slow, or not started for long by a busy host, nobody can tell which.

    A clock that is slow all the time is found when the target is asked what it is, on a stretch of half a second.
    """
    late = next((words for words in clocks_agree(evidence) if "runs behind" in words), "")
    if late:
        raise LabInvalid(f"{late}; or a busy host kept it from starting")


def injected(evidence: Evidence, *, delay_ns: str | None, instructions: int | None) -> Iterator[str]:
    """What was made slower on purpose was, by what was asked and no less; what was not asked for was not.

    `delay_ns` as it was asked for, per operation; `lingered_ns` is what the delays of all operations took together.
    """
    for name, asked in (("injected_ns", delay_ns), ("injected_instructions", instructions)):
        found = evidence.get(name)
        if found != (None if asked is None else str(asked)):
            yield f"{name}: expected {asked or 'nothing'}, found {found or 'nothing'}"
    if delay_ns is None and instructions is None:
        return
    operations = number(evidence, "injected_operations")
    if not 1 <= operations <= number(evidence, "operations"):
        yield f"injected_operations: expected up to {evidence.get('operations')}, found {operations}"
    if delay_ns is not None and not operations * Decimal(delay_ns) <= number(evidence, "lingered_ns"):
        found = evidence.get("lingered_ns", "nothing")
        yield f"{operations} operations were to be delayed by {delay_ns} ns each, found {found} ns in all"


def answers(evidence: Evidence, *, at_least: int) -> Iterator[str]:
    """Each question was asked once, and its answer is the question itself, with exit status 0.

    `asked`, `answered` and `exit_statuses` are lists of words of equal length.
    """
    asked, answered, statuses = (evidence.get(name, "").split() for name in ("asked", "answered", "exit_statuses"))
    if not len(asked) == len(answered) == len(statuses) >= at_least:
        yield f"expected {at_least} commands or more, found {len(asked)} with {len(answered)} answers"
    if len(set(asked)) != len(asked):
        yield "a question was asked twice: its answer proves nothing"
    wrong = [pair for pair in zip(asked, answered, strict=False) if pair[0] != pair[1]]
    if wrong:
        expected, found = wrong[0]
        stale = ", the answer to another question" if found in asked else ""
        yield f"{len(wrong)} of {len(asked)} commands answered wrongly: expected '{expected}', found '{found}'{stale}"
    bad = [status for status in statuses if status != "0"]
    if bad:
        yield f"{len(bad)} of {len(asked)} commands ended with an exit status that is not 0, the first with {bad[0]}"


def nothing_left(evidence: Evidence) -> Iterator[str]:
    """Instances were ended, each held something that can be looked for, and none of it is left.

    `gone_by_its_service`: of so many the service that made them was asked, too; it is the only proof on another host.
    """
    if number(evidence, "instances_ended") < 1:
        yield "no instance was ended"
    asked = number(evidence, "gone_by_its_service") == number(evidence, "instances_ended")
    if number(evidence, "fewest_processes_held") < 1 and not asked:
        yield "an instance held no process: whether it is gone cannot be known"
    if evidence.get("left_behind") != "nothing":
        yield f"left behind by an instance that was ended: {evidence.get('left_behind', 'an unknown number of things')}"


def same(evidence: Evidence, expected: str, found: str) -> Iterator[str]:
    """Two lists of words are equal, and not empty."""
    left, right = (evidence.get(name, "").split() for name in (expected, found))
    different = sum(one != other for one, other in zip(left, right, strict=False))
    if not left or len(left) != len(right):
        yield f"{found}: expected {len(left) or 'some'}, found {len(right)}"
    elif different:
        yield f"{found}: {different} of {len(left)} differ from {expected}"
