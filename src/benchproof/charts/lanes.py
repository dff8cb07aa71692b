"""What the charts of one case share: a lane for each target, with every invocation as a point that can be followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchproof.model import Frozen

HEIGHT = 50.0  # of a lane: its name, and its points beneath it
NAME = 12.0  # from the top of a lane to the line of its name
MIDDLE = 33.0  # from the top of a lane to its points
MOST_POINTS = 200  # of a lane; of more, the first are shown, and the chart says so

Say = Callable[[float], str]  # a value in words, with its unit


class Lane(Frozen, frozen=True, kw_only=True):
    """One target's answer to one question."""

    name: str
    series: int  # which colour and shape
    values: tuple[float, ...]
    blocks: tuple[int, ...]  # of each value
    links: tuple[str, ...]  # where each value comes from; empty where that is not known
    median: float
    interval: tuple[float, float] | None = None  # of the median
    outliers: tuple[int, ...] = ()  # which of the values
    verified: bool = True

    def point(self, number: int, say: Say) -> str:
        """What is told of a point."""
        marked = ", far out: marked, not removed" if number in self.outliers else ""
        return f"{self.name}, block {self.block(number)}: {say(self.values[number])}{marked}"

    def block(self, number: int) -> int:
        """Of a value; where blocks are not on record, its place."""
        return self.blocks[number] if number < len(self.blocks) else number

    def link(self, number: int) -> str:
        """Of a value."""
        return self.links[number] if number < len(self.links) else ""

    def look(self, number: int) -> str:
        """What is far out, or what nobody verified, is hollow."""
        return "hollow" if number in self.outliers or not self.verified else "mark"


def described(lanes: Sequence[Lane], say: Say) -> str:
    """The same in words."""
    return "; ".join(
        f"{lane.name}: median {say(lane.median)} of {len(lane.values)}, {say(min(lane.values))} to "
        f"{say(max(lane.values))}{_left_out(lane)}"
        for lane in lanes
    )


def _left_out(lane: Lane) -> str:
    return f", the first {MOST_POINTS} are drawn" if len(lane.values) > MOST_POINTS else ""
