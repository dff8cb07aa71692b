"""The worked example of a kernel that measures itself: it boots, its figures pass, and each planted fault is noticed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof import plan, runner
from benchproof.errors import InvocationError
from benchproof.model import Failed, Invalid, Outcome, Passed, Unsupported
from benchproof.quantities import Duration
from benchproof.targets import KINDS
from conftest import lab_in

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "bare-metal"
PAGE = (ROOT / "docs" / "own-kernel.md").read_text()
SILENT_S = 2.0  # for kernels that never end: all of it passes

Measure = Callable[..., tuple[Outcome, dict[str, str]]]

# what bp.fault= plants: the benchmark that is asked for, and the words that end it
FAILED = {
    "digest": ("hash.chunk", "digest: expected 5fce37f3129150ce"),
    "lost-completion": ("syscall.getpid", "completed: expected 14000, found 13986"),
    "foreign-completion": ("ring.nop", "wrong_cookies: expected 0, found 28"),
    "overflow": ("ring.nop", "overflows: expected 0, found 14"),
    "early-wake": ("timer.wake", "woke_early: expected 0, found 35"),
    "lost-wake": ("ipc.futex_pingpong", "panic: no task can run: a wake-up was lost"),
    "no-park": ("ipc.futex_pingpong", "round_trips: expected 3500, found 0"),
    "dirty-pages": ("memory.mmap_fault", "dirty_pages: expected 0, found"),
    "kept-pages": ("memory.mmap_fault", "found 'memory.mmap_fault' wrong: memory was touched that nobody had given"),
    "still-mapped": ("page.map_unmap", "gone: expected 3584, found"),
    "no-copy": ("memory.memcpy", "copies: expected 7, found 0"),
    "wrong-hz": ("syscall.getpid", "the clock runs ahead"),
    "panic": ("syscall.getpid", "the system failed: line 5, byte"),
    "triple-fault": ("syscall.getpid", "the machine ended"),
    "endless": ("syscall.getpid", "prints for ever"),
    "silent": ("syscall.getpid", "it ran out of time, silent for"),
    "mute": ("syscall.getpid", "the system did not start: it never printed '@bp begin'"),
    "other-token": ("syscall.getpid", "the transcript is that of another start: expected token="),
    "crash-after-end": ("syscall.getpid", "panic: unhandled exception 14"),
    "hang-after-end": ("syscall.getpid", "the system did not end although its transcript is whole"),
    "exit-status": ("syscall.getpid", "the machine ended with exit status 7, expected 33"),
}
INVALID = {
    "stopped-clock": ("syscall.getpid", "expected an operation or more, in more than no time at all"),
    "damaged-line": ("syscall.getpid", "expected NAME OPERATIONS ELAPSED, found 1 words"),
    "lost-line": ("syscall.getpid", "samples=2, but before it are 1: a line was lost, doubled or damaged"),
    "no-trailer": ("syscall.getpid", "the transcript is cut: expected '@bp end' after"),
}
NEVER_ENDS = {"endless", "silent", "mute", "hang-after-end"}
