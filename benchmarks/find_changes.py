"""Reads a CSV file with a column a series, prints the places of their changes as JSON: what a process of ours costs.

python -m benchmarks.find_changes FILE.csv
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from benchproof.analysis import changepoints
from benchproof.analysis.trend import DELTA


def main(path: Path) -> None:
    """The first column is the time."""
    with path.open(newline="") as file:
        _, *rows = csv.reader(file)
    _, *columns = zip(*rows, strict=True)
    found = changepoints.find([[float(value) for value in column] for column in columns], [DELTA] * len(columns))
    print(json.dumps([[shift.place for shift in shifts] for shifts in found]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
