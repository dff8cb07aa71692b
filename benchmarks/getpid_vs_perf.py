"""Does `syscall.getpid` say what `perf bench syscall basic` says of the same machine?

perf loops over getppid, which takes the same way into the kernel and reads one pointer more. Its figure is the mean of
one loop, ours the median of 40 samples, so a neighbour shows up in perf's first: both loops last as long.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence

from benchmarks.our_side import started_host, verified_median
from benchmarks.rows import NoNumber, Row, agreement, in_turn
from benchproof.benchmarks.primitive.getpid import Getpid
from benchproof.targets.host import FolderInstance

_PAIRS = 5
_TOLERANCE = 0.05
GOAL = f"within {_TOLERANCE:.0%}"
_LOOPS = 2_000_000  # about 0.2 s, as long as ours takes
_TIMEOUT_S = 120.0
_OURS, _PEER = "syscall.getpid on host", "perf bench syscall basic"


def study() -> Sequence[Row]:
    """Pairs of one invocation of ours and one of perf. Raises NoNumber."""
    if not shutil.which("perf"):
        raise NoNumber("perf is not installed: apt-get install linux-perf")
    with started_host() as instance:
        measures = {_OURS: lambda: verified_median(Getpid(), instance), _PEER: lambda: _perf_ns(instance)}
        turns = in_turn(measures, rounds=_PAIRS)
    return [agreement(ours=_OURS, peer=_PEER, unit="ns", tolerance=_TOLERANCE, turns=turns)]


def _perf_ns(instance: FolderInstance) -> float:
    done = instance.run(["perf", "bench", "syscall", "basic", "--loop", str(_LOOPS)], timeout_s=_TIMEOUT_S)
    return ns_per_call(done.stdout.decode(errors="replace"))


def ns_per_call(output: str) -> float:
    """From perf's default format. Raises NoNumber where it says no such thing, as some wrappers of perf do."""
    found = re.search(r"^\s*([\d.]+) usecs/op$", output, re.MULTILINE)
    if found is None:
        raise NoNumber(f"expected 'usecs/op' in the output of '{_PEER}', found {output[-200:]!r}")
    return float(found[1]) * 1000
