"""Histories whose truth is known, for judging those who look for changes: five kinds of noise, and steps in it.

Each is a level of 100 with a coefficient of variation of about 2 % where nothing else is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL, SD = 100.0, 2.0
TOLERANCE = 5  # runs by which a change that was found may miss the true one
_APART = 30  # runs between two true changes, and to both ends


def _gaussian(draw: Generator, shape: tuple[int, int]) -> Floats:
    return LEVEL + SD * draw.standard_normal(shape)


def _outliers(draw: Generator, shape: tuple[int, int]) -> Floats:
    """One run in twenty was slow, some of them very."""
    return _gaussian(draw, shape) + (draw.random(shape) < 0.05) * np.abs(draw.standard_normal(shape)) * 20 * SD


def _log_normal(draw: Generator, shape: tuple[int, int]) -> Floats:
    """With a CV of 10 %."""
    return LEVEL * np.exp(0.1 * draw.standard_normal(shape))


def _autocorrelated(draw: Generator, shape: tuple[int, int]) -> Floats:
    """AR(1) with coefficient .5: a machine has good and bad days."""
    count, points = shape
    steps = draw.standard_normal((count, points)) * (1 - 0.5**2) ** 0.5
    states = np.empty(shape)
    states[:, 0] = draw.standard_normal(count)
    for at in range(1, points):
        states[:, at] = 0.5 * states[:, at - 1] + steps[:, at]
    return LEVEL + SD * states


def _bimodal(draw: Generator, shape: tuple[int, int]) -> Floats:
    """Every fifth run falls into a second mode, 10 % slower."""
    return _gaussian(draw, shape) + 5 * SD * (draw.random(shape) < 0.2)


FAMILIES: MappingProxyType[str, Callable[[Generator, tuple[int, int]], Floats]] = MappingProxyType(
    {
        "Gaussian": _gaussian,
        "outliers": _outliers,
        "log-normal": _log_normal,
        "AR(1) .5": _autocorrelated,
        "bimodal": _bimodal,
    }
)


def unchanged(family: str, *, count: int, points: int, seed: int) -> Floats:
    """Series in which nothing ever changed."""
    return FAMILIES[family](np.random.default_rng([seed, points]), (count, points))


def stepped(size: float, *, count: int, points: int, seed: int) -> tuple[Floats, list[list[int]]]:
    """Series with one to three steps up or down by `size`, in Gaussian noise of 2 %; and where the steps are."""
    draw = np.random.default_rng([seed, points])
    levels, truth = np.full((count, points), LEVEL), []
    for row in levels:
        places = _places(draw, points)
        for place in places:
            row[place:] *= 1 + size if draw.random() < 0.5 else 1 / (1 + size)
        truth.append(places)
    return levels * (1 + SD / LEVEL * draw.standard_normal((count, points))), truth


def _places(draw: Generator, points: int) -> list[int]:
    while True:
        places = sorted(draw.choice(np.arange(_APART, points - _APART), draw.integers(1, 4), replace=False).tolist())
        if all(after - before >= _APART for before, after in itertools.pairwise(places)):
            return places


def score(found: Iterable[Sequence[int]], truth: Iterable[Sequence[int]]) -> tuple[float, float]:
    """Precision and recall; each true change is found at most once."""
    right = seen = there = 0
    for places, true in zip(found, truth, strict=True):
        left = list(places)
        seen, there = seen + len(left), there + len(true)
        for place in true:
            near = [each for each in left if abs(each - place) <= TOLERANCE]
            if near:
                left.remove(min(near, key=lambda each: abs(each - place)))
                right += 1
    return (right / seen if seen else 0.0), right / there
