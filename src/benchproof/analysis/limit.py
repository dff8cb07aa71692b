"""A limit as people write it, `< 1.2 s`, read without rounding: at the edge, the last digit decides."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from decimal import Decimal

from benchproof.model import Frozen, Unit
from benchproof.quantities import Duration, Size

_SIZES = {word: Decimal(factor) for word, factor in Size.units.items() if word}
UNITS: dict[Unit, dict[str, Decimal]] = {  # base unit -> word -> how many base units it is
    "ns": {word: Decimal(str(factor)) * 10**9 for word, factor in Duration.units.items() if word},
    "bytes": _SIZES,
    "bytes/s": {f"{word}/s": factor for word, factor in _SIZES.items()},
    "op/s": {"op/s": Decimal(1), "kop/s": Decimal(10**3), "Mop/s": Decimal(10**6), "op/min": 1 / Decimal(60)},
    "instructions": {"instructions": Decimal(1)},
    "cycles": {"cycles": Decimal(1)},
    "count": {"": Decimal(1)},
    "ratio": {"%": Decimal("0.01")},
}
_UNIT_OF: dict[str, Unit] = {word: unit for unit, words in UNITS.items() for word in words}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXT = re.compile(r"\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*([^\s\d]*)\s*", re.ASCII)


class Limit(Frozen, frozen=True, kw_only=True):
    """`bound` is in base units (`unit`); `scale` says how many of them one `word` is, the unit that was written."""

    text: str
    comparison: str
    bound: float
    unit: Unit
    word: str
    scale: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Raises ValueError, saying what was expected."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"expected a comparison (<, <=, >, >=) and an amount, such as '< 1.2 s', found {text!r}")
        comparison, number, word = match.groups()
        if word not in _UNIT_OF:
            known = ", ".join(f"'{each}'" for each in _UNIT_OF if each)
            raise ValueError(f"expected an amount with one of the units {known}, or a plain number, found {text!r}")
        unit = _UNIT_OF[word]
        bound = float(Decimal(number) * UNITS[unit][word])
        if not math.isfinite(bound):
            raise ValueError(f"expected an amount that is finite, such as '< 1.2 s', found {text!r}")
        written = f"{comparison} {number} {word}".rstrip()
        return cls(
            text=written, comparison=comparison, bound=bound, unit=unit, word=word, scale=float(UNITS[unit][word])
        )

    def fits(self, unit: Unit) -> bool:
        """Whether a metric of that unit can be held against it; a plain number bounds counts and ratios."""
        return unit == self.unit or (unit == "ratio" and self.unit == "count")

    def holds(self, figure: float) -> bool:
        """Exactly as written: the limit itself does not meet `<`."""
        return _COMPARISONS[self.comparison](figure, self.bound)

    def margin(self, figure: float) -> float:
        """The room that is left, in base units; negative beyond the limit."""
        return self.bound - figure if self.comparison.startswith("<") else figure - self.bound


def words_for(unit: Unit) -> str:
    """The units in which a limit for such a metric can be written, for a message."""
    fitting = {**UNITS[unit], **(UNITS["count"] if unit == "ratio" else {})}
    return ", ".join(f"'{word}'" if word else "a plain number" for word in fitting)
