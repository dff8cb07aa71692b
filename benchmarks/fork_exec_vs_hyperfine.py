"""Does `process.fork_exec` say what hyperfine says of running the same file?

Both start `probe exit N` and wait for it, but not by the same way. The probe forks itself and clears its environment.
hyperfine calls posix_spawn, which shares its memory with the child until the exec and so does not pay for its own size;
inside its clock lie also three opens of /dev/null with their dup2, and some 130 rt_sigaction with which the C library
puts signals back (seen with strace, hyperfine 1.15). A C program that spawns either way, measured when this study was
written: fork 138 us, posix_spawn 117 us, posix_spawn with hyperfine's preparations 126 us.

hyperfine hands its own environment on, and the exec copies it: under a login session's 36 variables its figure was
20 us higher. Here it gets the two variables that every command of benchproof gets.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.our_side import started_host, verified_median
from benchmarks.rows import Row, agreement, in_turn
from benchproof.benchmarks.primitive.fork_exec import ForkExec
from benchproof.targets.host import FolderInstance

_PAIRS = 5
_TOLERANCE = 0.10
_WARMUPS, _RUNS = 20, 500
_TIMEOUT_S = 120.0
_OURS, _PEER = "process.fork_exec on host", "hyperfine -N"


def study() -> Sequence[Row]:
    """Pairs of one invocation of ours and one of hyperfine, with the very same file."""
    if not shutil.which("hyperfine"):
        reason = "hyperfine is not installed: apt-get install hyperfine"
        return [Row(what=_OURS, against=_PEER, goal=f"within {_TOLERANCE:.0%}", note=reason)]
    fastest_us: list[float] = []
    with started_host() as instance, tempfile.TemporaryDirectory() as folder:
        measures = {
            _OURS: lambda: verified_median(ForkExec(), instance) / 1000,
            _PEER: lambda: _hyperfine_us(instance, Path(folder) / "times.json", fastest_us),
        }
        turns = in_turn(measures, rounds=_PAIRS)
    why = _why(fastest_us)
    return [agreement(ours=_OURS, peer=_PEER, unit="us", tolerance=_TOLERANCE, turns=turns, note=why)]


def _why(fastest_us: list[float]) -> str:
    return (
        f"fastest single run of hyperfine {min(fastest_us):.0f} us; not the same way: the probe forks, hyperfine calls "
        "posix_spawn (cheaper) and opens /dev/null three times and resets 65 signals inside its clock (dearer)"
    )


def _hyperfine_us(instance: FolderInstance, out: Path, fastest_us: list[float]) -> float:
    """The median of its runs. `-i`: the probe ends with status 1, which proves that it read its argument."""
    command = f"{shlex.quote(instance.probe)} exit 1"
    options = ["-N", "--style", "none", "--warmup", str(_WARMUPS), "--runs", str(_RUNS), "-i"]
    done = instance.run(["hyperfine", *options, command, "--export-json", str(out)], timeout_s=_TIMEOUT_S)
    if done.exit_status:
        raise RuntimeError(f"hyperfine ended with exit status {done.exit_status}: {done.stderr[-300:]!r}")
    times_s = run_times_s(out.read_bytes(), exit_status=1)
    fastest_us.append(min(times_s) * 1e6)
    return median(times_s) * 1e6


def run_times_s(exported: bytes, *, exit_status: int) -> list[float]:
    """From `--export-json`. Raises RuntimeError if any run did not end with the status that the command asks for."""
    result = msgspec.json.decode(exported)["results"][0]
    if set(result["exit_codes"]) != {exit_status}:
        raise RuntimeError(f"expected exit status {exit_status} of every run, found {set(result['exit_codes'])}")
    times_s: list[float] = result["times"]
    return times_s
