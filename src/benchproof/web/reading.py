"""Runs that were read, kept as long as there is room: a page of a run asks for its report again and again.

What is kept is thrown away when the files of the run are not as they were read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from benchproof import report
from benchproof.analysis.matrix import Report
from benchproof.errors import BenchproofError
from benchproof.model import Frozen
from benchproof.store import bundle
from benchproof.store.bundle import Run
from benchproof.web.asked import Missing

_MOST_RUNS = 16
_MOST_BYTES = 256 << 20  # of files, all kept runs together
_LARGEST = 128 << 20  # of one run that a page is made of


class Read(Frozen, frozen=True):
    """A run and its report, and what its files were."""

    run: Run
    report: Report
    signature: tuple[tuple[int, int], ...]
    size_bytes: int


class Reading:
    """The runs of the last pages. One run is read at a time: a machine that measures has little to spare."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, Read] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def of(self, path: Path) -> Read:
        """The run in this folder. Raises Missing for what is gone, broken or too large, with the reason."""
        with self._one_at_a_time:
            try:
                return self._read(path)
            except FileNotFoundError as error:
                raise Missing(f"run '{path.name}' is not there any more") from error
            except (BenchproofError, OSError) as error:
                raise Missing(f"run '{path.name}' cannot be shown: {error}".replace(f"'{path}'", "it")) from error

    def _read(self, path: Path) -> Read:
        files = [path / bundle.MANIFEST, path / bundle.ENVELOPE, *(path / name for name in bundle.grown(path))]
        stats = [file.lstat() for file in files]
        signature = tuple((each.st_size, each.st_mtime_ns) for each in stats)
        size = sum(each.st_size for each in stats)
        kept = self._kept.pop(path, None)
        if kept is None or kept.signature != signature:
            if size > _LARGEST:
                raise Missing(f"it has {size >> 20} MiB, more than a page is made of: `benchproof report` shows it")
            run = bundle.load_sealed(path)
            kept = Read(run, report.build(run), signature, size)
        self._kept[path] = kept
        while len(self._kept) > _MOST_RUNS or sum(each.size_bytes for each in self._kept.values()) > _MOST_BYTES:
            self._kept.popitem(last=False)
        return kept
