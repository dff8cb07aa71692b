"""What does the daemon add to a command in a guest, how soon does a new sandbox work, and how many live at once?

The peer is the same target without a daemon, in the same rounds: a command on its instance, a clone of its image. What
is more than that is the daemon's: HTTP, its threads, its record of names. Every command gives back a random word.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.guests import laboratory, linux, verified_command
from benchmarks.rows import NoNumber, Row
from benchproof import noise
from benchproof.errors import LabInvalid
from benchproof.footprint import cpu_ns
from benchproof.targets.qemu import Qemu

_ROUNDS, _COMMANDS, _ALIVE = 15, 15, 100
_GOAL_EXEC_MS, _GOAL_POOL_MS, _GOAL_START_MS = 3, 25, 90
GOAL = f"exec + <= {_GOAL_EXEC_MS} ms, provision <= {_GOAL_POOL_MS} / {_GOAL_START_MS} ms, {_ALIVE} alive"
_TIMEOUT_S = 120.0
_POOL = 2
_DISTURBED_CPUS = 0.15
_OVER_HTTP, _RAW = "POST /exec", "the same on the target"
_FROM_POOL, _STARTED, _CLONE = "provision from the pool", "provision without a pool", "a clone of the target"


def study() -> Sequence[Row]:
    """Commands, provisions, then a crowd."""
    with laboratory() as lab, tempfile.TemporaryDirectory() as folder, _daemon(Path(folder)) as client:
        target = linux(lab)
        return [_exec_row(client, target), *_provision_rows(client, target), _crowd_row(client)]


class _Client:
    """One connection that is kept."""

    def __init__(self, url: str, pid: int) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_S)
        self.pid = pid

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self._connection.request(method, path, None if body is None else json.dumps(body))
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        if response.status >= 300:
            raise NoNumber(f"{method} {path}: {response.status} {answer}")
        return answer

    def verified(self, name: str, cat: Sequence[str]) -> None:
        """A command gives back a random word."""
        word = secrets.token_hex(8)
        done = self.ask("POST", f"/exec/{name}", {"argv": cat, "stdin": word})
        if (done["exit_status"], done["stdout"]) != (0, word):
            raise NoNumber(f"expected {word!r} of a sandbox, found {done}")


@contextlib.contextmanager
def _daemon(folder: Path) -> Iterator[_Client]:
    plan, ready = folder / "plan.toml", folder / "ready"
    plan.write_text('[targets.guest]\nkind = "qemu"\naccel = "tcg"\n')
    argv = [sys.executable, "-m", "benchproof.sandboxd", "--listen", "127.0.0.1:0", "--quiet", "--plan", str(plan)]
    with subprocess.Popen([*argv, "--ready-file", str(ready), "--max-sandboxes", str(_ALIVE + 8)]) as program:
        try:
            until_s = time.monotonic() + _TIMEOUT_S
            while not ready.exists():
                if program.poll() is not None or time.monotonic() > until_s:
                    raise NoNumber("the daemon did not become ready")
                time.sleep(0.01)
            yield _Client(json.loads(ready.read_text())["url"], program.pid)
        finally:
            program.terminate()
            program.wait(_TIMEOUT_S)


def _exec_row(client: _Client, target: Qemu) -> Row:
    made = client.ask("POST", "/provision", {})
    with target.image().start() as instance:
        measures = {
            _OVER_HTTP: lambda: _median_ms(lambda: client.verified(made["name"], made["cat"])),
            _RAW: lambda: _median_ms(lambda: verified_command(instance)),
        }
        samples, note, disturbed = _in_turn(client, measures)
    client.ask("DELETE", f"/delete/{made['name']}")
    over_http_ms, raw_ms = (median(samples[name]) for name in (_OVER_HTTP, _RAW))
    added_ms = median(mine - bare for mine, bare in zip(samples[_OVER_HTTP], samples[_RAW], strict=True))
    return Row(
        what=f"{_OVER_HTTP}, a command in a guest",
        unit="ms",
        measured=over_http_ms,
        against=_RAW,
        peer=raw_ms,
        ratio=over_http_ms / raw_ms,
        goal=f"<= {_GOAL_EXEC_MS} ms more",
        met=added_ms <= _GOAL_EXEC_MS,
        note=f"the daemon adds {added_ms:.2f} ms; {note}",
        samples=samples,
        disturbed=disturbed,
    )


def _provision_rows(client: _Client, target: Qemu) -> list[Row]:
    client.ask("POST", "/pool", {"size": _POOL})
    measures = {
        _FROM_POOL: lambda: _provisioned_ms(client, "pool"),
        _STARTED: lambda: _provisioned_ms(client, "snapshot"),
        _CLONE: lambda: _clone_ms(target),
    }
    samples, note, disturbed = _in_turn(client, measures)
    client.ask("POST", "/pool", {"size": 0})
    raw_ms = median(samples[_CLONE])
    return [
        Row(
            what=f"{what}, to the first verified exec",
            unit="ms",
            measured=median(samples[what]),
            against=_CLONE,
            peer=raw_ms,
            ratio=median(samples[what]) / raw_ms,
            goal=f"<= {goal_ms} ms",
            met=median(samples[what]) <= goal_ms,
            note=note,
            samples=samples,
            disturbed=disturbed,
        )
        for what, goal_ms in ((_FROM_POOL, _GOAL_POOL_MS), (_STARTED, _GOAL_START_MS))
    ]


def _provisioned_ms(client: _Client, origin: str) -> float:
    """The pool is full before, and the sandbox deleted afterwards, when no clock runs."""
    client.ask("POST", "/pool", {"size": _POOL})
    began_ns = time.monotonic_ns()
    made = client.ask("POST", "/provision", {"from": origin})
    client.verified(made["name"], made["cat"])
    elapsed_ms = (time.monotonic_ns() - began_ns) / 1e6
    client.ask("DELETE", f"/delete/{made['name']}")
    client.ask("POST", "/pool", {"size": _POOL})
    return elapsed_ms


def _clone_ms(target: Qemu) -> float:
    began_ns = time.monotonic_ns()
    with target.image().start() as instance:
        verified_command(instance)
        return (time.monotonic_ns() - began_ns) / 1e6


def _crowd_row(client: _Client) -> Row:
    """All alive at once: each works after the last was started, and no process of any is left afterwards."""
    made = [client.ask("POST", "/provision", {}) for _ in range(_ALIVE)]
    times_ms = []
    for each in made:
        began_ns = time.monotonic_ns()
        client.verified(each["name"], each["cat"])
        times_ms.append((time.monotonic_ns() - began_ns) / 1e6)
    held = [client.ask("GET", f"/sandboxes/{each['name']}")["memory_bytes"] / 2**20 for each in made]
    for each in made:
        client.ask("DELETE", f"/delete/{each['name']}")
    left = [pid for each in made for pid in each["processes"] if Path(f"/proc/{pid}").exists()]
    if left:
        raise LabInvalid(f"processes of deleted sandboxes are left: {left[:5]}")
    note = f"{sum(held):.0f} MiB together (PSS), {median(held):.1f} each; an exec among them {median(times_ms):.1f} ms"
    return Row(
        what="sandboxes alive at once, each verified",
        measured=len(made),
        goal=f">= {_ALIVE}",
        met=len(made) >= _ALIVE,
        note=note,
        samples={"exec_ms": times_ms, "memory_mib": held},
    )


def _median_ms(command: Callable[[], object]) -> float:
    times_ms = []
    for _ in range(_COMMANDS):
        began_ns = time.monotonic_ns()
        command()
        times_ms.append((time.monotonic_ns() - began_ns) / 1e6)
    return median(times_ms)


def _in_turn(client: _Client, measures: Mapping[str, Callable[[], float]]) -> tuple[dict[str, list[float]], str, bool]:
    """Rounds of all measures, one after another; the CPU time of the daemon and its guests is not that of others."""
    for measure in measures.values():
        measure()
    samples: dict[str, list[float]] = {name: [] for name in measures}
    before, ours_s = noise.snapshot(), cpu_ns([client.pid, os.getpid()]) / 1e9
    for number in range(_ROUNDS):
        for name in list(measures) if number % 2 else reversed(measures):
            samples[name].append(measures[name]())
    after, ours_s = noise.snapshot(), cpu_ns([client.pid, os.getpid()]) / 1e9 - ours_s
    if not (before.cpu_ticks and after.cpu_ticks):
        return samples, "what else ran is not known", False
    ticks = sum(after.cpu_ticks[field] - before.cpu_ticks[field] for field in (0, 1, 2, 5, 6))
    elapsed_s = (after.monotonic_ns - before.monotonic_ns) / 1e9
    others = max(0.0, ticks / os.sysconf("SC_CLK_TCK") - ours_s) / elapsed_s
    return samples, f"other work kept {others:.2f} CPUs busy", others > _DISTURBED_CPUS
