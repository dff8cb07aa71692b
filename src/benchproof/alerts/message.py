"""What is said, in words and as JSON.

Names come from bundles of strangers and may be anything: in a text they can mention nobody, link nowhere and break no
line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from benchproof import __version__
from benchproof.alerts.news import News

FORMAT = 1
MOST_LINES = 20  # of one message
MOST_EVENTS = 200  # of one document
_LONGEST = 300  # characters of one line's reason
_PLAIN = set(" ._-+/:,;=%()[]~'<>")
_WORDS = {"opened": "WORSE", "reminder": "STILL", "recovered": "GOOD AGAIN", "test": "TEST"}


class Message(msgspec.Struct, frozen=True):
    """`document` is for programs: its names are as they are."""

    title: str
    text: str
    document: dict[str, Any]


def of(name: str, news: Sequence[News], now: datetime) -> Message:
    """All the news for one channel, as one message."""
    counts = Counter(each.event for each in news)
    words = {"opened": "worse", "reminder": "still open", "recovered": "good again"}
    title = plain(f"{name}: " + ", ".join(f"{counts[event]} {word}" for event, word in words.items() if counts[event]))
    lines = [_line(each) for each in news[:MOST_LINES]]
    if len(news) > MOST_LINES:
        lines.append(f"and {len(news) - MOST_LINES} more: benchproof alert --dry-run lists all that is open")
    return Message(title, "\n".join(lines), _document(name, title, news, now))


def test(name: str, channel: str, now: datetime) -> Message:
    """To see whether a channel works."""
    title, text = plain(f"{name}: test"), plain(f"a test of channel '{channel}'; nothing is wrong")
    return Message(title, text, _document(name, title, (), now))


def _document(name: str, title: str, news: Sequence[News], now: datetime) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "benchproof": __version__,
        "name": name,
        "sent_at": now.isoformat(timespec="seconds"),
        "title": title,
        "events": [_event(each) for each in news[:MOST_EVENTS]],
        "left_out": max(0, len(news) - MOST_EVENTS),
    }


def plain(text: str) -> str:
    """One line of letters, digits and harmless signs: nothing that a chat or a mail program reads as more than text."""
    safe = "".join(sign if sign.isalnum() or sign in _PLAIN else "?" for sign in " ".join(text.split()))
    words = safe.replace("://", ":?/").replace("](", "] (").replace("<", " below ").replace(">", " above ")
    return " ".join(words.split())


def _line(news: News) -> str:
    each = news.incident
    reason = plain(each.text)
    cut = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}..."
    when = f"from {each.since} to {each.ended}" if each.ended else f"since {each.since}"
    return f"{_WORDS[news.event]} {plain(each.name)[:_LONGEST]} ({plain(each.rule)}), {when}: {cut}"


def _event(news: News) -> dict[str, Any]:
    each = news.incident
    return {
        "id": news.id,
        "event": news.event,
        "rule": each.rule,
        "mode": each.mode,
        "benchmark": each.subject.benchmark,
        "metric": each.subject.metric,
        "target": each.subject.target,
        "parameters": each.subject.parameters,
        "since": each.since,
        "ended": each.ended,
        "text": each.text,
    }
