"""Readers of other tools' files: one file each, and one line here or in the entry point group `benchproof.importers`.

A reader is a function `read(content, name) -> Imported`. Nothing that it returns is verified: no oracle of ours saw the
work. It launders nothing: a failure that a tool wrote down as a number is `Failed`, a skipped part `Unsupported`, a cut
output `Invalid`, and what a tool published without its samples is named as the statistic that it is.
"""

from __future__ import annotations

from typing import Any

from benchproof.errors import UsageError
from benchproof.model import Failed, Frozen, Invalid, Unsupported, Unverified
from benchproof.plugins import Table


class Found(Frozen, frozen=True, kw_only=True):
    """One outcome of a foreign file: what one invocation there amounts to.

    `block`: which invocation of its case, from 0. What ran within one process is one invocation with many samples.
    """

    target: str
    benchmark: str
    parameters: dict[str, Any]
    outcome: Unverified | Failed | Unsupported | Invalid
    evidence: dict[str, str]
    block: int = 0


class Imported(Frozen, frozen=True, kw_only=True):
    """A whole foreign file. `facts` and `labels` hold only what the file itself states."""

    tool: str
    version: str  # of the tool or its format; empty where the file does not say
    created_at: str  # RFC 3339; empty where the file does not say
    results: tuple[Found, ...]
    facts: dict[str, dict[str, str]]  # section of an envelope -> fact -> value
    labels: dict[str, str]  # commit, branch, tag, version
    notes: tuple[
        str, ...
    ]  # what a reader of the figures must know: units that were put right, data that is implausible


class Unreadable(UsageError):  # noqa: N818 - what the file is
    """A foreign file that is cut, damaged or not of this format. Nothing of it is kept."""

    def __init__(self, name: str, where: str, problem: str) -> None:
        super().__init__(f"{name}: {where}: {problem}" if where else f"{name}: {problem}")


FORMATS = Table(group="benchproof.importers", what="import format", own={})
