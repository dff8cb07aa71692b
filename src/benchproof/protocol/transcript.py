"""What a console is worth: the report of one benchmark, or the error that its first deciding line makes of it.

The rules, in their order; `docs/protocol.md` has them for kernel authors:
it never began -> StartFailed; it crashed, restarted, ran out of time or ended badly -> TargetFailed, also where a
number was printed before; a program fell while the benchmark was under way -> TargetFailed; it was kept from running
-> LabInvalid; a transcript that is damaged, cut or contradicts itself -> LabInvalid; that of another start ->
TargetFailed; and only then what it says of the benchmark.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from fractions import Fraction

import msgspec

from benchproof.errors import LabInvalid, NotSupported, TargetFailed
from benchproof.model import Clock, Reported, Unit
from benchproof.protocol import clocks, dialect, own
from benchproof.protocol.endings import ending, refuse_bad_end, refuse_dead, refuse_user_fault
from benchproof.protocol.grammar import OWN, Grammar
from benchproof.protocol.ledger import Account, Books, booked, refuse
from benchproof.protocol.spoken import Ended, Heard, Spoken, is_over, taken_apart

__all__ = ["Ended", "Heard", "Transcript", "described", "is_over", "read"]
_NS_PER_S = 10**9
_BY_ITSELF = ("power-off", "debug-exit")
_TOLD = 5  # faults in one piece of evidence
_RAW = "print raw ticks of the time-stamp counter: unit=ticks clock=tsc"


class Transcript:
    """A console whose lines are taken apart once, for any number of questions.

    `token`: what this start was given. `exact`: the machine's time-stamp counter counts instructions. Raises
    TargetFailed where it is too long to be one transcript, UsageError for a pattern that makes no sense.
    """

    def __init__(
        self,
        heard: Heard,
        *,
        ended: Ended,
        grammar: Grammar = OWN,
        token: str = "",
        tolerate: Sequence[str] = (),
        exact: bool = False,
    ) -> None:
        self.grammar = grammar
        self._spoken = taken_apart(heard, grammar, tolerate)
        self._ended = ended
        self._token = token
        self._exact = exact

    @functools.cached_property
    def _found(self) -> Books | LabInvalid | TargetFailed:
        try:
            return _books(self._spoken, self._ended, self._token)
        except (LabInvalid, TargetFailed) as error:
            return error

    def _books(self) -> Books:
        if isinstance(self._found, Books):
            return self._found
        raise self._found

    def of(self, name: str) -> Reported:
        """What the system says of our benchmark `name`.

        Raises StartFailed, TargetFailed, LabInvalid and NotSupported, each with the line that decided it.
        """
        spoken, theirs = self._spoken, self.grammar.names.get(name, name)
        refuse_dead(spoken, self._ended)
        refuse_user_fault(spoken, theirs)
        refuse_bad_end(spoken, self._ended)
        books = self._books()
        pace = _pace(spoken, books, exact=self._exact)
        account = _account(books, theirs)
        mechanism = self.grammar.mechanism.get(name, account.listed.mechanism)
        reported = _reported(account, books, self.grammar, mechanism, exact=self._exact)
        if not self._exact:
            _refuse_impossible(spoken, account, reported)
        known = {"protocol.pace": pace, "protocol.freshness": _freshness(books, self._token)}
        return _with_evidence(reported, spoken, books, account, known)

    def described(self) -> dict[str, str]:
        """What the system says of itself, as facts of an envelope. Raises as `of` does.

        They are the same in every start: so how many ticks its clock makes a second is not among them.
        """
        refuse_dead(self._spoken, self._ended)
        refuse_bad_end(self._spoken, self._ended)
        books = self._books()
        _pace(self._spoken, books, exact=self._exact)
        stated = None not in {books.begin.at, books.end.at}
        clock = sorted({f"{each.listed.clock} in {each.listed.unit}" for each in books.accounts.values()})
        facts = {
            "protocol": f"dialect {self.grammar.dialect}" if self.grammar.dialect else f"benchproof {own.VERSION}",
            "stated_system": books.begin.system,
            "stated_build": books.begin.build,
            "stated_clock": ", ".join(clock),
            "freshness": _freshness(books, self._token),
            "pace": "counts instructions" if self._exact else "held against the host's" if stated else "not shown",
        }
        return {key: value for key, value in facts.items() if value}


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

    Raises as `Transcript` and its `of` do.
    """
    return Transcript(heard, ended=ended, grammar=grammar, token=token, tolerate=tolerate, exact=exact).of(name)


def described(
    heard: Heard,
    *,
    ended: Ended,
    grammar: Grammar = OWN,
    token: str = "",
    tolerate: Sequence[str] = (),
    exact: bool = False,
) -> dict[str, str]:
    """What the system says of itself, as facts of an envelope. Raises as `read` does."""
    return Transcript(heard, ended=ended, grammar=grammar, token=token, tolerate=tolerate, exact=exact).described()


# ---- the books, and the clocks behind them ----


def _books(spoken: Spoken, ended: Ended, token: str) -> Books:
    for fault in spoken.faults:
        if fault.kind == "stall":
            raise LabInvalid(f"the system was kept from running: {fault}")
    grammar = spoken.grammar
    if not (grammar.is_own or grammar.end or ended.how in _BY_ITSELF):
        raise LabInvalid(f"the grammar has no 'end', and the machine did not end by itself; {spoken.last}")
    books = booked(spoken.events) if grammar.is_own else dialect.booked(spoken.events, grammar)
    if books is None:
        words = f"expected {_trailer(grammar)} after {spoken.last}"
        raise LabInvalid(f"the transcript is cut: {words}{ending(spoken, ended)}{_others(spoken)}")
    found = books.begin.token
    if token and found and found != token:
        raise TargetFailed(f"the transcript is that of another start: expected token={token}: {books.begin.line}")
    return books


def _trailer(grammar: Grammar) -> str:
    return "'@bp end'" if grammar.is_own else f"a line that '{grammar.end}' matches"


def _others(spoken: Spoken) -> str:
    return "".join(f"; a program failed: {fault}" for fault in spoken.faults[:1])


def _freshness(books: Books, token: str) -> str:
    return "token" if token and books.begin.token == token else "not shown"


def _pace(spoken: Spoken, books: Books, *, exact: bool) -> str:
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


def _refuse_impossible(spoken: Spoken, account: Account, reported: Reported) -> None:
    """Samples cannot have taken longer than the host saw the benchmark take."""
    if reported.unit != "ns":
        return
    counted_ns = int(sum((*reported.warmups, *reported.samples)))
    first = account.first if spoken.starts else spoken.lines[0]  # a dialect may print when all is over
    seen = clocks.window(spoken.heard.arrivals, first, account.last)
    if seen is not None and clocks.too_long(counted_ns, seen):
        raise TargetFailed(
            f"the samples of '{reported.name}' took {counted_ns / 1e9:.3f} s by its clock, while the host saw "
            f"{(seen.longest_ns or 0) / 1e9:.3f} s pass at most, from {first} to {account.last}"
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
    if not min(account.samples, default=0) > 0:
        refuse(account.last, f"'{name}' took no time at all: the clock did not move")
    return account


def _reported(account: Account, books: Books, grammar: Grammar, mechanism: str, *, exact: bool) -> Reported:
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
        source="" if grammar.is_own or account.evidence else grammar.dialect,
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
    reported: Reported, spoken: Spoken, books: Books, account: Account, known: dict[str, str]
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


def _elsewhere(spoken: Spoken) -> Iterator[str]:
    return (str(fault) for fault in [each for each in spoken.faults if each.kind == "user"][:_TOLD])
