"""How long does the quick primitive suite take, and how much of the machine does the harness itself use?

A harness that needs the CPU disturbs what it measures. The wall time is held against the sum of the run's own
invocations (what lies between is ours), the harness's CPU time against that of the whole run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.rows import ROOT, NoNumber, Row, clean_environment, with_neighbours
from benchproof.model import Frozen, Invalid, Passed, Result
from benchproof.store import bundle

_TIMEOUT_S = 1800.0
_SHARE_GOAL = 0.10
_SUITES = {"host,bwrap,gvisor": 60, "host,bwrap,gvisor,linux": 90}  # targets -> goal in s; the second is `make run`
GOAL = f"{', '.join(f'<= {goal_s} s' for goal_s in _SUITES.values())}, harness CPU <= {_SHARE_GOAL:.0%}"


class _Cost(Frozen, frozen=True):
    """What one run cost, and what it recorded."""

    wall_s: float
    harness_cpu_s: float
    children_cpu_s: float
    results: tuple[Result, ...]
    disturbed: bool = False


class _Usage(Frozen, frozen=True):
    harness_cpu_s: float
    children_cpu_s: float


def study() -> Sequence[Row]:
    """One run for each set of targets, after a small one that does what only the first run on a machine does."""
    _run("--targets", "host,bwrap,gvisor,linux", "-b", "syscall.getpid", "--blocks", "1")
    return [row for targets, goal_s in _SUITES.items() for row in _rows(targets, goal_s)]


def _rows(targets: str, goal_s: float) -> list[Row]:
    cost, around = with_neighbours(lambda: _run("--targets", targets))
    cost = msgspec.structs.replace(cost, disturbed=around.disturbing)
    what = f"quick run of {targets}"
    goals = {f"{what}: wall": f"<= {goal_s} s", f"{what}: harness CPU": f"<= {_SHARE_GOAL:.0%}"}
    if reason := _incomplete(cost.results):
        return [Row(what=each, goal=goal, note=reason) for each, goal in goals.items()]
    (wall, wall_goal), (share, share_goal) = goals.items()
    return [_wall_row(wall, cost, wall_goal, goal_s), _share_row(share, cost, share_goal)]


def _incomplete(results: Sequence[Result]) -> str:
    """A run that skipped something is faster for the wrong reason; an invalid invocation did run, most often thrice."""
    lacking = [
        f"{each.target} {each.benchmark} {msgspec.json.encode(each.outcome).decode()}"
        for each in results
        if not isinstance(each.outcome, Passed | Invalid)
    ]
    return f"{len(lacking)} invocations gave no figure: {'; '.join(lacking[:3])}" if lacking else ""


def _wall_row(what: str, cost: _Cost, goal: str, goal_s: float) -> Row:
    invocations_s = sum(each.duration_ns for each in cost.results) / 1e9
    return Row(
        what=what,
        unit="s",
        measured=cost.wall_s,
        against=f"its {len(cost.results)} invocations alone",
        peer=invocations_s,
        ratio=cost.wall_s / invocations_s,
        goal=goal,
        met=cost.wall_s <= goal_s,
        note=_slowest(cost.results),
        disturbed=cost.disturbed,
        samples={"wall_s": [cost.wall_s], "invocations_s": [invocations_s]},
    )


def _slowest(results: Sequence[Result]) -> str:
    """Where the time went: a target's invocations, and how much of them the probe was measuring."""
    parts = []
    for target in dict.fromkeys(each.target for each in results):
        own = [each for each in results if each.target == target]
        inside_s = sum(int(each.evidence.get("wall_ns", 0)) for each in own) / 1e9
        parts.append(f"{target} {sum(each.duration_ns for each in own) / 1e9:.1f} s ({inside_s:.1f} s in timed loops)")
    invalid = sum(isinstance(each.outcome, Invalid) for each in results)
    return ", ".join(parts) + (f"; {invalid} invalid, by noise, and tried again" if invalid else "")


def _share_row(what: str, cost: _Cost, goal: str) -> Row:
    run_cpu_s = cost.harness_cpu_s + cost.children_cpu_s
    share = cost.harness_cpu_s / run_cpu_s
    return Row(
        what=what,
        unit="s",
        measured=cost.harness_cpu_s,
        against="CPU time of the run",
        peer=run_cpu_s,
        ratio=share,
        goal=goal,
        met=share <= _SHARE_GOAL,
        note=f"{cost.harness_cpu_s / len(cost.results) * 1e3:.1f} ms an invocation",
        disturbed=cost.disturbed,
        samples={"harness_cpu_s": [cost.harness_cpu_s], "children_cpu_s": [cost.children_cpu_s]},
    )


def _run(*options: str) -> _Cost:
    """One quick run in a folder of its own. Raises NoNumber with its last words if it did not end well."""
    with tempfile.TemporaryDirectory() as folder:
        usage_file, home = Path(folder, "usage.json"), Path(folder, "home")
        words = [sys.executable, "-m", "benchmarks.in_process", str(usage_file)]
        words += ["run", "--home", str(home), *options]
        started_s = time.monotonic()
        done = subprocess.run(
            words, cwd=ROOT, env=clean_environment(), capture_output=True, timeout=_TIMEOUT_S, check=False
        )
        wall_s = time.monotonic() - started_s
        if not usage_file.exists():
            raise NoNumber(f"the run ended with exit status {done.returncode}: {done.stderr[-500:].decode()}")
        usage = msgspec.json.decode(usage_file.read_bytes(), type=_Usage)
        run = bundle.load(next((home / "runs").glob("*/")))
    return _Cost(wall_s, usage.harness_cpu_s, usage.children_cpu_s, (*run.warmups, *run.results))
