"""As find_changes, by ruptures alone: run by the interpreter of its own environment, so nothing of ours is imported.

Squared error, exact search (PELT), at least 2 points a level, and the penalty that BIC gives a change of the mean:
2 ln n times the variance, estimated robustly from the differences of neighbours.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import ruptures


def main(path: Path) -> None:
    """The first column is the time."""
    with path.open(newline="") as file:
        _, *rows = csv.reader(file)
    values = np.array([[float(value) for value in row[1:]] for row in rows])
    print(json.dumps([_places(column) for column in values.T]))


def _places(values: np.ndarray) -> list[int]:
    differences = np.diff(values)
    sd = 1.4826 * np.median(np.abs(differences - np.median(differences))) / math.sqrt(2)
    search = ruptures.KernelCPD(kernel="linear", min_size=2).fit(values.reshape(-1, 1))
    return [int(place) for place in search.predict(pen=2 * math.log(len(values)) * sd**2)[:-1]]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
