"""Transcripts of the protocol for tests: a good one, built from parts that a test may change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NoReturn

from benchproof.errors import NotSupported
from benchproof.model import Reported
from benchproof.protocol.transcript import Ended, Heard, read

TOKEN = "3f9c21d07b66a154"  # noqa: S105 - a word that is new in every start, no secret
LOG = ("SeaBIOS (version 1.16.2)", "[    0.000000] toy: 1 CPU, 256 MiB", "")
BEGIN = f"@bp begin 1 benchmarks=2 token={TOKEN} system=toy-1 build=release hz=1000000000 at=1000000"
LIST = (
    "@bp bench syscall.getpid unit=ticks clock=tsc : ring entry, one no-op",
    "@bp bench memory.memcpy unit=ticks clock=tsc : rep movsb",
    "@bp unsupported process.fork_exec there are no programs to start",
    "@bp unsupported * this kernel has nothing like it",
)
GETPID = (
    "@bp start syscall.getpid",
    "@bp warmup syscall.getpid 1000 512345",
    "@bp sample syscall.getpid 1000 401302",
    "@bp sample syscall.getpid 1000 401287",
    "[    0.400000] toy: timer recalibrated",
    "@bp evidence syscall.getpid completed 3000",
    "@bp evidence syscall.getpid overflows 0",
    "@bp evidence syscall.getpid wrong_cookies 0",
    "@bp done syscall.getpid samples=2 operations=2000 elapsed=802589",
)
MEMCPY = (
    "@bp start memory.memcpy",
    "@bp total memory.memcpy 8 4000000",
    "@bp evidence memory.memcpy copies 8",
    "@bp done memory.memcpy samples=1 operations=8 elapsed=4000000",
)
BODY = (*LIST, *GETPID, "[    0.500000] toy: halfway", *MEMCPY)
END = f"@bp end benchmarks=2 done=2 failed=0 unsupported=2 lines=%d token={TOKEN} hz=1000000000 at=9000000"


def ended(lines: tuple[str, ...]) -> str:
    return END % (sum(line.startswith("@bp ") for line in lines) + 1)


def whole(*lines: str, log: tuple[str, ...] = LOG, after: tuple[str, ...] = ()) -> bytes:
    """All of a console; `lines` stand between its first line and its trailer."""
    said = (BEGIN, *(lines or BODY))
    return "".join(f"{line}\r\n" for line in (*log, *said, ended(said), *after)).encode()


GOOD = whole()


class Speaks:
    """A target that measures itself, as far as benchproof can see: its console is what a test wrote."""

    probe = ""

    def __init__(self, console: bytes, *, exact: bool = False, **how: object) -> None:
        self.console = console
        self.exact = exact
        self.how = how
        self.clock = "instructions" if exact else "target"
        self.asked: list[str] = []

    def facts(self) -> dict[str, dict[str, str]]:
        return {"machine": {"execution": "emulated"}, "system": {"kind": "kernel"}}

    @contextlib.contextmanager
    def start(self) -> Iterator[Speaks]:
        yield self

    def report(self, name: str, *, timeout_s: float) -> Reported:
        self.asked.append(name)
        return read(Heard(self.console), name, ended=Ended("trailer"), exact=self.exact, **self.how)

    def run(self, argv: object, *, stdin: bytes = b"", timeout_s: float) -> NoReturn:
        raise NotSupported("no program can be started in it")

    put = get = run


def console(name: str, evidence: dict[str, object], *, unit: str = "ns", operations: int = 10) -> bytes:
    """A whole transcript of one benchmark: a warm-up and two samples of 5,000 and 7,000."""
    said = (
        "@bp begin 1 benchmarks=1 hz=1000000000",
        f"@bp bench {name} unit={unit} clock=tsc : the mechanism of {name}",
        "@bp unsupported * nothing else is there",
        f"@bp start {name}",
        f"@bp warmup {name} {operations} 9000",
        f"@bp sample {name} {operations} 5000",
        f"@bp sample {name} {operations} 7000",
        *(f"@bp evidence {name} {key} {value}" for key, value in evidence.items()),
        f"@bp done {name} samples=2 operations={2 * operations} elapsed=12000",
    )
    end = f"@bp end benchmarks=1 done=1 failed=0 unsupported=1 lines={len(said) + 1} hz=1000000000"
    return "".join(f"{line}\n" for line in (*said, end)).encode()
