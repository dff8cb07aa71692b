"""An explicit table of `name -> "module:object"`, our own lines first, then those of installed entry points."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from benchproof.errors import UsageError

_SHOWN = 40


def nearest(word: str, known: list[str]) -> str:
    """A sentence that lists what there is, the best guess first."""
    if not known:
        return "there is none"
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    guess = f"did you mean '{close[0]}'? " if close else ""
    shown = sorted(known)[:_SHOWN]
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"{guess}known: {', '.join(shown)}{more}"


@dataclass(frozen=True)
class Table:
    """Nothing is imported until it is asked for; a name of ours cannot be taken over by a plug-in."""

    group: str
    what: str
    own: Mapping[str, str]

    def names(self) -> list[str]:
        """Ours in the order of the table, then the plug-ins'."""
        return [
            *self.own,
            *(point.name for point in entry_points(group=self.group) if point.name not in self.own),
        ]

    def load(self, name: str) -> Any:
        """The object of that name. Raises UsageError with the nearest match."""
        if name in self.own:
            module, _, attribute = self.own[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        for point in entry_points(group=self.group, name=name):
            try:
                return point.load()
            except Exception as error:  # whatever a stranger's module does at import is its own fault
                raise UsageError(
                    f"the plug-in of {self.what} '{name}' ({point.value}) cannot be loaded: {error}"
                ) from error
        raise UsageError(f"unknown {self.what} '{name}'; {nearest(name, self.names())}")
