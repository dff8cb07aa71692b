"""Exact mode: a command in a guest whose clock counts its instructions, the kernel's included.

Three things would make two runs differ, and none of them is there. Input at a moment that the host chose: the
command lies in the machine (`-fw_cfg`) before the clone goes on. A snapshot frozen at a moment that the host chose:
the guest freezes itself, at an instruction of its own (`agent.c`). Other work in the guest: it has slept for ten
seconds of its own clock, which cost nothing, before it froze. Clones repeat each other's random numbers here, on
purpose. Every command runs twice, side by side, and both runs must agree in every byte.
"""

from __future__ import annotations

import contextlib
import struct
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path

from benchproof.errors import LabInvalid
from benchproof.guest import snapshot
from benchproof.guest.machine import Guest, Log, Machine, launched
from benchproof.guest.snapshot import Snapshot, resume
from benchproof.model import Completed


def ensure(machine: Machine, *, cache_folder: Path, supervisor: Path, timeout_s: float, log: Log) -> Snapshot:
    """The exact snapshot of this machine, whose clock stood still while it was frozen. Raises StartFailed."""

    def answers(fresh: Snapshot) -> None:
        Counter(machine, fresh, supervisor=supervisor, log=log).once([machine.probe, "exit", "0"], timeout_s=timeout_s)

    return snapshot.ensure(
        machine, cache_folder=cache_folder, supervisor=supervisor, timeout_s=timeout_s, log=log, check=answers
    )


class Counter:
    """Runs commands in exact clones of one snapshot."""

    def __init__(self, machine: Machine, frozen: Snapshot, *, supervisor: Path, log: Log) -> None:
        self.machine = machine
        self.snapshot = frozen
        self.supervisor = supervisor
        self.log = log

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """The command in two clones side by side, as if in one. Raises LabInvalid where they differ."""
        with ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(self.once, argv, stdin=stdin, timeout_s=timeout_s) for _ in range(2)]
            first, second = (each.result() for each in runs)
        if difference := _difference(first, second):
            raise LabInvalid(f"two exact runs do not agree: {difference}")
        return first

    def once(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """The command in one clone. Raises StartFailed, TargetFailed."""
        with self.clone(argv, stdin=stdin) as guest:
            resume(guest, self.snapshot)
            return guest.wire.await_completed(timeout_s=timeout_s)

    @contextlib.contextmanager
    def clone(self, argv: Sequence[str], *, stdin: bytes = b"", options: Sequence[str] = ()) -> Iterator[Guest]:
        """A clone with the command in it that is still frozen: `resume` lets it go on."""
        words = b"".join(word.encode() + b"\0" for word in argv)
        ram = str(self.snapshot.ram)
        with tempfile.NamedTemporaryFile(prefix="benchproof-request-") as request:
            request.write(struct.pack("<I", len(words)) + words + stdin)
            request.flush()
            with launched(
                self.machine,
                supervisor=self.supervisor,
                log=self.log,
                ram=ram,
                restored=True,
                request=request.name,
                options=options,
            ) as guest:
                yield guest


def _difference(first: Completed, second: Completed) -> str:
    """Where two runs first differ, both sides; empty if they agree in every byte."""
    if first.exit_status != second.exit_status:
        return f"exit status {first.exit_status} and {second.exit_status}"
    for one, other in ((first.stdout, second.stdout), (first.stderr, second.stderr)):
        for line, counterpart in zip_longest(one.splitlines(), other.splitlines(), fillvalue=b"nothing"):
            if line != counterpart:
                return f"{line[:120].decode(errors='replace')} and {counterpart[:120].decode(errors='replace')}"
    return ""
