"""From findings to news: which incidents began or ended, and what each channel does not know yet. Pure functions.

A channel is told once that something is bad, again after each reminder, and once that it is over. What it could not be
told stays due; an incident is forgotten when all who are to know its end do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from benchproof.alerts.findings import Finding
from benchproof.alerts.rules import Rule
from benchproof.alerts.state import Incident, Told
from benchproof.model import Frozen

Rules = Mapping[str, Rule]


class News(Frozen, frozen=True):
    """One thing that a channel does not know yet."""

    event: str  # opened | reminder | recovered
    incident: Incident
    count: int  # of messages about it to this channel, this one included

    @property
    def id(self) -> str:
        """The same when it is sent once more because nobody heard it: a receiver may drop what it has."""
        said = [self.event, self.incident.rule, self.incident.subject, self.incident.since, self.count]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:32]


def merged(before: Iterable[Incident], findings: Iterable[Finding], rules: Rules, now: datetime) -> list[Incident]:
    """The incidents as of now. Those of rules that are gone or off are forgotten."""
    known = {each.key: each for each in before if each.rule in rules and rules[each.rule].mode != "off"}
    for found in findings:
        key, mode = (found.rule, found.subject), rules[found.rule].mode
        old = known.get(key)
        if found.state == "bad":
            known[key] = _opened(found, old, mode, now)
        elif old is not None and not old.ended:
            text = found.text if found.state == "good" else old.text
            ended = now.isoformat(timespec="seconds") if found.state == "good" else ""
            known[key] = msgspec.structs.replace(old, text=text, ended=ended, mode=mode)
    return [each for each in known.values() if not (each.ended and _settled(each, rules[each.rule]))]


def _opened(found: Finding, old: Incident | None, mode: str, now: datetime) -> Incident:
    if old is None:
        since = now.isoformat(timespec="seconds")
        return Incident(
            rule=found.rule, subject=found.subject, name=found.name, mode=mode, since=since, text=found.text
        )
    still = {name: told for name, told in old.told.items() if told.event != "recovered"}  # the others hear it anew
    return msgspec.structs.replace(old, name=found.name, text=found.text, ended="", mode=mode, told=still)


def _settled(incident: Incident, rule: Rule) -> bool:
    """Whether everyone who is to know its end does, those included who never heard of its beginning."""
    told = [incident.told.get(name) for name in rule.channels]
    return all(each is not None and each.event == "recovered" for each in told)


def due(incidents: Iterable[Incident], channel: str, rules: Rules, now: datetime) -> list[News]:
    """What the channel is to be told now, the oldest first."""
    found = [
        News(event, each, told.count + 1 if (told := each.told.get(channel)) else 1)
        for each in incidents
        if channel in rules[each.rule].channels and (event := _event(each, channel, rules[each.rule], now))
    ]
    return sorted(found, key=lambda news: news.incident.since)


def _event(incident: Incident, channel: str, rule: Rule, now: datetime) -> str:
    """Empty: it knows."""
    told = incident.told.get(channel)
    if incident.ended:
        return "" if told and told.event == "recovered" else "recovered"
    if told is None:
        return "opened"
    again = rule.reminder is not None and now - datetime.fromisoformat(told.at) >= timedelta(seconds=rule.reminder)
    return "reminder" if again else ""


def heard(incidents: Sequence[Incident], channel: str, news: Iterable[News], now: datetime) -> list[Incident]:
    """The same incidents, with what the channel was told just now."""
    said = {each.incident.key: each for each in news}
    at = now.isoformat(timespec="seconds")
    return [
        msgspec.structs.replace(each, told=each.told | {channel: Told(it.event, at, it.count)})
        if (it := said.get(each.key))
        else each
        for each in incidents
    ]
