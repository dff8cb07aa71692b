"""Does disk.* say what fio says of the same job in the same folder?

Both get the same file size, block size, O_DIRECT or not, and one fsync at the end; fio's psync engine makes the calls
that we make, its io_uring engine those of a queue. What differed was taken away: fio lays its file out beforehand for
random writes, as we do, and may not preallocate a new one, nor have holes where it writes at random. What it reads is
written here, of fresh random bytes as ours is: a file that fio lays out repeats itself, and such a file is read faster
where the host below has a cache or shares blocks. The time is that within the calls, as ours is: fio's mean latency by
its number of calls. Its runtime, up to 1.7 times that where a call takes 0.5 ms, is taken where calls alone are not
the job: where an fsync ends it, and where a queue is kept.

fio checks nothing of what it reads or writes here; we check every byte, between the calls.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.our_side import started_host
from benchmarks.peers import run
from benchmarks.rows import NoNumber, Row, agreement, in_turn
from benchproof import runner
from benchproof.benchmarks import BENCHMARKS
from benchproof.benchmarks.guest import inside
from benchproof.model import Passed
from benchproof.quantities import Size
from benchproof.targets.host import FolderInstance

_ROUNDS, _QUICK_ROUNDS = 10, 3
_TOLERANCE = 0.05
GOAL = f"within {_TOLERANCE:.0%}"
_TIMEOUT_S = 300.0
_SIZE_BYTES = 256 << 20
_OPERATIONS = 10_000
_MIB = 2**20
_JOBS = {  # our benchmark -> what fio calls it
    "disk.sequential_write": "write",
    "disk.sequential_read": "read",
    "disk.random_write": "randwrite",
    "disk.random_read": "randread",
    "disk.queued_read": "randread",
}
_DEPTH = 32


def study() -> Sequence[Row]:
    """Every job with O_DIRECT, and the sequential ones through the cache: the cache's own pace is no device's."""
    return _study(_ROUNDS)


def quick_study() -> Sequence[Row]:
    """Fewer rounds."""
    return _study(_QUICK_ROUNDS)


def _study(rounds: int) -> Sequence[Row]:
    if not shutil.which("fio"):
        raise NoNumber("fio is not installed: apt-get install fio")
    jobs = [(name, "on") for name in _JOBS] + [("disk.sequential_write", "off"), ("disk.sequential_read", "off")]
    with started_host() as instance, tempfile.TemporaryDirectory() as folder:
        return [_row(name, direct, instance, Path(folder), rounds) for name, direct in jobs]


def _row(name: str, direct: str, instance: FolderInstance, folder: Path, rounds: int) -> Row:
    words = f"{name}, {'O_DIRECT' if direct == 'on' else 'through the cache'}"
    ours, peer = words, f"fio --rw={_JOBS[name]} --direct={int(direct == 'on')}"
    again = f"{peer}, once more"

    def theirs() -> float:
        return _fio(name, direct, folder) / _MIB

    turns = in_turn(
        {ours: lambda: _ours(name, direct, instance, folder) / _MIB, peer: theirs, again: theirs}, rounds=rounds
    )
    first, second = turns.medians(peer, again)
    repeats = f"fio against itself {second / first:.2f}: nobody agrees with it better"
    return agreement(ours=ours, peer=peer, unit="MiB/s", tolerance=_TOLERANCE, turns=turns, note=repeats)


def _ours(name: str, direct: str, instance: FolderInstance, folder: Path) -> float:
    """Bytes a second. Raises NoNumber if the oracle objects."""
    more: dict[str, Any] = {} if "sequential" in name else {"operations": _OPERATIONS}
    more |= {"depth": _DEPTH} if "queued" in name else {}
    question = BENCHMARKS.load(name)(size=Size(_SIZE_BYTES), folder=str(folder), direct=direct, **more)
    words = {
        "--dir": str(folder),
        "--size": _SIZE_BYTES,
        "--block": int(question.block),
        "--iterations": question.operations_asked,
        "--direct": int(direct == "on"),
        "--seed": 7,
    }
    reading = inside.measured(instance, name, words | question.words, timeout_s=_TIMEOUT_S)
    outcome = runner.judge(question, question.observe(reading))
    if not isinstance(outcome, Passed):
        raise NoNumber(f"expected a right answer of '{name}', found {outcome}")
    return next(each.samples[0] for each in outcome.measurements if each.metric == f"{name}.throughput")


def _fio(name: str, direct: str, folder: Path) -> float:
    """Bytes a second, the fsync in it. Raises NoNumber if it does not end well or moved another amount."""
    job, block = _JOBS[name], _MIB if "sequential" in name else 4096
    amount = _SIZE_BYTES if "sequential" in name else _OPERATIONS * block
    engine = ("--ioengine=io_uring", f"--iodepth={_DEPTH}") if "queued" in name else ("--ioengine=psync",)
    argv = [
        *("fio", "--name=peer", *engine, "--output-format=json", f"--rw={job}", f"--bs={block}"),
        *(f"--filename={folder / 'fio'}", f"--size={_SIZE_BYTES}", f"--io_size={amount}", "--fallocate=none"),
        *(f"--direct={int(direct == 'on')}", "--end_fsync=1", "--invalidate=1", "--refill_buffers=0"),
        *(("--overwrite=1",) if job == "randwrite" else ()),  # or its file has holes that ours has not
    ]
    with _laid_out(folder / "fio", reading="read" in job):
        done = run(argv, timeout_s=_TIMEOUT_S)
    found = msgspec.json.decode(done[done.index(b"{") :])["jobs"][0]["write" if "write" in job else "read"]
    if found["io_bytes"] != amount:
        raise NoNumber(f"fio moved {found['io_bytes']} bytes, expected {amount}")
    if "read" in job and "queued" not in name:
        return float(amount / (found["lat_ns"]["mean"] * found["total_ios"] / 1e9))
    return float(amount / (found["runtime"] / 1e3))


@contextmanager
def _laid_out(file: Path, *, reading: bool) -> Iterator[None]:
    """No file, or what is to be read: just written, as ours is; it is gone with its turn, as ours is."""
    if reading:
        with file.open("wb", buffering=0) as out:
            for _ in range(_SIZE_BYTES // _MIB):
                out.write(os.urandom(_MIB))
            os.fsync(out.fileno())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
