"""All sandboxes and images of a daemon, by name: what HTTP and MCP both call, from any thread.

Provisions wait in one queue that has an end. A name is taken from the moment that somebody asks for it until its
sandbox is gone. Whatever goes wrong in a start, nothing of it stays.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from benchproof.errors import BenchproofError
from benchproof.model import Completed, Frozen, Image
from benchproof.sandboxd import files
from benchproof.sandboxd.backend import Backend, Origin
from benchproof.sandboxd.limits import Limits, Refused, refuse_bad_name
from benchproof.sandboxd.pool import Pool, Stats
from benchproof.sandboxd.sandbox import Ended, Sandbox, started
from benchproof.sandboxd.stages import Stages

_LOG = logging.getLogger(__name__)


class Provisioned(Frozen, frozen=True):
    """A sandbox that serves."""

    sandbox: Sandbox
    stages_ns: dict[str, int]


class Kept(Frozen, frozen=True):
    """An image, and what it was made of."""

    name: str
    image: Image
    sandbox: str
    created_s: float  # since the epoch

    @property
    def files(self) -> tuple[Path, ...]:
        """Those of the image alone; none where its kind does not tell."""
        return tuple(path for path in getattr(self.image, "files", ()) if path.exists())


class Sandboxes:
    """`busy` is asked by the pool before it takes a CPU."""

    def __init__(self, backend: Backend, limits: Limits, scratch: Path) -> None:
        self.backend = backend
        self.limits = limits
        self.began_s = time.monotonic()
        self.requests = 0  # under way; kept by who serves them
        self.on_end: Callable[[str], object] = lambda _: None  # told of each that is gone, by name
        self._scratch = scratch
        self._lock = threading.Lock()
        self._alive: dict[str, Sandbox | None] = {}  # None: it is being started, or is being ended
        self._images: dict[str, Kept | None] = {}
        self._under_way = 0
        self._closing = False
        self._starters = ThreadPoolExecutor(limits.provisions, thread_name_prefix="provision")
        self.pool = Pool(self._start_usual, busy=lambda: self.requests > 0)

    # ---- sandboxes ----

    def submit(self, name: str | None = None, image: str = "", demanded: Origin | None = None) -> Future[Provisioned]:
        """Ask for a sandbox; the answer is there when it serves. Raises Refused at once where it cannot be."""
        stages = Stages()
        name = f"sandbox-{secrets.token_hex(6)}" if name is None else name
        refuse_bad_name(name, "name")
        with self._lock:
            self._refuse_more(name)
            self._under_way += 1
            self._alive[name] = None
        try:
            return self._starters.submit(self._provision, name, image, demanded, stages)
        except RuntimeError as error:  # the executor was shut down meanwhile
            self._forget(name)
            raise Refused(503, "the daemon is being ended", step="queue") from error

    def create(self, name: str | None = None, image: str = "", demanded: Origin | None = None) -> Provisioned:
        """As `submit`, and wait. Raises Refused, InvocationError."""
        return self.submit(name, image, demanded).result()

    def named(self, name: str) -> Sandbox:
        """Raises Refused: 404 for one that is not there, 409 for one that is not there yet or not any more."""
        with self._lock:
            found = self._alive.get(name, self)
        if found is None:
            raise Refused(409, f"sandbox '{name}' is being started or ended")
        if not isinstance(found, Sandbox):
            raise Refused(404, f"no sandbox is called '{name}'")
        return found

    def alive(self) -> list[Sandbox]:
        """Those that serve, the oldest first."""
        with self._lock:
            return [each for each in self._alive.values() if each is not None]

    @property
    def uptime_s(self) -> float:
        """Of the daemon."""
        return time.monotonic() - self.began_s

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float | None = None,
        stages: Stages | None = None,
    ) -> Completed:
        """One command. Raises Refused, NotSupported, TargetFailed, TimedOut, Flooded."""
        with self._doubted(name) as sandbox:
            return sandbox.run(
                argv,
                stdin=stdin,
                timeout_s=self.limits.usual_command_s if timeout_s is None else timeout_s,
                limits=self.limits,
                stages=stages or Stages(),
            )

    def run_beside(self, name: str, argv: Sequence[str], *, stdin: bytes) -> Completed:
        """A short command of the service's own, which need not wait for one that runs. Raises what `run` does."""
        with self._doubted(name) as sandbox:
            longest_s = self.limits.usual_command_s
            return sandbox.run_beside(argv, stdin=stdin, timeout_s=longest_s, limits=self.limits)

    def put(self, name: str, path: str, content: bytes, *, mode: int | None = None) -> str:
        """Write a file in the workspace; returns its path inside. Raises Refused, InvocationError."""
        with self._doubted(name) as sandbox, sandbox.held(wait_s=self.limits.busy_s, limits=self.limits):
            return files.put(sandbox, path, content, mode=mode, scratch=self._scratch)

    def get(self, name: str, path: str) -> bytes:
        """A file of the workspace. Raises Refused, InvocationError."""
        with self._doubted(name) as sandbox, sandbox.held(wait_s=self.limits.busy_s, limits=self.limits):
            return files.get(sandbox, path, limit_bytes=self.limits.output_bytes)

    def delete(self, name: str) -> Ended:
        """End it; returns when all that it held is gone. Raises Refused: 404, 409, 500 where something is left."""
        sandbox = self.named(name)
        with self._lock:
            if self._alive.get(name) is not sandbox:
                raise Refused(409, f"sandbox '{name}' is being ended")
            self._alive[name] = None
        ended = self._end(name, sandbox)
        if ended.left:
            raise Refused(500, f"of sandbox '{name}' there is left: {', '.join(ended.left[:5])}")
        return ended

    # ---- images ----

    def fork(self, name: str, image: str | None = None) -> Kept:
        """Freeze a sandbox, which goes on. Raises Refused, NotSupported, InvocationError."""
        image = f"image-{secrets.token_hex(6)}" if image is None else image
        refuse_bad_name(image, "image")
        with self._lock:
            if self._closing:
                raise Refused(503, "the daemon is being ended")
            if image in self._images:
                raise Refused(409, f"there is an image '{image}' already")
            if len(self._images) >= self.limits.images:
                raise Refused(429, f"{self.limits.images} images are kept already; delete some", retry_after_s=1)
            self._images[image] = None
        try:
            with self._doubted(name) as sandbox:
                kept = Kept(image, sandbox.freeze(limits=self.limits), name, time.time())
        except BaseException:
            with self._lock:
                del self._images[image]
            raise
        with self._lock:
            self._images[image] = kept
        return kept

    def images(self) -> list[Kept]:
        """The oldest first."""
        with self._lock:
            return [each for each in self._images.values() if each is not None]

    def image(self, name: str) -> Kept:
        """Raises Refused."""
        found = self._images.get(name)
        if found is None:
            raise Refused(404, f"no image is called '{name}'")
        return found

    def delete_image(self, name: str) -> None:
        """Its clones go on. Raises Refused."""
        kept = self.image(name)
        with self._lock:
            mine = self._images.get(name) is kept
            if mine:
                del self._images[name]
        if mine:
            kept.image.delete()

    # ---- all ----

    def warm(self, size: int, *, timeout_s: float = 60.0) -> Stats:
        """Keep so many sandboxes ready; returns when they are, or when one could not be started. Raises Refused."""
        if not 0 <= size <= self.limits.sandboxes:
            raise Refused(400, f"size: expected 0 to {self.limits.sandboxes}, found {size}")
        return self.pool.resize(size, timeout_s=timeout_s)

    def close(self) -> list[str]:
        """End everything; returns what is left."""
        with self._lock:
            self._closing = True
        self._starters.shutdown(wait=True, cancel_futures=True)
        self.pool.close()
        with self._lock:
            last = [(name, sandbox) for name, sandbox in self._alive.items() if sandbox is not None]
            self._alive.update((name, None) for name, _ in last)  # a request that is under way ends none of them again
        with ThreadPoolExecutor(8) as enders:
            ended = list(enders.map(lambda each: self._end(*each), last))
        for kept in self.images():
            kept.image.delete()
        return [words for each in ended for words in each.left]

    def _refuse_more(self, name: str) -> None:
        """The caller holds the lock."""
        if self._closing:
            raise Refused(503, "the daemon is being ended", step="queue")
        if name in self._alive:
            raise Refused(409, f"there is a sandbox '{name}' already")
        if self._under_way >= self.limits.provisions + self.limits.waiting:
            words = f"{self._under_way} sandboxes are being started or waited for already"
            raise Refused(503, words, step="queue", retry_after_s=1)
        if len(self._alive) >= self.limits.sandboxes:
            words = f"there are {len(self._alive)} sandboxes, and no more than {self.limits.sandboxes} are allowed"
            raise Refused(429, f"{words}; delete some", step="queue", retry_after_s=1)

    def _provision(self, name: str, image: str, demanded: Origin | None, stages: Stages) -> Provisioned:
        stages.lap("queue")
        try:
            sandbox = self._from_pool(demanded, stages) if not image else None
            sandbox = sandbox or self._started(image, demanded, stages)
        except BaseException:
            self._forget(name)
            raise
        sandbox.name = name
        sandbox.since_s = time.monotonic()
        with self._lock:
            self._under_way -= 1
            self._alive[name] = sandbox
        return Provisioned(sandbox, stages.done())

    def _from_pool(self, demanded: Origin | None, stages: Stages) -> Sandbox | None:
        if demanded not in {None, "pool"}:
            return None
        taken = self.pool.take()
        stages.lap("take")
        if taken is None and demanded == "pool":
            raise Refused(503, "the pool has no sandbox ready", step="take", retry_after_s=1)
        if taken is not None:
            taken.origin = "pool"
        return taken

    def _started(self, image: str, demanded: Origin | None, stages: Stages) -> Sandbox:
        if image:
            sandbox = started(self.image(image).image.start(), "image", image)
        else:
            origin, start = self.backend.start(demanded)
            sandbox = started(start(), origin)
        stages.lap("start")
        stages.split("start", getattr(sandbox.instance, "stages", {}))
        return sandbox

    def _start_usual(self) -> Sandbox:
        origin, start = self.backend.start()
        return started(start(), origin)

    @contextlib.contextmanager
    def _doubted(self, name: str) -> Iterator[Sandbox]:
        """The sandbox; one that turns out to be of no use any more is ended."""
        sandbox = self.named(name)
        try:
            yield sandbox
        except BenchproofError:
            with self._lock:
                lost = sandbox.ending and self._alive.get(name) is sandbox
                if lost:
                    self._alive[name] = None
            if lost:
                self._end(name, sandbox)
            raise

    def _end(self, name: str, sandbox: Sandbox) -> Ended:
        try:
            ended = sandbox.end()
        finally:
            self.on_end(name)
            with self._lock:
                self._alive.pop(name, None)
        if ended.left or ended.complaint:
            _LOG.warning("end sandbox=%s left=%r complaint=%r", name, list(ended.left), ended.complaint)
        return ended

    def _forget(self, name: str) -> None:
        with self._lock:
            self._under_way -= 1
            self._alive.pop(name, None)
