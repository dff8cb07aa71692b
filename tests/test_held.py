"""Whether what an instance held still runs, and what a pool of sandboxes makes of that."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchproof import held
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Completed, Footprint
from benchproof.sandboxd.limits import Limits
from benchproof.sandboxd.sandbox import Sandbox
from benchproof.sandboxd.stages import Stages
from conftest import completed


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


class Aside:
    """Runs commands as it is told, and short ones beside them; remembers which way each came."""

    def __init__(self) -> None:
        self.ways: list[str] = []
        self.began, self.may_end = threading.Event(), threading.Event()

    def run(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        self.ways.append("run")
        if argv == ["unsupported"]:
            raise NotSupported("not here")
        if argv == ["long"]:
            self.began.set()
            assert self.may_end.wait(60)
        return completed(b"")

    def run_beside(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        self.ways.append("beside")
        return completed(b"")


def test_a_short_command_runs_beside_another_only_while_there_is_one_however_that_ended():
    instance = Aside()
    sandbox = Sandbox(instance, contextlib.ExitStack(), "cold")
    usual = {"stdin": b"", "timeout_s": 60.0, "limits": Limits()}
    with ThreadPoolExecutor(1) as other:
        long = other.submit(sandbox.run, ["long"], **usual, stages=Stages())
        assert instance.began.wait(60)
        sandbox.run_beside(["short"], **usual)
        instance.may_end.set()
        long.result()
    sandbox.run_beside(["short"], **usual)
    with pytest.raises(NotSupported):
        sandbox.run(["unsupported"], **usual, stages=Stages())
    sandbox.run_beside(["short"], **usual)
    assert instance.ways == ["run", "beside", "run", "run", "run"]
