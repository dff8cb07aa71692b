"""Figures that others published: shown apart from what was measured, never in a ratio, never what a gate reads."""

from __future__ import annotations

from benchproof.model import Frozen, Unit


class Figure(Frozen, frozen=True, kw_only=True):
    """One figure. `text`: the amount as it was written; `value`: the same in `unit`, a base unit."""

    metric: str
    text: str
    value: float
    unit: Unit


class Published(Frozen, frozen=True, kw_only=True):
    """What one source says of one system. `machine` and `date` in its own words, empty where it does not say."""

    name: str
    source: str
    machine: str = ""
    date: str = ""
    figures: tuple[Figure, ...]
