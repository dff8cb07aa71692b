"""What several test files share: a probe for this host, a lab, and transcripts as the probe writes them."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import settings

import windows
from benchproof import laboratory, probe
from benchproof.benchmarks.lifecycle import leaks
from benchproof.errors import NotSupported
from benchproof.model import Completed, Lab
from benchproof.targets import KINDS

settings.register_profile("benchproof", deadline=None)  # no test asserts a time: machines are shared
settings.load_profile("benchproof")

# Hundreds of tests start a Python of their own. Where the surroundings forbid to keep what was compiled, as images of
# containers like to do, each of them compiles a hundred modules anew, which takes as long as all else that it does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(scope="session")
def host_probe() -> probe.Probe:
    return laboratory.prepare_probe(laboratory.cache_folder())


@pytest.fixture
def lab(host_probe, tmp_path) -> laboratory.Room:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return laboratory.Room(scratch=scratch, probe=host_probe.path)


@pytest.fixture
def hasty(monkeypatch) -> None:
    """Who looks for what an instance left behind gives up at once: for tests in which something was left."""
    monkeypatch.setattr(leaks, "_GRACE_S", 0.1)


@pytest.fixture(scope="session")
def browser():
    """A real one, for all tests."""
    with windows.chromium() as running:
        yield running


@pytest.fixture
def window(browser):
    """A page of the browser that hears every complaint."""
    with windows.window_of(browser) as opened:
        yield opened


def lab_in(folder: Path, path: Path) -> Lab:
    folder.mkdir(parents=True, exist_ok=True)
    return laboratory.Room(scratch=folder, probe=path)


def planted_probe(fault: str) -> probe.Probe:
    """A probe with this fault; all but one of its objects are those of every other fault."""
    return probe.build(laboratory.cache_folder(), defines=("PLANTED=planted", f"FAULT={fault}"))


def copy_snapshot(folder: Path, to: Path) -> None:
    """Its holes stay holes: most of a guest's memory is one."""

    def copy(one: str, other: str) -> None:
        subprocess.run(["cp", "--sparse=always", one, other], check=True)

    shutil.copytree(folder, to, copy_function=copy)


@functools.cache
def why_unusable(kind: str) -> str:
    """Why this machine cannot start such a target at all, in its own words; empty if it can. Not a failure of ours."""
    built = laboratory.prepare_probe(laboratory.cache_folder())
    with tempfile.TemporaryDirectory() as folder:
        loaded = KINDS.load(kind)
        try:
            loaded(loaded.Settings(), lab_in(Path(folder), built.path)).facts()
        except NotSupported as error:
            return str(error)
    return ""


def transcript(
    benchmark: str = "syscall.getpid",
    *,
    samples: tuple[int, ...] = (1000, 1010, 990),
    iterations: int = 10,
    evidence: dict[str, object] | None = None,
    **end: int,
) -> bytes:
    """The probe's output for a run that went well; keyword arguments change its last line."""
    lines = [
        {
            "line": "begin",
            "probe": 1,
            "benchmark": benchmark,
            "clock_step_ns": 20,
            "clock_overhead_ns": 20.5,
            "loop_overhead_ns": 0.3,
            "iterations": iterations,
        },
        {"line": "warmup", "elapsed_ns": 1500},
        *({"line": "sample", "elapsed_ns": elapsed} for elapsed in samples),
    ]
    known: dict[str, object] = {
        "pid": 7,
        "pid_sum": 7 * 100,
        "entered_kernel": "yes",
        "authority.capabilities": "0" * 16,
        "authority.inheritable": "0" * 16,
        "authority.bounding": "0" * 16,
        "authority.ambient": "0" * 16,
        "authority.bounding_droppable": "yes",
        "authority.no_new_privileges": 1,
        "authority.seccomp": "none",
        "authority.new_namespaces": "none",
    }
    known |= evidence or {}
    lines += [{"line": "evidence", "name": name, "value": str(value)} for name, value in known.items()]
    body = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    last = {"warmups": 1, "samples": len(samples), "operations": 100, "failures": 0, "wall_ns": 5000} | end
    return body + json.dumps({"line": "end", **last, "crc32": zlib.crc32(body)}, separators=(",", ":")).encode() + b"\n"


def completed(stdout: bytes, *, exit_status: int = 0, stderr: bytes = b"", elapsed_ns: int = 1_000_000) -> Completed:
    return Completed(exit_status=exit_status, stdout=stdout, stderr=stderr, elapsed_ns=elapsed_ns)
