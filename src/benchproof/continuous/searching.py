"""Finds the commit at which a figure changed, by halves. Knows neither git nor benchmarks.

The two ends are measured first: a commit is of the side whose end its figure is nearer to. What cannot be measured is
passed over and named; where such commits are left next to the change, all of them are the answer, not one by guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchproof.errors import BenchproofError
from benchproof.model import Frozen


class Step(Frozen, frozen=True, kw_only=True):
    """One commit that was looked at: its figure, or why there is none."""

    commit: str
    value: float | None = None
    trouble: str = ""
    run_id: str = ""
    metric: str = ""
    unit: str = ""


class Found(Frozen, frozen=True, kw_only=True):
    """`culprits`: the commits of which one changed the figure; none where the ends do not differ by enough."""

    culprits: tuple[str, ...]
    before: Step  # the last commit that is known to be like the good end
    after: Step  # the first that is known to be like the bad end
    good: Step
    bad: Step
    steps: tuple[Step, ...]  # in the order in which they were measured

    @property
    def share(self) -> float | None:
        """How much of the difference between the ends lies between `before` and `after`."""
        if not self.culprits:
            return None
        return (_figure(self.after) - _figure(self.before)) / (_figure(self.bad) - _figure(self.good))


class NoEndError(BenchproofError):
    """An end of the history could not be measured: there is nothing to hold a commit against."""

    exit_status = 3


def search(commits: Sequence[str], measure: Callable[[str], Step], *, threshold: float = 0.0) -> Found:
    """The change among `commits`, from the good one to the bad. `threshold`: a share; ends no further apart are alike.

    Raises NoEndError.
    """
    steps: dict[int, Step] = {}
    low, high = 0, len(commits) - 1
    for end, what in ((low, "good"), (high, "bad")):
        steps[end] = measure(commits[end])
        if steps[end].value is None:
            raise NoEndError(f"the {what} end, {commits[end][:12]}, was not measured: {steps[end].trouble}")
    good, bad = (_figure(steps[end]) for end in (low, high))
    differ = abs(bad - good) > threshold * abs(good)
    while differ and (middle := _nearest_to_the_middle(low, high, steps)) is not None:
        steps[middle] = measure(commits[middle])
        value = steps[middle].value
        if value is not None and abs(value - good) < abs(value - bad):
            low = middle
        elif value is not None:
            high = middle
    return Found(
        culprits=tuple(commits[low + 1 : high + 1]) if differ else (),
        before=steps[low],
        after=steps[high],
        good=steps[0],
        bad=steps[len(commits) - 1],
        steps=tuple(steps.values()),
    )


def _nearest_to_the_middle(low: int, high: int, steps: dict[int, Step]) -> int | None:
    """A commit strictly between the two that nobody looked at yet."""
    left = [number for number in range(low + 1, high) if number not in steps]
    return min(left, key=lambda number: abs(2 * number - low - high), default=None)


def _figure(step: Step) -> float:
    assert step.value is not None
    return step.value
