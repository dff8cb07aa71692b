"""What the gates of a run's plan said when it was sealed: read from its report, not judged again.

The report is taken only if it is the file that was sealed. `benchproof verify` is what computes verdicts anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from benchproof.analysis.gate import WORST_FIRST
from benchproof.errors import one_line
from benchproof.model import Frozen
from benchproof.store.bundle import REPORT, Run

_LARGEST_BYTES = 64 << 20
_MOST = 1000  # gates of one run
_MOST_OF_A_TEXT = 300  # characters; all of it is in the run


class _Gate(Frozen, frozen=True):
    key: str
    benchmark: str


class Gated(Frozen, frozen=True):
    """The verdict of one gate on one target."""

    gate: _Gate
    target: str
    parameters: dict[str, object]
    verdict: str
    reason: str = ""

    def row(self) -> tuple[str, ...]:
        """Name, benchmark, target, parameters, verdict, reason; printable and not long."""
        parameters = msgspec.json.encode(self.parameters, order="sorted").decode()
        words = (self.gate.key, self.gate.benchmark, self.target, parameters, self.verdict, self.reason)
        return tuple(one_line(each)[:_MOST_OF_A_TEXT] for each in words)


class _Told(Frozen, frozen=True):
    gates: tuple[Gated, ...] = ()


def of_run(run: Run) -> tuple[Gated, ...]:
    """None where the run is not complete, or where its report makes no sense: `verify` says that."""
    path = run.path / REPORT
    try:
        if run.manifest.state != "complete" or path.lstat().st_size > _LARGEST_BYTES:
            return ()
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != run.manifest.files.get(REPORT):
            return ()
        found = msgspec.json.decode(content, type=_Told).gates[:_MOST]
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    return found if all(each.verdict in WORST_FIRST for each in found) else ()


def worst(found: Sequence[Gated]) -> str:
    """One word for all; empty if there are none."""
    return min((each.verdict for each in found), key=WORST_FIRST.index, default="")
