"""Whether what an instance held still runs, and what a pool of sandboxes makes of that."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchproof import held
from benchproof.errors import TargetFailed
from benchproof.model import Footprint
from benchproof.sandboxd.sandbox import Sandbox


class Rooted:
    """As far as a sandbox of a pool looks at it; no command can be asked of it."""

    files: tuple[Path, ...] = ()

    def __init__(self, pid: int) -> None:
        self.pid = pid


@contextlib.contextmanager
def program():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            with contextlib.suppress(ProcessLookupError):
                started.kill()


def told(pid: int, what: held.Held) -> list[str]:
    """What is at rest, once the kernel has done what the signal asks for."""
    until_s = time.monotonic() + 30
    while not (found := held.at_rest(what)) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert all(f"process {pid} " in each for each in found)
    return found


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_sandbox_whose_process_was_stopped_or_killed_is_not_handed_out(number):
    with program() as started:
        waiting = Sandbox(Rooted(started.pid), contextlib.ExitStack(), "snapshot")
        what = held.held(Footprint(processes=(started.pid,), files=(), memory_bytes=0, disk_bytes=0))
        waiting.prove()
        assert held.at_rest(what) == []
        os.kill(started.pid, number)
        assert len(told(started.pid, what)) == 1
        with pytest.raises(TargetFailed, match=rf"process {started.pid} .* runs no more"):
            waiting.prove()


def test_a_process_that_was_awaited_runs_no_more_whoever_has_its_number_now():
    with program() as started:
        pid = started.pid
        ours = held.held(Footprint(processes=(pid,), files=(), memory_bytes=0, disk_bytes=0))
        another = held.Held(processes=((pid, ours.processes[0][1] + 1),), files=())
        assert (held.at_rest(ours), len(held.at_rest(another))) == ([], 1)
    assert len(held.at_rest(ours)) == 1
