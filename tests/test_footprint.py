"""Memory and CPU time of a tree of processes: what was really used is found, and no work means no time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from benchproof import footprint

_HELD_BYTES = 48 << 20
_SPENT_NS = 150_000_000
BURN = f"import time\nwhile time.process_time_ns() < {_SPENT_NS}: pass\n"
SAY = "print('ready', flush=True); input()\n"


@contextlib.contextmanager
def program(code):
    """A process that has done its work and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", code + SAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def test_memory_that_is_held_is_found_and_what_was_given_back_stays_in_the_peak():
    with program("") as small, program(f"held = bytearray(b'1') * {_HELD_BYTES}\n") as large:
        few, many = footprint.usage([small.pid]), footprint.usage([large.pid])
    assert many.rss_bytes - few.rss_bytes > 0.9 * _HELD_BYTES
    assert many.pss_bytes - few.pss_bytes > 0.9 * _HELD_BYTES
    with program(f"held = bytearray(b'1') * {_HELD_BYTES}\ndel held\n") as gone:
        found = footprint.usage([gone.pid])
    assert found.peak_rss_bytes - found.rss_bytes > 0.8 * _HELD_BYTES


def test_a_tree_is_the_processes_and_all_that_they_started():
    child = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
    )
    with program(child) as parent:
        found = footprint.usage([parent.pid, parent.pid])
        assert len(found.processes) == 2
        assert found.processes[0] == parent.pid
        assert found.rss_bytes > footprint._status(parent.pid)["VmRSS"]


def test_cpu_time_is_that_of_the_process_itself_of_its_children_and_of_those_it_awaited():
    alone = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])\n"
    alive = (
        f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {BURN + SAY!r}], stdin=subprocess.PIPE,"
    )
    alive += " stdout=subprocess.PIPE); c.stdout.readline()\n"
    with program("") as idle, program(BURN) as busy, program(alone) as awaited, program(alive) as parent:
        assert footprint.cpu_ns([busy.pid]) >= _SPENT_NS
        assert footprint.cpu_ns([awaited.pid]) >= _SPENT_NS - 20_000_000  # in clock ticks, cut off
        assert footprint.cpu_ns([parent.pid]) >= _SPENT_NS
        before = footprint.cpu_ns([idle.pid])
        assert footprint.cpu_ns([idle.pid]) == before > 0
        assert footprint.cpu_ns([idle.pid, busy.pid]) >= _SPENT_NS + before


def test_threads_that_ended_count_too():
    code = "import threading\ndef burn():\n while time.thread_time_ns() < 150_000_000: pass\n"
    code = "import time\n" + code + "t = threading.Thread(target=burn); t.start(); t.join()\n"
    with program(code) as threaded:
        assert footprint.cpu_ns([threaded.pid]) >= _SPENT_NS


def test_a_process_that_ended_uses_nothing_and_has_no_cpu_time_to_read():
    with program("") as running:
        pid = running.pid
    found = footprint.usage([pid])
    assert (found.processes, found.rss_bytes, found.pss_bytes, found.peak_rss_bytes) == ((), 0, 0, 0)
    with pytest.raises(footprint.LabInvalid, match="one of them ended each time"):
        footprint.cpu_ns([pid])


def test_our_own_cpu_time_is_that_of_the_clock():
    before = footprint._cpu_ns(os.getpid())
    while footprint._cpu_ns(os.getpid()) < before + 20_000_000:
        pass
    assert footprint.cpu_ns([os.getpid()]) >= before + 20_000_000


def test_the_quick_look_finds_the_same_tree_as_the_thorough_one():
    child = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
    with program(f"{child}\n") as parent:
        found = footprint.offspring(parent.pid)
        assert len(found) == 1
        assert found == footprint.descendants(parent.pid)
    assert footprint.offspring(parent.pid) == ()
