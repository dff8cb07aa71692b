"""One check, as cron and CI run it: judge every rule, tell who does not know yet, remember who was told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from benchproof import history
from benchproof.alerts import channels, message, news, state
from benchproof.alerts.findings import Finding, Watch
from benchproof.alerts.rules import Channel, Rules
from benchproof.alerts.state import Incident, State
from benchproof.errors import NotDelivered
from benchproof.model import Frozen


class Delivery(Frozen, frozen=True):
    """What one channel was told, or was to be told; `problem`: why it does not know."""

    channel: str
    events: tuple[tuple[str, str], ...]  # (event, what of)
    problem: str = ""


class Checked(Frozen, frozen=True, kw_only=True):
    """What came of it."""

    findings: tuple[Finding, ...]
    open: tuple[Incident, ...]
    deliveries: tuple[Delivery, ...]
    undecided: tuple[str, ...]  # rules of mode gate of which nothing could be decided

    @property
    def exit_status(self) -> int:
        """1 if anything is open, else 3 if somebody was not told or a rule decided nothing, else 0; review never."""
        if any(each.mode == "gate" for each in self.open):
            return 1
        return 3 if self.undecided or any(each.problem for each in self.deliveries) else 0


def check(
    rules: Rules, *, home: Path, index: str | None, now: datetime, dry_run: bool, say: Callable[[str], None]
) -> Checked:
    """Raises UsageError and StoreError. `dry_run`: nobody is told, nothing is written."""
    turn = contextlib.nullcontext() if dry_run else state.locked(home)
    with history.opened(home, index) as opened, turn:
        for problem in opened.update(say).problems:
            say(f"left out: {problem}")
        watch = Watch(opened, home=home, url=index, now=now)
        judged = [each for each in rules.rules if each.mode != "off"]
        findings = [found for rule in judged for found in watch.found(rule)]
        incidents = news.merged(state.load(home).incidents, findings, _by_name(rules), now)
        if not dry_run:
            state.save(home, State(incidents=tuple(incidents)))  # since when, even if nobody can be told
        deliveries = [
            _told(each, rules, incidents, home=home, now=now, dry_run=dry_run) for each in rules.channels.values()
        ]
    return Checked(
        findings=tuple(findings),
        open=tuple(each for each in incidents if not each.ended),
        deliveries=tuple(each for each in deliveries if each is not None),
        undecided=tuple(_undecided(rules, findings)),
    )


def _told(
    channel: Channel, rules: Rules, incidents: list[Incident], *, home: Path, now: datetime, dry_run: bool
) -> Delivery | None:
    """Tell one channel all that it does not know, and write down that it does. None: it knows everything."""
    due = news.due(incidents, channel.name, _by_name(rules), now)
    if not due:
        return None
    events = tuple((each.event, each.incident.name) for each in due)
    if dry_run:
        return Delivery(channel.name, events)
    try:
        channels.send(channel, message.of(rules.name, due, now), now=now)
    except NotDelivered as error:
        return Delivery(channel.name, events, problem=str(error))
    incidents[:] = news.heard(incidents, channel.name, due, now)
    state.save(home, State(incidents=tuple(news.merged(incidents, (), _by_name(rules), now))))
    return Delivery(channel.name, events)


def test(rules: Rules, *, now: datetime) -> tuple[Delivery, ...]:
    """Tell every channel that this is a test."""

    def tried(channel: Channel) -> Delivery:
        try:
            channels.send(channel, message.test(rules.name, channel.name, now), now=now)
        except NotDelivered as error:
            return Delivery(channel.name, (), problem=str(error))
        return Delivery(channel.name, ())

    return tuple(map(tried, rules.channels.values()))


def _by_name(rules: Rules) -> news.Rules:
    return {each.name: each for each in rules.rules}


def _undecided(rules: Rules, findings: Sequence[Finding]) -> Iterable[str]:
    for rule in rules.rules:
        states = {each.state for each in findings if each.rule == rule.name}
        if rule.mode == "gate" and states == {"undecided"}:
            yield rule.name
