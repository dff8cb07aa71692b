"""Agents: each has a sandbox of its own and does work there that can be checked; a crowd of them works at once.

The load is closed: an agent asks for the next thing when it has the answer to the last. So a target that stalls is
asked less, and its latencies must not be read as those of a fixed rate.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.resilience.events import Event, Journal
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Forkable, ForkableInstance, Instance, Target

Begin = Callable[[], AbstractContextManager[Instance]]  # how a sandbox is had
STARTED, ENDED = "started", "ended"
NAMES = 8  # of the files of one agent, written in turn: what it keeps is bounded


class Terms(NamedTuple):
    """On what terms agents work: `timeout_s` for each command, `file_bytes` of random content for each file."""

    timeout_s: float
    file_bytes: int


class Agent:
    """Remembers what its sandbox has acknowledged: those files must hold what was written last."""

    def __init__(self, number: int, instance: ForkableInstance, journal: Journal, terms: Terms) -> None:
        self.number = number
        self.instance = instance
        self.journal = journal
        self.terms = terms
        self.kept: dict[str, tuple[str, str]] = {}  # name -> path inside, digest
        self._writes = 0

    def round(self) -> None:
        """Three operations: an echo, a file written, a file read back."""
        self.echo()
        self.write()
        self.read()

    def echo(self, operation: str = "echo") -> Event:
        """A command that gives back a random word."""
        word = secrets.token_hex(8)
        return self.journal.timed(
            self.number, operation, word, lambda: self._run(stdin=word.encode()).decode("latin-1")
        )

    def write(self, name: str = "") -> Event:
        """A file of random content. Until it is acknowledged, nobody knows what it holds."""
        name, content = name or f"file-{self._writes % NAMES}", secrets.token_bytes(self.terms.file_bytes)
        self._writes += 1
        self.kept.pop(name, None)
        with tempfile.TemporaryDirectory(prefix="benchproof-") as folder:
            source = Path(folder, name)
            source.write_bytes(content)
            paths: list[str] = []

            def put() -> str:
                paths.append(self.instance.put(source, name))
                return _labelled(name, content)

            event = self.journal.timed(self.number, "write", _labelled(name, content), put)
        if event.right:
            self.kept[name] = paths[0], _digest(content)
        return event

    def read(self) -> Event | None:
        """What was acknowledged last, if anything was."""
        return self._look("read", next(reversed(self.kept))) if self.kept else None

    def recall(self) -> list[Event]:
        """All that was acknowledged and not written over."""
        return [self._look("recall", name) for name in self.kept]

    def heir(self, number: int, instance: ForkableInstance) -> Agent:
        """Another agent whose sandbox should hold what this one's was known to hold."""
        heir = Agent(number, instance, self.journal, self.terms)
        heir.kept = dict(self.kept)
        return heir

    def _look(self, operation: str, name: str) -> Event:
        path, digest = self.kept[name]
        return self.journal.timed(self.number, operation, f"{name}:{digest}", lambda: _labelled(name, self._run(path)))

    def _run(self, *words: str, stdin: bytes = b"") -> bytes:
        done = self.instance.run([*self.instance.cat, *words], stdin=stdin, timeout_s=self.terms.timeout_s)
        if done.exit_status:
            raise TargetFailed(f"'cat' ended with exit status {done.exit_status}: {done.stderr[-80:]!r}")
        return done.stdout


class Crowd:
    """Agents whose sandboxes are all alive. Leaving `gathered` ends every one that is left."""

    def __init__(
        self, start: Begin, journal: Journal, terms: Terms, *, starts: Mapping[int, Begin] | None = None
    ) -> None:
        self.journal = journal
        self.terms = terms
        self.ledger = leaks.Ledger()
        self.agents: list[Agent] = []
        self._start = start
        self._starts = dict(starts or {})  # of some agents, another way
        self._lives: dict[int, ExitStack] = {}
        self._lock = threading.Lock()

    def fill(self, many: int) -> list[Agent]:
        """Start agents up to so many, two for each CPU at a time; one that does not start is an event and no agent."""
        numbers = range(1, many + 1)
        with ThreadPoolExecutor(2 * len(os.sched_getaffinity(0))) as threads:
            found = list(threads.map(self.join, numbers))
        self.agents = [agent for agent in found if agent is not None]
        return self.agents

    def join(self, number: int, *, start: Begin | None = None, of: Agent | None = None) -> Agent | None:
        """One more, asked once for an echo, its `hello`. `of`: whose files its sandbox should hold."""
        life = ExitStack()
        with self._lock:
            self._lives[number] = life
        instances: list[ForkableInstance] = []

        def begin() -> str:
            instances.append(told(life.enter_context((start or self._starts.get(number, self._start))())))
            return STARTED

        event = self.journal.timed(number, "start", STARTED, begin)
        if not event.right:
            return None
        agent = of.heir(number, instances[0]) if of else Agent(number, instances[0], self.journal, self.terms)
        agent.echo("hello")
        return agent

    def leave(self, agent: Agent) -> Event:
        """End its sandbox; the event ends when all that it held is gone."""
        held = leaks.held(agent.instance.footprint())
        return self.bury(agent, held)

    def bury(self, agent: Agent, held: leaks.Held) -> Event:
        """The same of one that may be dead already; `held` is what it held when it was alive."""
        with self._lock:
            life = self._lives.pop(agent.number)

        def end() -> str:
            try:
                life.close()
            finally:
                self.ledger.ended(held)
            return ENDED

        return self.journal.timed(agent.number, "end", ENDED, end)

    def close(self) -> None:
        """End all that is left, also where the end of one of them raises."""
        with ExitStack() as all_of_them:
            for life in self._lives.values():
                all_of_them.push(life)
            self._lives.clear()


@contextmanager
def gathered(
    start: Begin, journal: Journal, terms: Terms, *, starts: Mapping[int, Begin] | None = None
) -> Iterator[Crowd]:
    """A crowd with nobody in it yet."""
    crowd = Crowd(start, journal, terms, starts=starts)
    try:
        yield crowd
    finally:
        crowd.close()


def at_once(agents: list[Agent], work: Callable[[Agent], object]) -> None:
    """Each in a thread of its own, all beginning together."""
    if not agents:
        return
    together = threading.Barrier(len(agents))

    def begin(agent: Agent) -> None:
        together.wait()
        work(agent)

    with ThreadPoolExecutor(len(agents)) as threads:
        list(threads.map(begin, agents))


@contextmanager
def working(agents: list[Agent]) -> Iterator[None]:
    """They do round after round, each in a thread of its own, until the context is left; then one more is ended."""
    enough = threading.Event()

    def work(agent: Agent) -> None:
        while not enough.is_set():
            agent.round()

    with ThreadPoolExecutor(max(1, len(agents))) as threads:
        futures = [threads.submit(work, agent) for agent in agents]
        try:
            yield
        finally:
            enough.set()
        for future in futures:
            future.result()


def supply(target: Target) -> Begin:
    """How agents get their sandboxes: clones where the target has them, else its usual start."""
    if isinstance(target, Forkable):
        try:
            return target.image().start
        except NotSupported:  # the usual start may be all that it can
            pass
    return target.start


def told(instance: Instance) -> ForkableInstance:
    """The instance, if it says what it holds of the host. Raises NotSupported."""
    if not hasattr(instance, "footprint"):
        raise NotSupported(
            "this target does not tell what its instances hold, so nobody can know whether they are gone",
            missing='a target that does: kind = "qemu", "gvisor" or "service"',
        )
    return cast("ForkableInstance", instance)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _labelled(name: str, content: bytes) -> str:
    return f"{name}:{_digest(content)}"
