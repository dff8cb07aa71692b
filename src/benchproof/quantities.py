"""Amounts as people write them: `256 MiB`, `1.5 s`, `2 %`. Base units inside, always: bytes, seconds, shares of 1."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([^\s\d]*)\s*", re.ASCII)


class _Quantity(float):
    units: ClassVar[Mapping[str, float]]
    example: ClassVar[str]

    @classmethod
    def parse(cls, text: object) -> Self:
        """Raises ValueError, saying what was expected."""
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ValueError(f"expected an amount such as '{cls.example}', found {text!r}")
        match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
        if isinstance(text, str) and (match is None or match[2] not in cls.units):
            units = ", ".join(repr(unit) for unit in cls.units if unit)
            raise ValueError(f"expected an amount such as '{cls.example}' (units: {units}), found {text!r}")
        try:
            value = float(match[1]) * cls.units[match[2]] if match else float(text)
        except OverflowError:
            value = math.inf
        if not 0 <= value < math.inf:
            raise ValueError(
                f"expected an amount that is finite and not negative, such as '{cls.example}', found {text!r}"
            )
        return cls(value)


class Size(_Quantity):
    """Bytes."""

    units: ClassVar = {
        "B": 1,
        "": 1,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
    }
    example = "64 MiB"


class Duration(_Quantity):
    """Seconds."""

    units: ClassVar = {"s": 1, "": 1, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "min": 60, "h": 3600}
    example = "1.5 s"


class Share(_Quantity):
    """A part of 1; a plain number is taken as it is."""

    units: ClassVar = {"%": 0.01, "": 1}
    example = "2 %"


def decode(kind: type, text: Any) -> Any:
    """The `dec_hook` of msgspec for the types of this module."""
    if issubclass(kind, _Quantity):
        return kind.parse(text)
    raise TypeError(f"no way to read a {kind.__name__}")
