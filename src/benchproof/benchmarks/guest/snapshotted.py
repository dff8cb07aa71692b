"""What the benchmarks of snapshots share: a sandbox of a service, a workspace full of random files, tools over MCP.

The workspace and its snapshots are known twice: as the service tells them, and as we made them. Each answer is held
against what it must be, content by content, when no clock runs. Nothing that a service says of itself is enough.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.guest.within import Within
from benchproof.benchmarks.lifecycle.measured import Measured, served, timing
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Authority, Clock, Instance, Measurement, Observation, Target
from benchproof.oracles import Evidence
from benchproof.quantities import Size
from benchproof.service import mcp_client
from benchproof.service.mcp_client import Answer, Tools

TIER = 3
AUTHORITY = Authority(ambient=True)  # the host times them; what they may do is not part of the question
NONDETERMINISM = "the random content of files, their names, and which of them are changed"
UNSUPPORTED = "a target without a service behind it, or without its MCP, as outcome `unsupported`"
WITHOUT_POSIX = "a copy of a workspace that the system's own store keeps, asked for over its protocol"
_PATHS = {"host": "host client, MCP, host, file system", "guest": "client in the guest, MCP, host, file system"}
_STAGE = re.compile("[a-z][a-z0-9_]{0,31}")
_DEEPEST = 3  # levels of folders
_CHANGED = 3  # files that a change touches


class Snapshotted(Measured, frozen=True):
    """`files` of `size` each are in the workspace.

    `caller`: who makes the call that is timed: a client on the host, or one inside of the sandbox, the whole path from
    the guest to the host's file system; `gateway`: the address at which the sandbox reaches the host.
    """

    samples: int = 10
    warmups: int = 1
    files: int = 100
    size: Size = Size(1024)
    caller: Literal["host", "guest"] = "host"
    gateway: str = "127.0.0.1"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 5 <= self.files <= 10_000:
            raise ValueError(f"files: expected 5 to 10000, found {self.files}")
        if not 1 <= self.size <= 1 << 20:
            raise ValueError("size: expected 1 B to 1 MiB")
        if self.samples > 1_000:
            raise ValueError(f"samples: expected up to 1000, found {self.samples}")

    def quick(self) -> Self:
        """The same question with fewer calls."""
        return msgspec.structs.replace(self, samples=min(self.samples, 3), warmups=min(self.warmups, 1))

    def once(self, room: Room) -> Answer:
        """Prepare, make the one call that is timed, and check what became of it."""
        raise NotImplementedError

    def prepare(self, room: Room) -> None:
        """What all calls find there."""

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        if self.caller == "guest" and served(target).service().headers:
            raise NotSupported(
                "the service asks for a token, with which a sandbox could do what it likes to all others",
                missing='caller = "host", or a service on the loopback without a token',
            )
        with opened(target, timeout_s=float(self.timeout)) as (tools, instance, which):
            timed: Tools = tools
            if self.caller == "guest":
                timed = Within(instance, served(target).service(), gateway=self.gateway, timeout_s=float(self.timeout))
            room = Room(tools, which, timed=timed, seed=secrets.randbits(64))
            room.fill(self.files, int(self.size))
            self.prepare(room)
            began_ns = time.monotonic_ns()
            answers = [self.once(room) for _ in range(self.rounds)]
            wall_ns = time.monotonic_ns() - began_ns
            evidence = room.evidence() | timing([each.elapsed_ns for each in answers], wall_ns=wall_ns)
        evidence |= {"files": str(self.files), "size_bytes": str(int(self.size)), "path": _PATHS[self.caller]}
        return Observation(
            measurements=tuple(self._measurements(answers)), evidence=evidence | _stated(answers) | _clone(answers)
        )

    def _measurements(self, answers: Sequence[Answer]) -> Iterator[Measurement]:
        """The call, and what the service says of its parts, where it says the same parts each time."""
        clock: Clock = "target" if self.caller == "guest" else "host"
        yield msgspec.structs.replace(self.measurement([each.elapsed_ns for each in answers]), clock=clock)
        stages = [_stages(each) for each in answers]
        for name in stages[0]:
            if all(name in each for each in stages):
                values = self.measurement([each[name] for each in stages])
                yield msgspec.structs.replace(values, metric=f"{self.definition.name}.{name}")

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        if evidence.get("first_difference") != "nothing":
            yield evidence.get("first_difference", "nothing was checked")
        yield from oracles.same(evidence, "expected", "found")
        if oracles.number(evidence, "checks") < self.rounds:
            yield f"expected a check of every call, {self.rounds} or more, found {evidence.get('checks', 'none')}"
        yield from oracles.samples_took_time(evidence)
        yield from stages_fit(evidence)


Contents = Mapping[str, bytes]


class Room:
    """A workspace that is kept twice: by the service, and here."""

    def __init__(self, tools: Tools, which: Mapping[str, str], *, seed: int, timed: Tools | None = None) -> None:
        self._tools = tools
        self._timed = timed or tools
        self._which = dict(which)  # the argument that names the sandbox
        self._random = random.Random(seed)
        self._number = 0
        self.contents: dict[str, bytes] = {}
        self.snapshots: dict[str, Contents] = {}
        self._expected: list[str] = []
        self._found: list[str] = []
        self._first = "nothing"

    def call(self, tool: str, **arguments: object) -> Answer:
        """One call. Raises TargetFailed where the tool refuses."""
        found = self.attempt(tool, **arguments)
        if found.error:
            raise TargetFailed(f"mcp: call of '{tool}': {found.error}")
        return found

    def time(self, tool: str, **arguments: object) -> Answer:
        """The one call that is timed, by whoever is to make it. Raises TargetFailed where the tool refuses."""
        found = self._timed.call(tool, self._which | arguments)
        if found.error:
            raise TargetFailed(f"mcp: call of '{tool}': {found.error}")
        return found

    def attempt(self, tool: str, **arguments: object) -> Answer:
        """One call, whatever it answers."""
        return self._tools.call(tool, self._which | arguments)

    def check(self, what: str, expected: object, found: object) -> None:
        """Enter what it must be and what it is; the oracle compares them."""
        self._expected.append(_digest(expected))
        self._found.append(_digest(found))
        if self._expected[-1] != self._found[-1] and self._first == "nothing":
            self._first = f"{what}: expected {_short(expected)}, found {_short(found)}"

    def fill(self, files: int, size_bytes: int) -> None:
        """Write so many files; what was there before makes every answer wrong, and is told at once."""
        there = self.call("list_directory", path="").document.get("entries")
        before = [each.get("name") for each in there] if isinstance(there, list) else there
        if before:
            raise TargetFailed(f"the workspace of a fresh sandbox is not empty: {_short(before)}")
        for number in range(files):
            self.write(f"folder-{number % 7}/{'deep/' * (number % _DEEPEST)}file-{number}", size_bytes)

    def write(self, path: str, size_bytes: int = 100) -> None:
        """A file of fresh random words, which no compression makes small."""
        content = secrets.token_hex((size_bytes + 1) // 2)[:size_bytes].encode()
        self.call("write_file", path=path, content=content.decode())
        self.contents[path] = content

    def change(self, *, among: Iterable[str] = ()) -> str:
        """Write some files anew (of `among`, if any are named) and add one; returns one that was there before."""
        chosen = self._random.sample(sorted(among or self.contents), _CHANGED)
        for path in chosen:
            self.write(path, len(self.contents[path]))
        self._number += 1
        self.write(f"added/{self._number}-{secrets.token_hex(4)}")
        return chosen[0]

    def snapshot(self, *, timed: bool = False) -> tuple[str, Answer]:
        """Make one under a fresh name."""
        name = f"bench-{secrets.token_hex(6)}"
        answer = (self.time if timed else self.call)("snapshot_create", name=name)
        self.snapshots[name] = dict(self.contents)
        return name, answer

    def drop(self, name: str, *, timed: bool = False) -> Answer:
        """Delete it."""
        answer = (self.time if timed else self.call)("snapshot_delete", name=name)
        del self.snapshots[name]
        return answer

    def remove_added(self, name: str) -> None:
        """Remove one file that the snapshot has not, which is what a revert of it does."""
        path = next((each for each in sorted(self.contents) if each not in self.snapshots[name]), "")
        if path:
            self.call("snapshot_revert", name=name, path=path)
            del self.contents[path]

    def content_of(self, path: str) -> str:
        """Hash of what a client reads there now."""
        found = self.call("read_file", path=path).document.get("content")
        return hashlib.sha256(str(found).encode()).hexdigest()

    def check_content(self, path: str, expected: bytes) -> None:
        """What a client reads is this."""
        self.check(f"content of '{path}'", hashlib.sha256(expected).hexdigest(), self.content_of(path))

    def check_unchanged(self, name: str) -> None:
        """Nothing is different from the snapshot."""
        found = changes_of(self.call("snapshot_changes", name=name).document)
        self.check(f"changes since '{name}'", differences(self.snapshots[name], self.contents), found)

    def names(self) -> list[str]:
        """Of the snapshots that the service lists."""
        found = self.call("snapshot_list").document.get("snapshots")
        return [str(each.get("name")) for each in found] if isinstance(found, list) else []

    def evidence(self) -> dict[str, str]:
        """What the oracle reads."""
        return {
            "checks": str(len(self._expected)),
            "expected": " ".join(self._expected),
            "found": " ".join(self._found),
            "first_difference": self._first,
        }


@contextmanager
def opened(target: Target, *, timeout_s: float) -> Iterator[tuple[Tools, Instance, Mapping[str, str]]]:
    """A session with the service behind the target, a fresh sandbox of it, and what names that to a tool.

    Raises NotSupported.
    """
    service = served(target).service()
    with ExitStack() as life:
        instance = life.enter_context(target.start())
        name = getattr(instance, "name", "")
        if not (name and service.mcp_sandbox):
            raise NotSupported(
                "no tool of this service can be told which sandbox is meant",
                missing="`mcp_sandbox` in its description: what its tools call that argument",
            )
        session = life.enter_context(mcp_client.session(service, timeout_s=timeout_s))
        yield session, instance, {service.mcp_sandbox: name}


def differences(before: Contents, after: Contents) -> dict[str, list[str]]:
    """What must be told of the way from one content to another."""
    return {
        "added": sorted(after.keys() - before.keys()),
        "modified": sorted(path for path in before.keys() & after.keys() if before[path] != after[path]),
        "deleted": sorted(before.keys() - after.keys()),
    }


def changes_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer tells of it."""
    return {name: document.get(name) for name in ("added", "modified", "deleted")}


def on_disk(answer: Answer) -> str:
    """Whether the folder that the service names is there; where it names none, or is elsewhere, nobody can tell."""
    store = answer.document.get("store")
    if not isinstance(store, str) or not store:
        return "unstated"
    return "there" if Path(store).exists() else "not there"


def stages_fit(evidence: Evidence) -> Iterator[str]:
    """What a service says of the parts of a call is no more than the call."""
    wholes, parts = (evidence.get(name, "").split() for name in ("elapsed_ns", "stages_sum_ns"))
    if len(wholes) != len(parts):
        yield f"expected as many sums of stages as calls, found {len(parts)} of {len(wholes)}"
    for whole, part in zip(wholes, parts, strict=False):
        if int(part) > int(whole):
            yield f"the stages of a call took {part} ns by the service's word, the whole call only {whole} ns"
            return


def _stages(answer: Answer) -> dict[str, int]:
    """Name -> ns, as far as the answer tells any. A service cannot name one as what we time ourselves."""
    found = answer.document.get("stages_ns")
    named = found if isinstance(found, dict) else {}
    names = {name for name in named if _STAGE.fullmatch(str(name)) and name != Measured.quantity}
    return {name: named[name] for name in sorted(names) if type(named[name]) is int and named[name] >= 0}


def _stated(answers: Sequence[Answer]) -> dict[str, str]:
    return {
        "elapsed_ns": " ".join(str(each.elapsed_ns) for each in answers),
        "stages_sum_ns": " ".join(str(sum(_stages(each).values())) for each in answers),
    }


def _clone(answers: Sequence[Answer]) -> dict[str, str]:
    """How the service says that it copied: by reflink, or byte by byte."""
    ways = {str(each.document["clone"]) for each in answers if "clone" in each.document}
    return {"clone": " and ".join(sorted(ways))} if ways else {}


def _digest(what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _short(what: object) -> str:
    text = json.dumps(what, default=str)
    return text if len(text) <= 160 else f"{text[:160]}..."
