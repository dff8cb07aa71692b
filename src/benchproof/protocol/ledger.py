"""The books of one transcript: who was listed, begun, timed and ended, in which order, and whether the counts agree.

Every contradiction is `LabInvalid`: a console that loses, doubles or damages lines says nothing of the system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn

from benchproof.errors import LabInvalid
from benchproof.model import Frozen
from benchproof.protocol.events import (
    Amount,
    Begin,
    Damaged,
    Done,
    End,
    Event,
    Lacking,
    Listed,
    Started,
    Timed,
    Told,
    Wrong,
)
from benchproof.protocol.lines import Line


class Account(Frozen, frozen=True, kw_only=True):
    """All that was said of one benchmark. `samples` and `warmups` are elapsed units."""

    listed: Listed
    first: Line
    last: Line
    operations: int
    warmups: tuple[Amount, ...]
    samples: tuple[Amount, ...]
    evidence: Mapping[str, str]
    wrong: Wrong | None = None


class Books(Frozen, frozen=True, kw_only=True):
    """A whole transcript without contradictions."""

    begin: Begin
    end: End
    accounts: Mapping[str, Account]
    lacking: Mapping[str, Lacking]


def refuse(line: Line | str, problem: str) -> NoReturn:
    """Raises LabInvalid, with the line that decided it."""
    raise LabInvalid(f"{line}: {problem}")


class Open:
    """A benchmark that is under way, or may still be."""

    def __init__(self, listed: Listed, first: Line) -> None:
        self.listed = listed
        self.first = first
        self.timed: list[Timed] = []
        self.evidence: dict[str, str] = {}

    def take(self, event: Timed) -> None:
        """One more figure. Raises LabInvalid where it cannot follow those before it."""
        before = [each.role for each in self.timed]
        if event.role == "warmup" and set(before) - {"warmup"}:
            refuse(event.line, "a warm-up after a sample")
        if "total" in before or (event.role == "total" and "sample" in before):
            refuse(event.line, f"a total stands alone, in place of samples ({self.timed[-1].line})")
        if before and event.operations != self.timed[0].operations:
            refuse(
                event.line,
                f"expected {self.timed[0].operations} operations as in {self.timed[0].line}, found {event.operations}",
            )
        self.timed.append(event)

    def tell(self, event: Told) -> None:
        """One more piece of evidence. Raises LabInvalid for one that is there already."""
        if event.key in self.evidence:
            refuse(event.line, f"'{event.key}' was told already")
        self.evidence[event.key] = event.value

    def closed(self, last: Line, wrong: Wrong | None = None) -> Account:
        """All of it."""
        return Account(
            listed=self.listed,
            first=self.first,
            last=last,
            operations=self.timed[0].operations if self.timed else 0,
            warmups=tuple(each.elapsed for each in self.timed if each.role == "warmup"),
            samples=tuple(each.elapsed for each in self.timed if each.role != "warmup"),
            evidence=self.evidence,
            wrong=wrong,
        )


class _Ledger:
    """Takes the events in their order. Raises LabInvalid at the first that cannot follow those before it."""

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.listed: dict[str, Listed] = {}
        self.lacking: dict[str, Lacking] = {}
        self.accounts: dict[str, Account] = {}
        self.under_way: Open | None = None
        self.listing = True  # until the first start
        self.lines = 1
        self.end: End | None = None

    def take(self, event: Event) -> None:
        self.lines += 1
        if self.end is not None:
            refuse(event.line, "a line of the protocol after its end")
        match event:
            case Damaged():
                refuse(event.line, event.problem)
            case Listed() | Lacking():
                self._list(event)
            case Started():
                self._start(event)
            case Timed():
                self._of(event.line, event.name).take(event)
            case Told():
                self._of(event.line, event.name).tell(event)
            case Wrong():
                self.accounts[event.name] = self._of(event.line, event.name).closed(event.line, event)
                self.under_way = None
            case Done():
                self._done(event, self._of(event.line, event.name))
            case End():
                self._end(event)

    def _list(self, event: Listed | Lacking) -> None:
        if not self.listing:
            refuse(event.line, "expected before the first 'start'")
        if event.name in self.listed or event.name in self.lacking:
            refuse(event.line, f"'{event.name}' is listed already")
        if isinstance(event, Lacking):
            self.lacking[event.name] = event
            return
        if event.unit == "ticks" and not self.begin.hz:
            refuse(event.line, f"unit=ticks needs hz in the first line, found none ({self.begin.line})")
        self.listed[event.name] = event

    def _start(self, event: Started) -> None:
        self._close_list(event.line)
        if self.under_way is not None:
            refuse(event.line, f"'{self.under_way.listed.name}' is still under way ({self.under_way.first})")
        if event.name not in self.listed:
            refuse(event.line, f"'{event.name}' is not in the list")
        if event.name in self.accounts:
            refuse(event.line, f"'{event.name}' was measured already ({self.accounts[event.name].first})")
        self.under_way = Open(self.listed[event.name], event.line)

    def _close_list(self, line: Line) -> None:
        self.listing = False
        if self.begin.benchmarks not in {None, len(self.listed)}:
            refuse(line, f"expected {self.begin.benchmarks} 'bench' lines before, found {len(self.listed)}")

    def _of(self, line: Line, name: str) -> Open:
        if self.under_way is None or self.under_way.listed.name != name:
            now = f"'{self.under_way.listed.name}' is" if self.under_way else "nothing is"
            ended = f", '{name}' has ended ({self.accounts[name].last})" if name in self.accounts else ""
            refuse(line, f"{now} under way here{ended}")
        return self.under_way

    def _done(self, event: Done, account: Open) -> None:
        counted = [each for each in account.timed if each.role != "warmup"]
        if not counted:
            refuse(event.line, "no sample before it")
        found = {
            "samples": len(counted),
            "operations": sum(each.operations for each in counted),
            "elapsed": sum(each.elapsed for each in counted),
        }
        stated = {"samples": event.samples, "operations": event.operations, "elapsed": event.elapsed}
        _refuse_difference(event.line, stated, found)
        self.accounts[event.name] = account.closed(event.line)
        self.under_way = None

    def _end(self, event: End) -> None:
        if self.under_way is not None:
            refuse(event.line, f"'{self.under_way.listed.name}' is still under way ({self.under_way.first})")
        self._close_list(event.line)
        for name, listed in self.listed.items():
            if name not in self.accounts:
                refuse(event.line, f"'{name}' was listed and never begun ({listed.line})")
        failed = sum(each.wrong is not None for each in self.accounts.values())
        found = {
            "benchmarks": len(self.listed),
            "done": len(self.accounts) - failed,
            "failed": failed,
            "unsupported": len(self.lacking),
            "lines": self.lines,
        }
        stated = {key: value for key in found if (value := getattr(event, key)) is not None}
        _refuse_difference(event.line, stated, found)
        for key in ("token", "hz"):
            if getattr(event, key) != getattr(self.begin, key):
                words = [f"{key}={value}" if value else f"no {key}" for value in _both(self.begin, event, key)]
                refuse(event.line, f"expected {words[0]} as in the first line, found {words[1]} ({self.begin.line})")
        self.end = event


def _both(begin: Begin, end: End, key: str) -> tuple[object, object]:
    return getattr(begin, key), getattr(end, key)


def _refuse_difference(line: Line, stated: Mapping[str, int], found: Mapping[str, Amount]) -> None:
    for key, value in stated.items():
        if value != found[key]:
            refuse(line, f"{key}={value}, but before it are {found[key]}: a line was lost, doubled or damaged")


def booked(events: Iterable[Event]) -> Books | None:
    """The books of a transcript of our own protocol; None where it is not damaged but ends before its trailer.

    Raises LabInvalid.
    """
    first, *rest = events
    if isinstance(first, Damaged):
        refuse(first.line, first.problem)
    if not isinstance(first, Begin):
        refuse(first.line, "expected '@bp begin' before it")
    ledger = _Ledger(first)
    for each in rest:
        ledger.take(each)
    if ledger.end is None:
        return None
    return Books(begin=first, end=ledger.end, accounts=ledger.accounts, lacking=ledger.lacking)
