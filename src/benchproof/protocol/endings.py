"""How a system can fail on its console, whatever numbers it printed: each rule raises with the line that decided it."""

from __future__ import annotations

from typing import NoReturn

from benchproof.errors import StartFailed, TargetFailed
from benchproof.protocol.events import Begin, Done, End, Lacking, Listed, Started, Wrong
from benchproof.protocol.grammar import Grammar
from benchproof.protocol.spoken import Ended, Spoken

_NS_PER_S = 10**9


def refuse_dead(spoken: Spoken, ended: Ended) -> None:
    """Raises StartFailed where it never began, TargetFailed where it did not live to its end."""
    begins = [event.line for event in spoken.events if isinstance(event, Begin)]
    bad = next((fault for fault in spoken.faults if fault.kind in {"panic", "fault"}), None)
    if not begins and not spoken.events:
        why = (
            f"it failed: {bad}" if bad else f"it never printed {_first(spoken.grammar)}; the last of it: {spoken.last}"
        )
        raise StartFailed(f"the system did not start: {why}{ending(spoken, ended)}")
    if bad:
        raise TargetFailed(f"the system failed: {bad}{_complaint(ended)}")
    if len(begins) > 1:
        raise TargetFailed(f"the system restarted: {begins[1]}")


def _first(grammar: Grammar) -> str:
    return "'@bp begin'" if grammar.is_own else f"a line of the dialect '{grammar.dialect}'"


def refuse_bad_end(spoken: Spoken, ended: Ended) -> None:
    """Raises TargetFailed where it warns of itself, or the machine did not end as it should."""
    for fault in spoken.faults:
        if fault.kind == "warning":
            raise TargetFailed(f"the system warns of itself: {fault}")
    if ended.how in {"time-out", "flood"}:
        over = "although its transcript is whole" if spoken.is_over else "before its transcript was whole"
        _fail(f"the system did not end {over}", spoken, ended)
    expected = 0 if ended.expected_status is None and ended.how != "debug-exit" else ended.expected_status
    if ended.how != "trailer" and None not in {ended.exit_status, expected} and ended.exit_status != expected:
        _fail(f"the machine ended with exit status {ended.exit_status}, expected {expected}", spoken, ended)
    if ended.how == "exited" and not spoken.is_over:
        _fail("the machine ended before its transcript was whole", spoken, ended)


def _fail(what: str, spoken: Spoken, ended: Ended) -> NoReturn:
    raise TargetFailed(f"{what}; the last of it: {spoken.last}{ending(spoken, ended)}")


def ending(spoken: Spoken, ended: Ended) -> str:
    """How it ended, to be said behind what is wrong."""
    words = {
        "time-out": f"; it ran out of time{_silence(spoken, ended)}",
        "flood": f"; it prints for ever ({len(spoken.heard.text)} bytes were kept)",
        "exited": f"; the machine ended by itself, exit status {ended.exit_status}",
        "power-off": "; the machine was powered off",
        "debug-exit": f"; the machine was ended by its debug exit, status {ended.exit_status}",
        "trailer": "",
    }
    return words[ended.how] + _complaint(ended)


def _silence(spoken: Spoken, ended: Ended) -> str:
    if not (ended.at_ns and spoken.heard.arrivals):
        return ""
    quiet_s = (ended.at_ns - spoken.heard.arrivals[-1][1]) / _NS_PER_S
    began_s = (ended.at_ns - spoken.heard.arrivals[0][1]) / _NS_PER_S
    return f", silent for {quiet_s:.1f} s" if quiet_s > began_s / 10 else ", still printing"


def _complaint(ended: Ended) -> str:
    return f"; QEMU: {ended.complaint}" if ended.complaint else ""


def refuse_user_fault(spoken: Spoken, name: str) -> None:
    """Raises TargetFailed where a program fell while the benchmark was under way."""
    first, last = _stretch(spoken, name)
    for fault in spoken.faults:
        if fault.kind == "user" and first <= fault.offset <= last:
            raise TargetFailed(f"a program failed while '{name}' was under way: {fault}")


def _stretch(spoken: Spoken, name: str) -> tuple[int, int]:
    """From where to where it was under way; one that was begun and never ended is so to the end.

    In a dialect without a line that begins it, that is from the line of the benchmark before.
    """
    end = len(spoken.heard.text)
    first, last, before = end, end, 0
    for event in spoken.events:
        mine = getattr(event, "name", "") == name and not isinstance(event, Listed | Lacking)
        if isinstance(event, Started) and mine:
            first = event.line.offset
        elif first < last == end and isinstance(event, Started | Done | Wrong | End):
            last = event.line.offset
        elif mine and not spoken.starts:
            first, last = min(first, before), event.line.offset
        before = event.line.offset
    return first, last
