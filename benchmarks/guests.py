"""Guests as studies start them: Linux under TCG, the default kernel, in a laboratory of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from benchmarks.rows import NoNumber
from benchproof.laboratory import Room, cache_folder, opened, prepare_probe
from benchproof.model import Instance
from benchproof.targets import KINDS
from benchproof.targets.qemu import Qemu

_TIMEOUT_S = 60.0


@contextlib.contextmanager
def laboratory() -> Iterator[Room]:
    """Where guests are started; their logs are not kept."""
    with opened(prepare_probe(cache_folder())) as lab:
        yield lab


def linux(lab: Room, **settings: Any) -> Qemu:
    """The guest of the default plan."""
    kind = KINDS.load("qemu")
    guest: Qemu = kind(kind.Settings(accel="tcg", **settings), lab)
    return guest


def emptied_cache(lab: Room, folder: Path) -> Room:
    """A laboratory with the same kernels and probes, but no snapshot of ours."""
    scratch, cache = folder / "scratch", folder / "cache"
    for each in (scratch, cache):
        each.mkdir()
    for name in ("kernels", "probes"):
        (cache / name).symlink_to(lab.cache / name)
    other = Room(scratch=scratch, probe=lab.probe)
    other.cache = cache
    return other


def verified_command(instance: Instance) -> None:
    """A program that is executed in the guest gives back what it cannot have known. Raises NoNumber."""
    word = secrets.token_hex(8).encode()
    done = instance.run([instance.probe, "cat"], stdin=word, timeout_s=_TIMEOUT_S)
    if (done.exit_status, done.stdout) != (0, word):
        raise NoNumber(f"expected {word!r} of a guest, found {done.stdout[:80]!r}, exit status {done.exit_status}")


@contextlib.contextmanager
def every_core_busy() -> Iterator[None]:
    """By another program, for as long as this lasts."""
    stop = multiprocessing.Event()
    others = [multiprocessing.Process(target=_spin, args=(stop,)) for _ in os.sched_getaffinity(0)]
    for each in others:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in others:
            each.join()


def _spin(stop: Event) -> None:
    while not stop.is_set():
        pass
