"""Transcripts of the protocol for tests: a good one, built from parts that a test may change."""

from __future__ import annotations

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
