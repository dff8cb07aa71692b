"""What must hold whatever happens, as pure functions over events: one sentence for each violation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchproof.benchmarks.resilience.events import Event, of
from benchproof.model import Measurement

WORK = ("echo", "write", "read", "recall")


def whole(events: Sequence[Event], *, wall_ns: int) -> Iterator[str]:
    """There are events, and each lies within the time that the invocation took."""
    if not events:
        yield "events: expected a list of operations, found none that can be read"
    for event in events:
        if not 0 <= event.started_ns <= event.ended_ns <= wall_ns:
            times = f"{event.started_ns} to {event.ended_ns} ns"
            yield f"{said(event)}: expected times in order and within {wall_ns} ns, found {times}"
            return


def never_wrong(events: Sequence[Event]) -> Iterator[str]:
    """An operation may fail, but what is answered is right; and no word was asked for twice."""
    wrong = [event for event in events if event.wrong]
    if wrong:
        yield f"{len(wrong)} of {len(events)} answers are wrong: {said(wrong[0])}: {difference(wrong[0])}"
    words = [event.asked for event in of(events, "hello", "echo")]
    if len(set(words)) < len(words):
        yield "a word was asked for twice: its echo proves nothing"


def none_failed(events: Iterable[Event]) -> Iterator[str]:
    """No operation failed."""
    failed = [event for event in events if event.status == "failed"]
    if failed:
        yield f"{len(failed)} operations failed, the first: {said(failed[0])}: {failed[0].seen}"


def in_time(events: Iterable[Event], *, deadline_ns: int) -> Iterator[str]:
    """No operation took longer than the deadline, whether it went well or not."""
    late = [event for event in events if event.elapsed_ns > deadline_ns]
    if late:
        worst = max(late, key=lambda event: event.elapsed_ns)
        yield (
            f"{len(late)} operations missed the deadline of {deadline_ns / 1e6:g} ms, the worst: {said(worst)}"
            f" took {worst.elapsed_ns / 1e6:.0f} ms"
        )


def nothing_lost(events: Sequence[Event], agent: int, *, heir: int = 0, until_ns: int | None = None) -> Iterator[str]:
    """Every file that was acknowledged (and not written over) was looked for in the end, and found as it was written.

    `heir`: who looked, where it was another; `until_ns`: only writes that were acknowledged before that must be there.
    """
    owed = acknowledged(events, agent, until_ns=until_ns)
    looks = {event.asked: event for event in of(events, "recall") if event.agent == (heir or agent)}
    for promise in sorted(owed):
        event = looks.get(promise)
        if event is None:
            yield f"agent {agent}: '{promise}' was acknowledged, and nobody looked for it in the end"
        elif not event.right:
            yield f"acknowledged and lost: {said(event)}: {difference(event)}"


def acknowledged(events: Iterable[Event], agent: int, *, until_ns: int | None = None) -> frozenset[str]:
    """What an agent's sandbox holds by its own word: of each file the last content, if that was acknowledged."""
    files: dict[str, str] = {}
    for event in events:
        if event.agent != agent or event.operation != "write" or (until_ns and event.started_ns > until_ns):
            continue
        name = event.asked.partition(":")[0]
        files.pop(name, None)
        if event.right and (until_ns is None or event.ended_ns <= until_ns):
            files[name] = event.asked
    return frozenset(files.values())


def follows(found: Sequence[Measurement], anew: Sequence[Measurement]) -> Iterator[str]:
    """The figures are those that the events give."""
    by_name = {each.metric: each for each in anew}
    for each in found:
        if by_name.get(each.metric) != each:
            yield f"{each.metric}: does not follow from the events"
    yield from (f"{name}: missing" for name in by_name.keys() - {each.metric for each in found})


def said(event: Event) -> str:
    """Which operation it was."""
    return f"{event.operation} of agent {event.agent} at {event.started_ns / 1e6:.1f} ms"


def difference(event: Event) -> str:
    """What was expected and what was found."""
    if event.status == "failed":
        return f"expected '{event.asked}', but it failed: {event.seen}"
    return f"expected '{event.asked}', found '{event.seen}'"
