"""What a console is worth: the report of one benchmark, or the error that its first deciding line makes of it.

The rules, in their order; `docs/protocol.md` has them for kernel authors:
it never began -> StartFailed; it crashed, restarted, ran out of time or ended badly -> TargetFailed, also where a
number was printed before; a program fell while the benchmark was under way -> TargetFailed; it was kept from running
-> LabInvalid; a transcript that is damaged, cut or contradicts itself -> LabInvalid; that of another start ->
TargetFailed; and only then what it says of the benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal, NoReturn

import msgspec

from benchproof.errors import LabInvalid, NotSupported, StartFailed, TargetFailed
from benchproof.model import Clock, Frozen, Reported, Unit
from benchproof.protocol import clocks, own
from benchproof.protocol.events import Begin, Damaged, Done, Event, Started, Wrong
from benchproof.protocol.faults import Fault, sorted_out
from benchproof.protocol.grammar import OWN, Grammar
from benchproof.protocol.ledger import Account, Books, booked, refuse
from benchproof.protocol.lines import Line, lines_of

_NS_PER_S = 10**9
_TRAILER = re.compile(rb"(?:^|\n)@bp end [^\n]*\n")
_LOOKED_AT_BYTES = 256 << 10  # of the end of a console, for its trailer
_FLOOD_BYTES = 4 << 20  # of a console that never ended: enough to see why
_TOLD = 5  # faults in one piece of evidence
_RAW = "print raw ticks of the time-stamp counter: unit=ticks clock=tsc"


class Heard(Frozen, frozen=True):
    """A console from its start, and for each piece of it the offset of its first byte and the host's monotonic clock.

    Without arrivals (a recorded console) no clock is checked.
    """

    text: bytes
    arrivals: tuple[tuple[int, int], ...] = ()


class Ended(Frozen, frozen=True):
    """How the machine ended. `complaint`: QEMU's own words. `at_ns`: when, on the host's monotonic clock, if known.

    `trailer`: we ended it when all was said. `exited`: it ended in a way that nobody asked for.
    """

    how: Literal["trailer", "power-off", "debug-exit", "exited", "time-out", "flood"]
    exit_status: int | None = None
    expected_status: int | None = None
    complaint: str = ""
    at_ns: int = 0


class _Spoken(Frozen, frozen=True):
    """A console taken apart."""

    heard: Heard
    lines: tuple[Line, ...]
    events: tuple[Event, ...]
    faults: tuple[Fault, ...]
    tolerated: tuple[Fault, ...]

    @property
    def last(self) -> str:
        """The last line that says anything, and its place."""
        return next((str(line) for line in reversed(self.lines) if line.text.strip()), "nothing")


def read(
    heard: Heard,
    name: str,
    *,
    ended: Ended,
    grammar: Grammar = OWN,
    token: str = "",
    tolerate: Sequence[str] = (),
    exact: bool = False,
) -> Reported:
    """What the system says of our benchmark `name`, from a console that is whole, undamaged and without faults.

    `token`: what this start was given. `exact`: the machine's time-stamp counter counts instructions. Raises
    StartFailed, TargetFailed, LabInvalid and NotSupported, each with the line that decided it, and UsageError for a
    pattern in `tolerate` that makes no sense.
    """
    spoken = _spoken(heard, grammar, tolerate)
    theirs = grammar.names.get(name, name)
    _refuse_dead(spoken, ended)
    _refuse_user_fault(spoken, theirs)
    _refuse_bad_end(spoken, ended)
    books = _books(spoken, ended, token)
    pace = _pace(spoken, books, exact=exact)
    account = _account(books, theirs)
    reported = _reported(account, books, grammar.mechanism.get(name, account.listed.mechanism), exact=exact)
    if not exact:
        _refuse_impossible(spoken, account, reported)
    return _with_evidence(reported, spoken, books, account, {"protocol.pace": pace} | _freshness(books, token))


def described(
    heard: Heard,
    *,
    ended: Ended,
    grammar: Grammar = OWN,
    token: str = "",
    tolerate: Sequence[str] = (),
    exact: bool = False,
) -> dict[str, str]:
    """What the system says of itself, as facts of an envelope. Raises as `read` does.

    How many ticks its clock makes a second is not among them: it is measured anew in every start.
    """
    spoken = _spoken(heard, grammar, tolerate)
    _refuse_dead(spoken, ended)
    _refuse_bad_end(spoken, ended)
    books = _books(spoken, ended, token)
    pace = "counts instructions" if exact else _pace(spoken, books, exact=exact).partition(":")[0]
    clock = sorted({f"{each.listed.clock} in {each.listed.unit}" for each in books.accounts.values()})
    facts = {
        "protocol": grammar.dialect or f"benchproof {own.VERSION}",
        "stated_system": books.begin.system,
        "stated_build": books.begin.build,
        "stated_clock": ", ".join(clock),
        "freshness": _freshness(books, token)["protocol.freshness"],
        "pace": pace,
    }
    return {key: value for key, value in facts.items() if value}


def is_over(text: bytes, grammar: Grammar = OWN) -> bool:
    """Whether the trailer has come, whole; asked after each piece, it looks at the end of the console alone."""
    del grammar
    return _TRAILER.search(text[-_LOOKED_AT_BYTES:]) is not None


# ---- taking it apart ----


def _spoken(heard: Heard, grammar: Grammar, tolerate: Sequence[str]) -> _Spoken:
    del grammar
    lines = tuple(lines_of(heard.text))
    said = [(line, own.event(line)) for line in lines]
    log = [line for line, event in said if event is None or isinstance(event, Damaged)]
    faults, tolerated = sorted_out(log, tolerate)
    return _Spoken(heard, lines, tuple(event for _, event in said if event is not None), faults, tolerated)


# ---- what ends it before anything is counted ----


def _refuse_dead(spoken: _Spoken, ended: Ended) -> None:
    """Raises StartFailed where it never began, TargetFailed where it did not live to its end."""
    begins = [event.line for event in spoken.events if isinstance(event, Begin)]
    bad = next((fault for fault in spoken.faults if fault.kind in {"panic", "fault"}), None)
    if not begins and not spoken.events:
        why = f"it failed: {bad}" if bad else f"it never printed '@bp begin'; the last of it: {spoken.last}"
        raise StartFailed(f"the system did not start: {why}{_ending(spoken, ended)}")
    if bad:
        raise TargetFailed(f"the system failed: {bad}{_complaint(ended)}")
    if len(begins) > 1:
        raise TargetFailed(f"the system restarted: {begins[1]}")


def _refuse_bad_end(spoken: _Spoken, ended: Ended) -> None:
    for fault in spoken.faults:
        if fault.kind == "warning":
            raise TargetFailed(f"the system warns of itself: {fault}")
    if ended.how in {"time-out", "flood"}:
        over = "although its transcript is whole" if is_over(spoken.heard.text) else "before its transcript was whole"
        _fail(f"the system did not end {over}", spoken, ended)
    status = ended.exit_status
    if status is not None and ended.how != "trailer" and status != (ended.expected_status or 0):
        _fail(f"the machine ended with exit status {status}, expected {ended.expected_status or 0}", spoken, ended)
    if ended.how == "exited" and not is_over(spoken.heard.text):
        _fail("the machine ended by itself", spoken, ended)


def _fail(what: str, spoken: _Spoken, ended: Ended) -> NoReturn:
    raise TargetFailed(f"{what}; the last of it: {spoken.last}{_ending(spoken, ended)}")


def _ending(spoken: _Spoken, ended: Ended) -> str:
    words = {
        "time-out": f"; it ran out of time{_silence(spoken, ended)}",
        "flood": f"; it prints for ever ({len(spoken.heard.text)} bytes were kept)",
        "exited": f"; the machine ended by itself (exit status {ended.exit_status})",
        "power-off": "; the machine was powered off",
        "debug-exit": f"; the machine was ended with status {ended.exit_status}",
        "trailer": "",
    }
    return words[ended.how] + _complaint(ended)


def _silence(spoken: _Spoken, ended: Ended) -> str:
    if not (ended.at_ns and spoken.heard.arrivals):
        return ""
    quiet_s = (ended.at_ns - spoken.heard.arrivals[-1][1]) / _NS_PER_S
    began_s = (ended.at_ns - spoken.heard.arrivals[0][1]) / _NS_PER_S
    return f", silent for {quiet_s:.1f} s" if quiet_s > began_s / 10 else ", still printing"


def _complaint(ended: Ended) -> str:
    return f"; QEMU: {ended.complaint}" if ended.complaint else ""


def _refuse_user_fault(spoken: _Spoken, name: str) -> None:
    first, last = _stretch(spoken, name)
    for fault in spoken.faults:
        if fault.kind == "user" and first <= fault.offset <= last:
            raise TargetFailed(f"a program failed while '{name}' was under way: {fault}")


def _stretch(spoken: _Spoken, name: str) -> tuple[int, int]:
    """From where to where it was under way; one that never ended is so to the end."""
    first, last = len(spoken.heard.text), len(spoken.heard.text)
    for event in spoken.events:
        if isinstance(event, Started) and event.name == name:
            first = event.line.offset
        elif isinstance(event, Done | Wrong) and event.name == name:
            last = event.line.offset
    return first, last


# ---- the books, and the clocks behind them ----


def _books(spoken: _Spoken, ended: Ended, token: str) -> Books:
    for fault in spoken.faults:
        if fault.kind == "stall":
            raise LabInvalid(f"the system was kept from running: {fault}")
    books = booked(spoken.events)
    if books is None:
        raise LabInvalid(
            f"the transcript is cut: expected '@bp end' after {spoken.last}{_ending(spoken, ended)}{_others(spoken)}"
        )
    found = books.begin.token
    if token and found and found != token:
        raise TargetFailed(f"the transcript is that of another start: expected token={token}: {books.begin.line}")
    return books


def _others(spoken: _Spoken) -> str:
    return "".join(f"; a program failed: {fault}" for fault in spoken.faults[:1])


def _freshness(books: Books, token: str) -> dict[str, str]:
    shown = "token" if token and books.begin.token == token else "not shown"
    return {"protocol.freshness": shown}


def _pace(spoken: _Spoken, books: Books, *, exact: bool) -> str:
    """What is known of the pace of its clock. Raises TargetFailed where it is not the host's."""
    begin, end = books.begin, books.end
    if exact or begin.at is None or end.at is None:
        return "not shown"
    elapsed_ns = Fraction(end.at - begin.at) * _NS_PER_S / (begin.hz or _NS_PER_S)
    seen = clocks.window(spoken.heard.arrivals, begin.line, end.line)
    for problem in clocks.wrong_pace(elapsed_ns, seen):
        raise TargetFailed(f"{problem}, from {begin.line} to {end.line}")
    if seen is None or seen.shortest_ns < clocks.LEAST_NS:
        return "not shown"
    return f"the host's: {float(elapsed_ns) / 1e9:.3f} s counted, {seen.shortest_ns / 1e9:.3f} s seen at least"


def _refuse_impossible(spoken: _Spoken, account: Account, reported: Reported) -> None:
    """Samples cannot have taken longer than the host saw the benchmark take."""
    if reported.unit != "ns":
        return
    counted_ns = int(sum((*reported.warmups, *reported.samples)))
    seen = clocks.window(spoken.heard.arrivals, account.first, account.last)
    if seen is not None and clocks.too_long(counted_ns, seen):
        raise TargetFailed(
            f"the samples of '{reported.name}' took {counted_ns / 1e9:.3f} s by its clock, while the host saw "
            f"{(seen.longest_ns or 0) / 1e9:.3f} s pass at most, from {account.first} to {account.last}"
        )


# ---- what it says of the benchmark ----


def _account(books: Books, name: str) -> Account:
    account = books.accounts.get(name)
    if account is None:
        lacking = books.lacking.get(name) or books.lacking.get("*")
        if lacking is None:
            refuse(books.end.line, f"'{name}' was asked for and is neither measured nor unsupported")
        raise NotSupported(f"not_applicable: {lacking.reason} ({lacking.line})")
    if account.wrong is not None:
        raise TargetFailed(f"the system found '{name}' wrong: {account.wrong.reason} ({account.wrong.line})")
    return account


def _reported(account: Account, books: Books, mechanism: str, *, exact: bool) -> Reported:
    unit, clock, scale = _scale(account, books, exact=exact)
    return Reported(
        name=account.listed.name,
        mechanism=mechanism,
        unit=unit,
        clock=clock,
        iterations=account.operations,
        warmups=tuple(float(each * scale) for each in account.warmups),
        samples=tuple(float(each * scale) for each in account.samples),
        evidence=dict(account.evidence),
    )


def _scale(account: Account, books: Books, *, exact: bool) -> tuple[Unit, Clock, Fraction]:
    """The unit of a figure, its clock, and what one of the system's own units is in it."""
    listed = account.listed
    if exact:
        if (listed.unit, listed.clock) != ("ticks", "tsc"):
            raise NotSupported(
                f"what counts instructions is the time-stamp counter, not unit={listed.unit} clock={listed.clock} "
                f"({listed.line})",
                missing=_RAW,
            )
        return "instructions", "instructions", Fraction(1)
    if listed.unit == "ticks":
        return "ns", "target", Fraction(_NS_PER_S, books.begin.hz or _NS_PER_S)
    return ("cycles" if listed.unit == "cycles" else "ns"), "target", Fraction(1)


def _with_evidence(
    reported: Reported, spoken: _Spoken, books: Books, account: Account, known: dict[str, str]
) -> Reported:
    """What we know of the transcript beside what the system says; its keys cannot be the system's."""
    ours = known | {
        "protocol.lines": f"{account.first.number} to {account.last.number}",
        "protocol.clock": f"{account.listed.clock} in {account.listed.unit}",
        "protocol.hz": str(books.begin.hz or ""),
        "protocol.tolerated": "; ".join(map(str, spoken.tolerated[:_TOLD])),
        "protocol.user_faults": "; ".join(_elsewhere(spoken)),
    }
    evidence = reported.evidence | {key: value for key, value in ours.items() if value}
    return msgspec.structs.replace(reported, evidence=evidence)


def _elsewhere(spoken: _Spoken) -> Iterator[str]:
    return (str(fault) for fault in [each for each in spoken.faults if each.kind == "user"][:_TOLD])
