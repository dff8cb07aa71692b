"""Benchmark `fork.package_survived`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.forked import image_sizes
from benchproof.benchmarks.lifecycle.measured import AUTHORITY, NONDETERMINISM, TIER, Measured, forkable, timing
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.errors import NotSupported, TargetFailed
from benchproof.guest import packages
from benchproof.model import Completed, Definition, ForkableInstance, Image, Instance, Observation, Target
from benchproof.places import cache_folder

_DATABASE = "/var/lib/dpkg/status"
_INSTALLED = "install ok installed"


class PackageSurvived(Measured, frozen=True):
    """Does an installed Debian package survive a fork?

    `package`: its name, which this machine's apt fetches, or the path of a .deb.
    """

    definition: ClassVar[Definition] = Definition(
        name="fork.package_survived",
        tier=TIER,
        question="Does an installed Debian package survive a fork?",
        mechanism="nothing is timed: 1 for each fork after which a clone holds a package that dpkg has installed",
        without_posix="a component that was added to a protection domain survives its checkpoint",
        oracle=(
            "not installed before; in the clone dpkg names the version of the .deb, its programs have the hashes that "
            "they have in the .deb, and one of them says what it said in the original"
        ),
        nondeterminism=NONDETERMINISM,
        authority=AUTHORITY,
        when_unsupported="a target that cannot be frozen and cloned, or that has no dpkg, as outcome `unsupported`",
    )
    quantity: ClassVar[str] = "survived"
    unit: ClassVar = "count"
    better: ClassVar = "higher"

    package: str = "hello"

    def run(self, target: Target) -> Observation:
        """One invocation; each fork begins with a fresh instance. Raises InvocationError."""
        image = forkable(target).image()
        session = _Session(packages.find(self.package, cache_folder()), float(self.timeout))
        began_ns = time.monotonic_ns()
        forks = [session.fork(image) for _ in range(self.rounds)]
        wall_ns = time.monotonic_ns() - began_ns
        return Observation(
            measurements=(self.measurement([survived for survived, _ in forks]),),
            evidence=session.evidence() | timing([elapsed_ns for _, elapsed_ns in forks], wall_ns=wall_ns),
        )

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from self.common(evidence)
        yield from oracles.answers(evidence, at_least=2 * self.rounds)  # the original and the clone, each time
        yield from oracles.equals(evidence, "instances_ended", 2 * self.rounds)
        yield from oracles.equals(evidence, "installed_before", " ".join(["no"] * self.rounds))
        yield from oracles.same(evidence, "version_in_package", "version_in_clone")
        yield from oracles.same(evidence, "programs_in_package", "programs_in_clone")
        yield from oracles.same(evidence, "said_in_original", "said_in_clone")
        yield from image_sizes(evidence)


class _Session:
    """Forks of instances with a package in them, and the evidence of all."""

    def __init__(self, package: packages.Package, timeout_s: float) -> None:
        self._package = package
        self._timeout_s = timeout_s
        self._witness = Witness(timeout_s)
        self._ledger = leaks.Ledger()
        self._words: dict[str, list[str]] = {}

    def fork(self, image: Image) -> tuple[int, int]:
        """1 if the package is in the clone of the instance that it was installed in; and how long all took, in ns."""
        began_ns = time.monotonic_ns()
        with image.start() as original:
            self._install(original)
            self._witness.ask(original)
            fork = original.freeze()
            try:
                self._note("image_bytes", str(fork.size_bytes()))
                survived = self._clone(fork)
            finally:
                fork.delete()
            self._note("image_bytes_left", str(fork.size_bytes()))
            held = leaks.held(original.footprint())
        self._ledger.ended(held)
        return survived, time.monotonic_ns() - began_ns

    def evidence(self) -> dict[str, str]:
        """What `PackageSurvived.verify` reads."""
        lists = {name: " ".join(words) for name, words in self._words.items()}
        package = {"package": f"{self._package.name} {self._package.version}"}
        return self._witness.evidence() | self._ledger.evidence() | lists | package

    def _install(self, original: Instance) -> None:
        _refuse_wrong_place(original)
        self._note("installed_before", "yes" if self._version(original) else "no")
        path = original.put(self._package.archive, "package.deb")
        done = self._run(original, "dpkg", "--install", path)
        if done.exit_status:
            words = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise TargetFailed(f"dpkg did not install '{self._package.name}': {words[-1][:200]}")
        self._note("version_in_package", self._package.version)
        self._note("programs_in_package", _digest(self._package.programs))
        self._note("said_in_original", self._said(original))

    def _clone(self, fork: Image) -> int:
        with fork.start() as clone:
            self._witness.ask(clone)
            self._note("version_in_clone", self._version(clone) or "none")
            self._note("programs_in_clone", _digest({path: _sha256(clone, path) for path in self._package.programs}))
            self._note("said_in_clone", self._said(clone))
            held = leaks.held(clone.footprint())
        self._ledger.ended(held)
        pairs = [("version_in_package", "version_in_clone"), ("programs_in_package", "programs_in_clone")]
        pairs.append(("said_in_original", "said_in_clone"))
        return int(all(self._words[one][-1] == self._words[other][-1] for one, other in pairs))

    def _version(self, instance: Instance) -> str:
        """Of the package as dpkg has it installed; empty if it has not."""
        words = ("dpkg-query", "--show", "--showformat=${Status}|${Version}", self._package.name)
        status, _, version = self._run(instance, *words).stdout.decode(errors="replace").partition("|")
        return version if status == _INSTALLED else ""

    def _said(self, instance: Instance) -> str:
        """The exit status of a program of the package, and the hash of what it prints."""
        done = self._run(instance, min(self._package.programs), "--version")
        return f"{done.exit_status}:{hashlib.sha256(done.stdout).hexdigest()[:32]}"

    def _run(self, instance: Instance, *argv: str) -> Completed:
        return instance.run(argv, timeout_s=self._timeout_s)

    def _note(self, name: str, word: str) -> None:
        self._words.setdefault(name, []).append(word)


def _refuse_wrong_place(instance: Instance) -> None:
    """A target that shares this machine's files would have the package installed here. Raises NotSupported."""
    try:
        database = instance.get(_DATABASE)
    except TargetFailed as error:
        raise NotSupported("no dpkg in it", missing='a root with packages: root = "debian" (kind = "qemu")') from error
    if Path(_DATABASE).is_file() and Path(_DATABASE).read_bytes() == database:
        raise NotSupported(
            "its packages are those of this machine, where nothing is to be installed",
            missing='a target with a root of its own: root = "debian" (kind = "qemu")',
        )


def _sha256(instance: ForkableInstance, path: str) -> str:
    try:
        return hashlib.sha256(instance.get(path)).hexdigest()
    except TargetFailed:
        return "unreadable"


def _digest(programs: dict[str, str]) -> str:
    lines = "".join(f"{sha256} {path}\n" for path, sha256 in sorted(programs.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]
