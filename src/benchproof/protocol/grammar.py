"""How a system writes its results on the console: our own protocol, or a dialect."""

from __future__ import annotations

import msgspec

from benchproof.model import Frozen


class Grammar(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dialect as a plan's table states it. `names`: a benchmark of ours -> what this system calls it."""

    dialect: str = ""  # empty: our own protocol
    names: dict[str, str] = msgspec.field(default_factory=dict)
    mechanism: dict[str, str] = msgspec.field(default_factory=dict)


OWN = Grammar()
