"""What a stranger sent, between the door and the store: unpacked and verified apart, then moved in as a whole.

Reading it is the work of a process of its own, with limits on time, memory and disk, so that nothing that was sent can
take more, or take the server down. It lies in `incoming/` of the home until it is a verified run, and one rename later
in `runs/`: nobody ever sees half of one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from benchproof.errors import BenchproofError, StoreError
from benchproof.model import Frozen
from benchproof.store import bundle, packed
from benchproof.verify import Verdict, verify

INCOMING = "incoming"
PACKED, UNPACKED = "packed", "unpacked"
_RUN_ID = re.compile(r"(\d{8}T\d{6}Z|0000-undated)-[0-9a-f]{6,64}", re.ASCII)  # as runs and imports are named
_AHEAD = timedelta(days=1)  # of our clock: what came from the future would stay the last run for ever
_MEMORY_BYTES = 4 << 30
_ANSWER_LIMIT_BYTES = 1 << 20
_PROBLEMS_TOLD = 20
_FRESH_S = 60.0  # between a folder is made and it is locked there is a moment
_LOG = logging.getLogger(__name__)


class _Named(Frozen, frozen=True):
    run_id: str


class Examined(Frozen, frozen=True):
    """What the process apart says: the verdict, or why there is none. `refusal` is empty for a run to keep."""

    refusal: str = ""
    verdict: Verdict | None = None


@contextlib.contextmanager
def staging(home: Path) -> Iterator[Path]:
    """A folder for one arrival, locked while it is used; it and what is still in it are gone afterwards."""
    incoming = home / INCOMING
    incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
    _sweep(incoming)
    folder = Path(tempfile.mkdtemp(dir=incoming))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(incoming: Path) -> None:
    """What a server left that was killed: nobody holds it, and nobody is about to."""
    for folder in incoming.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - folder.lstat().st_mtime < _FRESH_S:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)


def examine(folder: Path, room: packed.Room, *, timeout_s: float) -> Examined:
    """Unpack and verify what lies in the staging folder, in a process of its own. Raises StoreError: it gave up."""
    command = [sys.executable, "-P", "-m", "benchproof.web.arrival", str(folder), msgspec.json.encode(room).decode()]
    quiet = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    environment = {**quiet, "OPENBLAS_NUM_THREADS": "1", "TMPDIR": str(folder), "HOME": str(folder)}
    try:
        done = subprocess.run(
            [*command, str(int(timeout_s) + 1)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise StoreError(f"the run cannot be verified within {timeout_s:g} s") from error
    if done.returncode == 0 and len(done.stdout) <= _ANSWER_LIMIT_BYTES:
        return msgspec.json.decode(done.stdout, type=Examined)
    _LOG.warning("a run could not be looked at: %s", done.stderr[-2000:].decode(errors="replace"))
    raise StoreError(f"the run cannot be verified within the limits of a process for it (status {done.returncode})")


def settle(folder: Path, home: Path, run_id: str) -> Literal["added", "there already"]:
    """Move the verified run into the store. Raises FileExistsError where there is another run of that name."""
    arrived, place = folder / UNPACKED / run_id, home / "runs" / run_id
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not os.path.lexists(place):
            for each in (*arrived.rglob("*"), arrived):
                _sync(each)
            arrived.rename(place)
            _sync(place.parent)
            return "added"
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise  # else another upload of the same run was quicker
    if not place.is_symlink() and _content(place) == _content(arrived):
        return "there already"
    raise FileExistsError(errno.EEXIST, "another run of this name is there, with other content", run_id)


def _content(run: Path) -> dict[str, str]:
    """The hash of every file, of what is no plain file only that it is there."""
    return {str(path.relative_to(run)): _digest(path) for path in run.rglob("*")}


def _digest(path: Path) -> str:
    if not stat.S_ISREG(path.lstat().st_mode):
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- the process apart ----


def _looked_at(folder: Path, room: packed.Room) -> Examined:
    try:
        run = _unpacked(folder, room)
        verdict = verify(run)
    except BenchproofError as error:
        return Examined(refusal=str(error))
    problems = tuple(each[:500] for each in verdict.problems[:_PROBLEMS_TOLD])
    return Examined(refusal=_refusal(verdict), verdict=msgspec.structs.replace(verdict, problems=problems))


def _unpacked(folder: Path, room: packed.Room) -> Path:
    """The run, in a folder of the name that it has in a store. Raises StoreError."""
    draft = folder / UNPACKED / "run"
    draft.parent.mkdir()
    with (folder / PACKED).open("rb") as file:
        packed.unpack(file, draft, room)
    try:
        run_id = msgspec.json.decode((draft / bundle.MANIFEST).read_bytes(), type=_Named).run_id
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"expected a run, found a {bundle.MANIFEST} that names none: {error}") from error
    if not _RUN_ID.fullmatch(run_id):
        raise StoreError(f"expected a run's name such as 20261121T105710Z-5755a5, found '{run_id[:100]}'")
    if run_id > f"{datetime.now(UTC) + _AHEAD:%Y%m%dT%H%M%SZ}":
        raise StoreError(f"run '{run_id}' is from the future; set the clock of the machine that measured it")
    return draft.rename(draft.with_name(run_id))


def _refusal(verdict: Verdict) -> str:
    if verdict.problems:
        return f"the run is not what it claims to be: {verdict.problems[0][:500]}"
    if verdict.state != "complete":
        return f"the run is {verdict.state}, not complete: benchproof run --resume {verdict.run_id}"
    return ""


def _confine(room: packed.Room, cpu_s: int) -> None:
    """Limits of this process, before anything that was sent is looked at."""
    for what, limit in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, room.unpacked_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))


def _main(folder: str, room: str, cpu_s: str) -> None:
    allowed = msgspec.json.decode(room, type=packed.Room)
    _confine(allowed, int(cpu_s))
    sys.stdout.buffer.write(msgspec.json.encode(_looked_at(Path(folder), allowed)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
