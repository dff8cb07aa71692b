"""`fork.package_survived`: a real package in a guest with a disk, each loss planted in a scripted one."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from benchproof import runner
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import InvocationError, NotSupported, TargetFailed
from benchproof.guest import packages
from benchproof.model import Failed, Footprint, Forkable, Passed, Unsupported
from benchproof.places import cache_folder
from conftest import completed
from test_roots import debian_in, needs_qemu

Benchmark = BENCHMARKS.load("fork.package_survived")
PROGRAM = "/usr/bin/greet"


def built(folder: Path) -> Path:
    """A small package with one program."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed")
    program = folder / "tree" / PROGRAM[1:]
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho greet 1.2\n")
    program.chmod(0o755)
    (folder / "tree/DEBIAN").mkdir()
    control = (
        "Package: greet\nVersion: 1.2-3\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: x\n"
    )
    (folder / "tree/DEBIAN/control").write_text(control)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", folder / "tree", folder / "greet.deb"], check=True)
    return folder / "greet.deb"


class Scripted:
    """An instance that answers as dpkg would; its image forgets what its fault says. A process stands for it."""

    clock, probe, cat = "target", "/init", ("/init", "cat")

    def __init__(self, fault: str, files: dict[str, bytes], version: str = "") -> None:
        self.fault, self.files, self.version = fault, files, version
        self.process = subprocess.Popen(["sleep", "1000"])

    def run(self, argv, *, stdin=b"", timeout_s):
        match argv:
            case ["dpkg", "--install", _]:
                self.version = "1.2-3"
                self.files = self.files | {PROGRAM: b"#!/bin/sh\necho greet 1.2\n"}
                return completed(b"", exit_status=self.fault == "does not install")
            case ["dpkg-query", *_]:
                return completed(
                    f"install ok installed|{self.version}".encode() if self.version else b"", exit_status=0
                )
            case [program, "--version"] if program == PROGRAM:
                return completed(hashlib.sha256(self.files.get(PROGRAM, b"")).digest())
            case _:
                return completed(stdin)

    def put(self, source, name):
        return f"/work/{name}"

    def get(self, path):
        if path not in self.files:
            raise TargetFailed("No such file")
        return self.files[path]

    def footprint(self):
        return Footprint(processes=(self.process.pid,), files=(), memory_bytes=1, disk_bytes=0)

    def freeze(self):
        return ScriptedImage(self.fault, self)


class ScriptedImage:
    def __init__(self, fault: str, of: Scripted | None) -> None:
        self.fault, self.of, self.size = fault, of, 4096

    @contextlib.contextmanager
    def start(self):
        database = {} if self.fault == "no dpkg" else {"/var/lib/dpkg/status": b"another machine's"}
        if self.fault == "this machine's packages":
            database = {"/var/lib/dpkg/status": Path("/var/lib/dpkg/status").read_bytes()}
        files, version = (dict(self.of.files), self.of.version) if self.of else (database, "")
        if self.of is None and self.fault == "was there before":
            version = "1.2-3"
        if self.of:
            if self.fault == "the package is lost":
                files.pop(PROGRAM)
                version = ""
            if self.fault == "a program is damaged":
                files[PROGRAM] = files[PROGRAM][:-1] + b"!"
            if self.fault == "only the program is lost":
                files.pop(PROGRAM)
            if self.fault == "an older version":
                version = "1.2-2"
        instance = Scripted(self.fault, files, version)
        try:
            yield instance
        finally:
            if self.fault != "leaves a process" or self.of is None:
                instance.process.kill()
                instance.process.wait()
            else:
                ScriptedTarget.left.append(instance.process)

    def size_bytes(self):
        return self.size

    def delete(self):
        self.size = self.size if self.fault == "the image stays" else 0


class ScriptedTarget:
    left: list[subprocess.Popen] = []  # noqa: RUF012

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def facts(self):
        return {}

    def start(self):
        return self.image().start()

    cold = start

    def image(self):
        return ScriptedImage(self.fault, None)


def outcome(target, package):
    benchmark = Benchmark(samples=1, warmups=0, package=str(package))
    try:
        return runner.judge(benchmark, benchmark.run(target))
    except InvocationError as error:
        return runner.outcome_of(error)


def test_a_package_that_survived_counts_one(tmp_path):
    target = ScriptedTarget()
    assert isinstance(target, Forkable)
    found = outcome(target, built(tmp_path))
    assert isinstance(found, Passed), found
    assert found.measurements[0].samples == (1,)


FAULTS = {
    "the package is lost": "version_in_clone: 1 of 1 differ",
    "only the program is lost": "programs_in_clone: 1 of 1 differ",
    "a program is damaged": "said_in_clone: 1 of 1 differ",
    "an older version": "version_in_clone: 1 of 1 differ",
    "was there before": "installed_before: expected no, found yes",
    "does not install": "dpkg did not install 'greet'",
    "the image stays": "an image that was deleted takes no room",
    "leaves a process": "left behind",
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_package_that_is_lost_or_was_never_proved_has_no_figure(fault, tmp_path):
    try:
        found = outcome(ScriptedTarget(fault), built(tmp_path))
    finally:
        for process in ScriptedTarget.left:
            process.kill()
            process.wait()
        ScriptedTarget.left.clear()
    assert isinstance(found, Failed), found
    assert any(FAULTS[fault] in violation for violation in found.violations), found


@pytest.mark.parametrize(
    ("fault", "words"), [("no dpkg", "no dpkg"), ("this machine's packages", "nothing is to be installed")]
)
def test_where_nothing_can_or_may_be_installed_it_is_unsupported(fault, words, tmp_path):
    if not Path("/var/lib/dpkg/status").is_file():
        pytest.skip("no dpkg on this machine")
    found = outcome(ScriptedTarget(fault), built(tmp_path))
    assert isinstance(found, Unsupported), found
    assert words in found.reason
    assert 'root = "debian"' in found.missing


@pytest.mark.parametrize("name", ["a b", "--yes", "Hello", ""])
def test_a_word_that_is_no_package_is_refused(name):
    with pytest.raises(NotSupported, match="not the name of a Debian package"):
        packages.find(name, cache_folder())


def test_a_file_that_is_no_package_is_refused_in_one_line(tmp_path):
    (tmp_path / "x.deb").write_bytes(b"!<arch>\n")
    with pytest.raises(NotSupported, match="dpkg-deb") as caught:
        packages.find(str(tmp_path / "x.deb"), cache_folder())
    assert "\n" not in str(caught.value)


@needs_qemu
def test_a_real_package_survives_in_a_guest_with_a_disk(host_probe, tmp_path):
    target = debian_in(tmp_path / "lab", host_probe.path)
    found = outcome(target, "hello")
    if isinstance(found, Unsupported):
        pytest.skip(found.reason)
    assert isinstance(found, Passed), found
    assert found.measurements[0].samples == (1,)
