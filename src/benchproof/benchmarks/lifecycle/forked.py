"""Freeze an instance that holds files, clone it, look whether the clone holds them: each fork benchmark is a part."""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from benchproof import oracles
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.measured import Measured, forkable, timing
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.errors import TargetFailed
from benchproof.model import ForkableInstance, Image, Instance, Observation, Target
from benchproof.oracles import Evidence

FILES: Mapping[str, Mapping[str, int]] = {  # kind -> name -> bytes of random text
    "file": {"file": 4096},
    "workspace": {"workspace-empty": 0, "workspace-byte": 1, "workspace-pages": 8193},
}
_BLOCK_BYTES = 512  # of st_blocks


class Fork(NamedTuple):
    """One fork, in ns on the host's clock and bytes of the host's disk."""

    freeze_ns: int
    provision_ns: int  # a clone, request to started
    ready_ns: int  # the same clone, request to the first verified answer
    size_bytes: int
    survived: frozenset[str]  # kinds of files that the clone holds


@runtime_checkable
class ListedImage(Protocol):
    """What an image can also tell: its size is then counted a second time, from the blocks of these files."""

    files: tuple[Path, ...]


class Forked(Measured, frozen=True):
    """Benchmarks that are one part of each fork; `part` says which, `kinds` which files have to survive it."""

    kinds: ClassVar[tuple[str, ...]] = ("file", "workspace")

    def part(self, fork: Fork) -> float:
        """The sample."""
        raise NotImplementedError

    def run(self, target: Target) -> Observation:
        """One invocation: one instance, frozen again and again with fresh files. Raises InvocationError."""
        image, ledger, session = forkable(target).image(), leaks.Ledger(), _Session(Witness(float(self.timeout)))
        with ExitStack() as life:
            original = life.enter_context(image.start())
            began_ns = time.monotonic_ns()
            forks = [session.fork(original, ledger) for _ in range(self.rounds)]
            wall_ns = time.monotonic_ns() - began_ns
            held = leaks.held(original.footprint())
            life.close()
            ledger.ended(held)
        times = timing([fork.freeze_ns + fork.ready_ns for fork in forks], wall_ns=wall_ns)
        return Observation(
            measurements=(self.measurement([self.part(fork) for fork in forks]),),
            evidence=session.evidence() | ledger.evidence() | times,
        )

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        yield from self.common(evidence)
        yield from oracles.answers(evidence, at_least=2 * self.rounds)  # the original and the clone, each time
        yield from oracles.equals(evidence, "instances_ended", self.rounds + 1)
        for kind in self.kinds:
            yield from oracles.same(evidence, f"{kind}_put", f"{kind}_read_inside")
            yield from oracles.same(evidence, f"{kind}_put", f"{kind}_got")
        yield from image_sizes(evidence)


class Survived(Forked, frozen=True):
    """Benchmarks that ask what a clone still holds: 1 for each fork after which all of `kinds` is there."""

    quantity = "survived"
    unit = "count"
    better = "higher"

    def part(self, fork: Fork) -> int:
        """Does the clone hold what was put into the original?"""
        return int(fork.survived.issuperset(self.kinds))


def image_sizes(evidence: Evidence) -> Iterator[str]:
    """Each image took room on the disk, as much as its files have blocks, and none when it was deleted."""
    sizes, left = (evidence.get(name, "").split() for name in ("image_bytes", "image_bytes_left"))
    if not sizes or not all(size.isdigit() and int(size) > 0 for size in sizes):
        yield f"an image takes room on the disk: expected more than 0 bytes, found {' '.join(sizes) or 'nothing'}"
    if "image_bytes_counted" in evidence:
        yield from oracles.same(evidence, "image_bytes_counted", "image_bytes")
    if len(left) != len(sizes) or any(size != "0" for size in left):
        yield f"an image that was deleted takes no room: expected 0 bytes, found {' '.join(left) or 'nothing'}"
    if evidence.get("image_files_left", "nothing") != "nothing":
        yield f"left behind by an image that was deleted: {evidence['image_files_left']}"


class _Session:
    """Forks of one original, and the evidence of all of them."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._words: dict[str, list[str]] = {}
        self._files_left: list[str] = []

    def fork(self, original: ForkableInstance, ledger: leaks.Ledger) -> Fork:
        """Fresh files, freeze, a clone that is looked at; the image is deleted whatever happens."""
        paths = self._put(original)
        requested_ns = time.monotonic_ns()
        image = original.freeze()
        freeze_ns = time.monotonic_ns() - requested_ns
        try:
            self._witness.ask(original)  # it goes on
            size_bytes = image.size_bytes()
            files = self._count(image, size_bytes)
            provision_ns, ready_ns, survived = self._clone(image, paths, ledger)
        finally:
            image.delete()
        self._note("image_bytes_left", str(image.size_bytes()))
        self._files_left += [str(path) for path in files if os.path.lexists(path)]
        return Fork(freeze_ns, provision_ns, ready_ns, size_bytes, survived)

    def evidence(self) -> dict[str, str]:
        """What `Forked.verify` reads."""
        lists = {name: " ".join(words) for name, words in self._words.items()}
        return self._witness.evidence() | lists | {"image_files_left": ", ".join(self._files_left) or "nothing"}

    def _put(self, original: Instance) -> dict[str, list[str]]:
        """New random files; returns the paths inside, by kind."""
        paths: dict[str, list[str]] = {}
        with tempfile.TemporaryDirectory(prefix="benchproof-") as folder:
            for kind, files in FILES.items():
                sources = [Path(folder, name) for name in files]
                for source, size in zip(sources, files.values(), strict=True):
                    source.write_text(secrets.token_urlsafe(size)[:size])  # a service may answer with text alone
                self._note(f"{kind}_put", _digest([source.read_bytes for source in sources]))
                paths[kind] = [original.put(source, source.name) for source in sources]
        return paths

    def _count(self, image: Image, size_bytes: int) -> tuple[Path, ...]:
        self._note("image_bytes", str(size_bytes))
        if not isinstance(image, ListedImage):
            return ()
        files = tuple(image.files)
        self._note("image_bytes_counted", str(sum(path.lstat().st_blocks * _BLOCK_BYTES for path in files)))
        return files

    def _clone(
        self, image: Image, paths: Mapping[str, list[str]], ledger: leaks.Ledger
    ) -> tuple[int, int, frozenset[str]]:
        with ExitStack() as life:
            requested_ns = time.monotonic_ns()
            clone = life.enter_context(image.start())
            provision_ns = time.monotonic_ns() - requested_ns
            ready_ns = self._witness.ask(clone) - requested_ns
            survived = frozenset(kind for kind in paths if self._survived(kind, clone, paths[kind]))
            held = leaks.held(clone.footprint())
        ledger.ended(held)
        return provision_ns, ready_ns, survived

    def _survived(self, kind: str, clone: Instance, paths: list[str]) -> bool:
        read = _digest([functools.partial(self._read, clone, path) for path in paths])
        got = _digest([functools.partial(clone.get, path) for path in paths])
        self._note(f"{kind}_read_inside", read)
        self._note(f"{kind}_got", got)
        return read == got == self._words[f"{kind}_put"][-1]

    def _read(self, clone: Instance, path: str) -> bytes:
        done = self._witness.read(clone, path)
        if done.exit_status:
            raise TargetFailed(f"cannot read '{path}'")
        return done.stdout

    def _note(self, name: str, word: str) -> None:
        self._words.setdefault(name, []).append(word)


def _digest(readers: Sequence[Callable[[], bytes]]) -> str:
    """One hash of several contents and their lengths; a file that is lost is no crash but a word of its own."""
    digest = hashlib.sha256()
    for read in readers:
        try:
            content = read()
        except TargetFailed:
            return "unreadable"
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.hexdigest()[:32]
