"""Does `process.fork_exec` say what hyperfine says of running the same file?

Both start `probe exit N` and wait for it. Three things stand between the two figures; each was looked into, and the
second row takes away the two that can be taken away.

*Where the child runs.* `perf record -e sched:sched_wakeup_new` showed the scheduler starting 30 to 70 % of the children
of either tool on another CPU, differently in each run. To a forked child on a virtual machine that costs half as much
again, to one of posix_spawn little, for its parent stands still until the exec. Row 2 is on one CPU.

*The statistic.* hyperfine's median is that of single runs. A sample of the probe is the mean of a batch, some 40 runs
in 5 ms, and so has its share of the few percent of runs that a timer tick makes slow: about a tenth more, and the same
tenth when the probe's own single runs are batched. Row 2 averages hyperfine's runs in batches before the median.

*The way.* The probe forks itself and clears its environment. hyperfine 1.15 calls posix_spawn, which is cheaper, but
has inside its clock (seen with strace) three opens of /dev/null with their dup2 and some 130 rt_sigaction by which the
C library puts signals back. A C program that did either: fork 138 us, posix_spawn 117, with those additions 126.

hyperfine hands its own environment on, and the exec copies it: under a login session's 36 variables its figure was
20 us higher. Here it gets the two variables that every command of benchproof gets.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, median

import msgspec

from benchmarks.our_side import on_one_cpu, started_host, verified_median
from benchmarks.rows import NoNumber, Row, Turns, agreement, in_turn
from benchproof.benchmarks.primitive.fork_exec import ForkExec
from benchproof.targets.host import FolderInstance

_PAIRS = 5
_TOLERANCE = 0.10
GOAL = f"within {_TOLERANCE:.0%}"
_WARMUPS, _RUNS = 20, 500
_BATCH, _BATCHES = 30, 40  # as many samples as the probe takes, of about as many runs each
_TIMEOUT_S = 120.0
_FREE = ("process.fork_exec on host", "hyperfine -N, its own median")
_PINNED = ("process.fork_exec on one CPU", "hyperfine -N on one CPU, in batches")
_WHY_FREE = (
    "the scheduler starts many children on the other CPU, which costs a fork more than hyperfine's posix_spawn, "
    "and a median of batches is about a tenth above one of single runs"
)
_WHY_PINNED = (
    "same placement, same statistic; what is left: we fork, hyperfine calls posix_spawn (cheaper) "
    "and opens /dev/null three times and resets all signals inside its clock (dearer)"
)


def study() -> Sequence[Row]:
    """Pairs of one invocation of ours and one of hyperfine with the same file: as they are, then like with like."""
    if not shutil.which("hyperfine"):
        raise NoNumber("hyperfine is not installed: apt-get install hyperfine")
    with started_host() as instance, tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "times.json")
        free = _pairs(_FREE, instance, lambda: median(_run_times_us(instance, out, runs=_RUNS)))
        with on_one_cpu():
            pinned = _pairs(_PINNED, instance, lambda: _median_of_batches_us(instance, out))
    return [_row(_FREE, free, _WHY_FREE), _row(_PINNED, pinned, _WHY_PINNED)]


def _pairs(names: tuple[str, str], instance: FolderInstance, peer_us: Callable[[], float]) -> Turns:
    ours, peer = names
    return in_turn({ours: lambda: verified_median(ForkExec(), instance) / 1000, peer: peer_us}, rounds=_PAIRS)


def _row(names: tuple[str, str], turns: Turns, why: str) -> Row:
    return agreement(ours=names[0], peer=names[1], unit="us", tolerance=_TOLERANCE, turns=turns, note=why)


def _median_of_batches_us(instance: FolderInstance, out: Path) -> float:
    times_us = _run_times_us(instance, out, runs=_BATCH * _BATCHES)
    return median(fmean(times_us[start : start + _BATCH]) for start in range(0, len(times_us), _BATCH))


def _run_times_us(instance: FolderInstance, out: Path, *, runs: int) -> list[float]:
    """Of every run. `-i`: the probe ends with status 1, which proves that it read its argument."""
    command = f"{shlex.quote(instance.probe)} exit 1"
    options = ["-N", "--style", "none", "--warmup", str(_WARMUPS), "--runs", str(runs), "-i"]
    done = instance.run(["hyperfine", *options, command, "--export-json", str(out)], timeout_s=_TIMEOUT_S)
    if done.exit_status:
        raise NoNumber(f"hyperfine ended with exit status {done.exit_status}: {done.stderr[-300:]!r}")
    return [time_s * 1e6 for time_s in run_times_s(out.read_bytes(), exit_status=1)]


def run_times_s(exported: bytes, *, exit_status: int) -> list[float]:
    """From `--export-json`. Raises NoNumber if any run did not end with the status that the command asks for."""
    result = msgspec.json.decode(exported)["results"][0]
    if set(result["exit_codes"]) != {exit_status}:
        raise NoNumber(f"expected exit status {exit_status} of every run, found {set(result['exit_codes'])}")
    times_s: list[float] = result["times"]
    return times_s
