"""Reads what is watched and who is told: a TOML file of rules and channels.

A secret is never in it: it names a variable or a file. What makes no sense is refused before anything is judged.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchproof import baselines, policy
from benchproof.analysis.gate import Mode
from benchproof.document import document_of
from benchproof.errors import NotDelivered, UsageError
from benchproof.model import Frozen
from benchproof.plugins import nearest
from benchproof.policy import Policy
from benchproof.quantities import Duration, Share
from benchproof.tables import convert, refuse_unknown, table_of

TREND = "trend"  # as what a rule holds a figure against: the best level of its history
PLAN = "plan"  # as the gates of a rule: those that the run's plan states
_KINDS = ("worse", "gates", "no_run_for")
_SINCE = re.compile(r"(\d{4}-\d\d-\d\d)?", re.ASCII)
_SECRET_LIMIT_BYTES = 4096


class Hidden(Frozen, frozen=True):
    """Text that may be a secret: given as it is, or by the name of a variable or a file. Nothing prints it."""

    text: str = ""
    env: str = ""
    file: Path | None = None

    def reveal(self) -> str:
        """Raises NotDelivered where it is not there."""
        if self.env:
            found = os.environ.get(self.env, "")
        elif self.file is not None:
            found = _content(self.file)
        else:
            found = self.text
        if not found:
            raise NotDelivered(f"expected something in {self.where}, found nothing")
        return found

    @property
    def where(self) -> str:
        """Where it is, for a message."""
        return f"the variable {self.env}" if self.env else f"the file '{self.file}'" if self.file else "the rules"


class Channel(Frozen, frozen=True, kw_only=True):
    """A way to somebody: a webhook that is signed, or an address of Apprise."""

    name: str
    webhook: Hidden | None = None
    secret: Hidden | None = None
    apprise: Hidden | None = None


class Rule(Frozen, frozen=True, kw_only=True):
    """What is watched, and what is too bad. Exactly one of `worse`, `gates` and `no_run_for` is there."""

    name: str
    benchmark: str = "*"
    metric: str = "*"
    target: str = "*"
    branch: str = ""
    mode: Mode = "gate"
    worse: Share | None = None
    against: str = TREND
    since: str = ""  # levels that ended before are forgotten: what came of them is accepted
    gates: Policy | str | None = None  # a policy, or PLAN
    no_run_for: Duration | None = None
    channels: tuple[str, ...] = ()
    reminder: Duration | None = None

    def asks_for(self, *, benchmark: str, metric: str, target: str) -> bool:
        """Whether it speaks of that."""
        pairs = ((benchmark, self.benchmark), (metric, self.metric), (target, self.target))
        return all(fnmatchcase(name, pattern) for name, pattern in pairs)


class Rules(Frozen, frozen=True, kw_only=True):
    """A file of rules. `name` is what messages begin with."""

    name: str
    channels: dict[str, Channel]
    rules: tuple[Rule, ...]


class _Top(Frozen, frozen=True, forbid_unknown_fields=True):
    name: str = "benchproof"
    reminder: Duration | None = None


class _ChannelTable(Frozen, frozen=True, forbid_unknown_fields=True):
    webhook: str | dict[str, str] | None = None
    secret: dict[str, str] | None = None
    apprise: str | dict[str, str] | None = None


class _RuleTable(Frozen, frozen=True, forbid_unknown_fields=True):
    benchmark: str = "*"
    metric: str = "*"
    target: str = "*"
    branch: str = ""
    mode: Mode = "gate"
    worse: Share | None = None
    against: str | None = None
    since: str = ""
    gates: str | None = None
    no_run_for: Duration | None = None
    channels: tuple[str, ...] | None = None
    reminder: Duration | None = None


def load(path: Path) -> Rules:
    """Raises UsageError. Files that it names lie beside it."""
    if not os.path.lexists(path):
        raise UsageError(f"{path}: expected alert rules (a TOML file), found none; docs/alerts.md shows one")
    document = document_of(path, what="file of alert rules", shipped={})
    refuse_unknown(document, [*_Top.__struct_fields__, "channels", "rules"], path.name)
    tables = {key: table_of(document, key, path.name) for key in ("channels", "rules")}
    top: _Top = convert({key: each for key, each in document.items() if key not in tables}, _Top, path.name)
    channels = {name: _channel(name, table, path) for name, table in tables["channels"].items()}
    if not tables["rules"]:
        raise UsageError(f"{path.name}: rules: expected at least one table such as [rules.slower], found none")
    rules = tuple(_rule(name, table, path, top, list(channels)) for name, table in tables["rules"].items())
    return Rules(name=top.name, channels=channels, rules=rules)


# ---- channels ----


def _channel(name: str, table: Any, path: Path) -> Channel:
    at = f"{path.name}: channels.{name}"
    read: _ChannelTable = convert(_table(table, at), _ChannelTable, at)
    if (read.webhook is None) == (read.apprise is None):
        raise UsageError(f"{at}: expected either webhook or apprise, found {'both' if read.webhook else 'none'}")
    if (read.webhook is None) != (read.secret is None):
        raise UsageError(f'{at}: secret: expected one such as {{ env = "HOOK_SECRET" }} beside webhook, and only there')
    if isinstance(read.webhook, str):
        refuse_bad_address(read.webhook, f"{at}: webhook")
    return Channel(
        name=name,
        webhook=_hidden(read.webhook, f"{at}: webhook", path),
        secret=_hidden(read.secret, f"{at}: secret", path),
        apprise=_hidden(read.apprise, f"{at}: apprise", path),
    )


def refuse_bad_address(url: str, where: str) -> None:
    """Raises UsageError, which does not repeat it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{where}: expected an address such as https://host/path, found something else")


def _hidden(given: str | dict[str, str] | None, where: str, path: Path) -> Hidden | None:
    if given is None or isinstance(given, str):
        return None if given is None else Hidden(text=given)
    if len(given) != 1 or given.keys() - {"env", "file"} or not all(given.values()):
        raise UsageError(f'{where}: expected {{ env = "NAME" }} or {{ file = "PATH" }}, found other keys')
    return Hidden(env=given.get("env", ""), file=path.parent / given["file"] if "file" in given else None)


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_SECRET_LIMIT_BYTES + 1)
    except OSError as error:
        raise NotDelivered(f"cannot read '{file}': {error.strerror}") from error
    if len(content) > _SECRET_LIMIT_BYTES:
        raise NotDelivered(f"'{file}': expected at most {_SECRET_LIMIT_BYTES} bytes")
    return content.decode(errors="replace").strip()


# ---- rules ----


def _rule(name: str, table: Any, path: Path, top: _Top, channels: list[str]) -> Rule:
    at = f"{path.name}: rules.{name}"
    read: _RuleTable = convert(_table(table, at), _RuleTable, at)
    stated = [kind for kind in _KINDS if getattr(read, kind) is not None]
    if len(stated) != 1:
        raise UsageError(f"{at}: expected one of {', '.join(_KINDS)}, found {' and '.join(stated) or 'none'}")
    _refuse_stray(read, at)
    for each in read.channels or ():
        if each not in channels:
            raise UsageError(f"{at}: channels: unknown channel '{each}'; {nearest(each, channels)}")
    return Rule(
        name=name,
        benchmark=read.benchmark,
        metric=read.metric,
        target=read.target,
        branch=read.branch,
        mode=read.mode,
        worse=read.worse,
        against=read.against or TREND,
        since=read.since,
        gates=_gates(read.gates, path),
        no_run_for=read.no_run_for,
        channels=tuple(channels) if read.channels is None else read.channels,
        reminder=read.reminder or top.reminder,
    )


def _refuse_stray(read: _RuleTable, at: str) -> None:
    """What means nothing beside the kind of the rule."""
    if read.against is not None and read.worse is None:
        raise UsageError(f'{at}: against: expected worse = "10 %" or the like beside it')
    if read.against not in {None, TREND} and not baselines.is_spec(str(read.against)):
        raise UsageError(f"{at}: against: expected trend, branch:main, tag:v1 or the like, found '{read.against}'")
    if read.since and (read.worse is None or read.against not in {None, TREND}):
        raise UsageError(f"{at}: since: expected a rule on the trend beside it")
    if not _SINCE.fullmatch(read.since):
        raise UsageError(f"{at}: since: expected a day such as 2026-11-01, found '{read.since}'")
    if read.worse is not None and not 0 < read.worse < 1:
        raise UsageError(f"{at}: worse: expected a share between 0 and 100 %, found {read.worse:.0%}")


def _gates(given: str | None, path: Path) -> Policy | str | None:
    if given is None or given == PLAN:
        return given
    beside = path.parent / given
    return policy.load(beside if beside.exists() else Path(given))


def _table(table: Any, at: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"{at}: expected a table, found {table!r}")
    return table
