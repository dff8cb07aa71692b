"""Instances and images of a sandbox service: what the benchmarks of life cycle and fork see of it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from benchproof.errors import InvocationError, NotSupported, TargetFailed
from benchproof.footprint import descendants, disk_bytes, proportional_set_bytes
from benchproof.held import Held, held, left
from benchproof.model import Clock, Completed, Footprint, Frozen, Lab
from benchproof.service.calls import Calls, Forked, Provisioned
from benchproof.service.freshness import Freshness

_PROBE = "benchproof-probe"
_ENDED = "the sandbox was ended, with a command that was not answered properly"


class Origin(Frozen, frozen=True):
    """What all sandboxes of one service share."""

    calls: Calls
    lab: Lab
    freshness: Freshness


class Sandbox:
    """A sandbox that runs. A command that is not answered properly, or not in time, takes the sandbox with it."""

    clock: Clock = "target"

    def __init__(self, origin: Origin, made: Provisioned, ancestors: frozenset[str]) -> None:
        self._origin = origin
        self._calls = origin.calls
        self._ancestors = ancestors  # marks of what its image was made of
        self._mark = ""
        self._held: Held | None = None
        self._ended = False
        self._told_processes = made.processes
        self._told_probe = made.probe
        self._cat = made.cat
        self._workspace = made.workspace
        self.name = made.name

    @cached_property
    def probe(self) -> str:
        """Put in at first use, where the service does not bring it: no clock of a life cycle has that in it."""
        if self._told_probe:
            return self._told_probe
        return self.put(self._origin.lab.probe, _PROBE)

    @property
    def cat(self) -> Sequence[str]:
        """The service's own, which needs no probe."""
        return self._cat

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        if self._ended:
            raise TargetFailed(_ENDED)
        try:
            return self._calls.run(self.name, argv, stdin=stdin, timeout_s=timeout_s)
        except BaseException:  # nobody knows what became of the command
            self.abandon()
            raise

    def put(self, source: Path, name: str) -> str:
        return self._calls.put(self.name, f"{self._workspace}/{name}", source.read_bytes())

    def get(self, path: str) -> bytes:
        return self._calls.get(self.name, path)

    def footprint(self) -> Footprint:
        """Of this host, where the service is on it and says what a sandbox is made of; what is not new is refused."""
        if self._ended:
            raise TargetFailed(_ENDED)
        if not self._mark:
            self._mark = self._origin.freshness.check(
                self._calls, self.name, workspace=self._workspace, cat=self._cat, ancestors=self._ancestors
            )
        processes, files = self._here()
        found = Footprint(
            processes=processes,
            files=files,
            memory_bytes=sum(map(proportional_set_bytes, processes)),
            disk_bytes=disk_bytes(path for path in files if path.exists()),
            untold="" if processes else "the service does not say which processes of this host a sandbox has",
            remains=lambda: self._calls.left(self.name),
        )
        self._held = held(found)
        return found

    def _here(self) -> tuple[tuple[int, ...], tuple[Path, ...]]:
        """Processes and files of this host; none where the service is on another."""
        if not self._calls.client.is_loopback:
            return (), ()
        told, files = self._calls.inspect(self.name)
        roots = {*told, *self._told_processes}
        return tuple(sorted(roots.union(*map(descendants, roots)))), files

    def freeze(self) -> ForkImage:
        forked = self._calls.fork(self.name, f"benchproof-{secrets.token_hex(6)}")
        marks = self._ancestors | ({self._mark} if self._mark else frozenset())
        kind = ListedForkImage if forked.files and self._calls.client.is_loopback else ForkImage
        return kind(self._origin, forked, marks)

    def end(self) -> None:
        """Delete it. Raises TargetFailed, also for one that the service calls gone and that is not."""
        if self._ended:
            return
        self._ended = True
        gone = self._calls.delete(self.name)
        if gone and self._held is not None and (found := left(self._held)):
            raise TargetFailed(f"delete: '{self.name}' is said to be gone, and there still is {', '.join(found[:3])}")

    def abandon(self) -> None:
        """Delete it while another trouble is under way, which is the one to be told."""
        if not self._ended:
            self._ended = True
            forget(self._origin, self.name)


def forget(origin: Origin, name: str) -> None:
    """Delete a sandbox that may not even exist, tried twice when no clock runs; each refusal is kept in the log."""
    for _ in range(2):
        try:
            origin.calls.delete(name)
        except InvocationError as error:
            origin.lab.log("service", f"'{name}' could not be deleted: {error}\n".encode())
        else:
            return


@contextlib.contextmanager
def sandbox(origin: Origin, image: str | None, ancestors: frozenset[str] = frozenset()) -> Iterator[Sandbox]:
    """A sandbox from the image, or from whatever the service usually starts from."""
    name = f"benchproof-{secrets.token_hex(6)}"
    try:
        made = origin.calls.provision(name, image)
    except BaseException:
        forget(origin, name)
        raise
    started = Sandbox(origin, made, ancestors)
    try:
        yield started
    except BaseException:
        started.abandon()
        raise
    started.end()


class Elsewhere(Frozen, frozen=True):
    """A service at an address: what a sandbox starts from there, and the end of one whose client is gone."""

    origin: Origin
    image: str | None

    def start(self) -> contextlib.AbstractContextManager[Sandbox]:
        """A sandbox, as the target usually has them."""
        return sandbox(self.origin, self.image)

    def delete(self, name: str) -> None:
        """Raises TargetFailed."""
        self.origin.calls.delete(name)


class UsualImage:
    """What the service starts from when it is asked for nothing, or the image of it that the plan names."""

    def __init__(self, origin: Origin, image: str | None) -> None:
        self._origin = origin
        self._image = image

    @contextlib.contextmanager
    def start(self) -> Iterator[Sandbox]:
        with sandbox(self._origin, self._image) as started:
            yield started

    def size_bytes(self) -> int:
        raise NotSupported("a service does not tell the size of what it usually starts from")

    def delete(self) -> None:
        """It is not ours."""


class ForkImage:
    """What a fork left at rest with the service."""

    def __init__(self, origin: Origin, forked: Forked, ancestors: frozenset[str]) -> None:
        self._origin = origin
        self._forked = forked
        self._ancestors = ancestors
        self._deleted = False

    @contextlib.contextmanager
    def start(self) -> Iterator[Sandbox]:
        with sandbox(self._origin, self._forked.image, self._ancestors) as clone:
            yield clone

    def size_bytes(self) -> int:
        """As the service says; nothing once it was deleted, and the service does not name it any more."""
        if self._deleted and not self._is_left():
            return 0
        if self._forked.size_bytes is None:
            raise NotSupported("this service does not tell the size of an image")
        return self._forked.size_bytes

    def _is_left(self) -> bool:
        named = self._origin.calls.has_image(self._forked.image)
        if named is None:
            raise NotSupported("this service does not tell which images there are: whether one is gone is unknown")
        return named

    def delete(self) -> None:
        if not self._deleted:
            self._deleted = True
            self._origin.calls.delete_image(self._forked.image)


class ListedForkImage(ForkImage):
    """One whose files are on this host: its size is counted from their blocks, too."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return self._forked.files

    def _is_left(self) -> bool:
        return any(path.exists() for path in self.files)
