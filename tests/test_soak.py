"""Guests are started and ended again and again, and the machine is then as it was: `make soak` does it 200 times."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchproof import footprint
from benchproof.targets import KINDS
from conftest import lab_in, why_unusable

pytestmark = pytest.mark.skipif(bool(why_unusable("qemu")), reason=why_unusable("qemu") or "QEMU runs")
GROWTH_LIMIT_BYTES = 8 << 20  # of our own process, over the whole soak
SHARED_MEMORY = Path("/dev/shm")


class Account(msgspec.Struct, frozen=True):
    """What we hold of this machine."""

    processes: tuple[int, ...]
    descriptors: Counter[str]  # what they are of, numbers left out
    threads: int
    files: frozenset[Path]
    resident_bytes: int
    available_bytes: int  # of the whole machine, where others work as well


def account(*folders: Path) -> Account:
    gc.collect()
    ours = SHARED_MEMORY.glob(f"benchproof-*-{os.getpid()}-*")
    status, memory = Path("/proc/self/status").read_text(), Path("/proc/meminfo").read_text()
    return Account(
        processes=footprint.descendants(os.getpid()),
        descriptors=Counter(descriptors()),
        threads=threading.active_count(),
        files=frozenset(path for folder in folders for path in folder.rglob("*")) | frozenset(ours),
        resident_bytes=int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10,
        available_bytes=int(re.search(r"MemAvailable:\s+(\d+)", memory)[1]) << 10,
    )


def descriptors() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the folder itself
            yield re.sub(r"\[\d+\]", "", str(link.readlink()))


def differences(before: Account, after: Account) -> list[str]:
    return [
        name
        for name in ("processes", "descriptors", "threads", "files")
        if getattr(after, name) != getattr(before, name)
    ]


class Lives:
    """Guests of each kind; every one proves that it lived."""

    def __init__(self, lab) -> None:
        kind = KINDS.load("qemu")
        self.target = kind(kind.Settings(accel="tcg"), lab)
        self.exact = kind(kind.Settings(exact=True), lab)

    def clone(self) -> None:
        with self.target.start() as instance:
            self.ask(instance)

    def cold(self) -> None:
        with self.target.cold() as instance:
            self.ask(instance)

    def fork(self) -> None:
        with self.target.start() as instance:
            image = instance.freeze()
            with image.start() as clone:
                self.ask(clone)
            image.delete()

    def counted(self) -> None:
        with self.exact.start() as instance:  # two clones
            self.ask(instance)

    def ask(self, instance) -> None:
        word = os.urandom(8)
        assert instance.run([instance.probe, "cat"], stdin=word, timeout_s=60).stdout == word


@pytest.mark.parametrize("clones", [3, pytest.param(200, marks=pytest.mark.soak)])
def test_guests_that_were_ended_leave_nothing_behind(clones, host_probe, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    lab = lab_in(tmp_path / "scratch", host_probe.path)
    lives = Lives(lab)
    todo = {
        lives.clone: clones,
        lives.cold: max(1, clones // 50),
        lives.fork: max(1, clones // 10),
        lives.counted: max(1, clones // 10),
    }
    for live in todo:  # what only the first does: snapshots, imports, buffers
        live()
    lab.logs.clear()
    before = account(tmp_path)
    for live, times in todo.items():
        for _ in range(times):
            live()
            lab.logs.clear()
    after = account(tmp_path)
    grown, gone = after.resident_bytes - before.resident_bytes, before.available_bytes - after.available_bytes
    done = ", ".join(f"{times} {live.__name__}" for live, times in todo.items())
    print(f"{done}: resident memory grew by {grown >> 10} KiB, MemAvailable fell by {gone >> 20} MiB")  # noqa: T201
    assert differences(before, after) == [], (before, after)
    assert grown < GROWTH_LIMIT_BYTES


def test_what_is_left_behind_is_seen(tmp_path):
    before = account(tmp_path)
    (tmp_path / "file").touch()
    reader, writer = os.pipe()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with subprocess.Popen(["sleep", "1000"]) as child:
        after = account(tmp_path)
        child.kill()
    stop.set()
    thread.join()
    for each in (reader, writer):
        os.close(each)
    assert differences(before, after) == ["processes", "descriptors", "threads", "files"]
    (tmp_path / "file").unlink()
    assert differences(before, account(tmp_path)) == []
