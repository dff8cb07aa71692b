"""What a process of pytest is asked to measure, and what it says of it: the seam between benchmark and plug-in."""

from __future__ import annotations

import msgspec

from benchproof.model import Frozen

OPTION = "--benchproof-order"
NAME = "reading.json"


class Order(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which call of the test, and how much of it."""

    path: str  # of the file for the reading
    label: str
    samples: int
    warmups: int
    sample_ns: int
    budget_ns: int


class Reading(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was seen. With `unsupported` or `invalid` there are no samples; times are of `iterations` calls each."""

    iterations: int = 0
    warmups_ns: tuple[int, ...] = ()
    samples_ns: tuple[int, ...] = ()
    evidence: dict[str, str] = msgspec.field(default_factory=dict)
    unsupported: str = ""
    missing: str = ""
    invalid: str = ""
