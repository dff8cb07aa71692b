"""What an agent does: tools that are called over MCP, each with something to show that could not be known before.

An exchange is remembered as Witness does: what was asked, what came back, how it ended; the oracle compares them. What
only prepares or checks a call is in no sample.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from benchproof import oracles
from benchproof.benchmarks.lifecycle.measured import served
from benchproof.model import Service, Target
from benchproof.oracles import Evidence
from benchproof.service.mcp_client import Answer, Session

Tool = Literal["exec", "write_file", "read_file", "list_directory"]
_LONGEST = 64  # characters of an answer that are kept; of a longer one its hash


class Took(NamedTuple):
    """One call, in ns. `server_ns`: what the server says that the tool took; None: it says nothing."""

    elapsed_ns: int
    server_ns: int | None
    arguments: dict[str, Any]
    answer: Answer


class _Exchange(NamedTuple):
    asked: str
    answered: str
    ended: str


class Place(NamedTuple):
    """Where an agent works. `copy`: a command that copies its input; `arguments`: what names the sandbox to a tool."""

    copy: tuple[str, ...]
    arguments: Mapping[str, str] = MappingProxyType({})


class Agent:
    """Calls tools in one session, and remembers each exchange."""

    def __init__(self, tools: Session, place: Place, *, size_bytes: int = 32) -> None:
        self.tools = tools
        self._place = place
        self._size_bytes = size_bytes
        self._folder = f"agent-{secrets.token_hex(8)}"  # sessions share a workspace
        self.seen: list[_Exchange] = []
        self.refusals: list[str] = []  # the server's own words

    def use(self, tool: Tool) -> Took:
        """One verified call. Raises TargetFailed."""
        acts: dict[Tool, Callable[[str], Took]] = {
            "exec": self._exec,
            "write_file": self._write,
            "read_file": self._read,
            "list_directory": self._list,
        }
        return acts[tool](secrets.token_hex(self._size_bytes // 2))

    def _exec(self, word: str) -> Took:
        took = self._call("exec", argv=list(self._place.copy), stdin=word)
        status = str(took.answer.document.get("exit_status", 0))
        return self._judged(took, word, _told(took.answer, "stdout"), ended=status)

    def _write(self, word: str) -> Took:
        """What was acknowledged is read back."""
        path = f"{self._folder}-written"
        took = self._call("write_file", path=path, content=word)
        return self._judged(took, word, _told(self._checked(self._call("read_file", path=path)), "content"))

    def _read(self, word: str) -> Took:
        """Of a file that has new content each time, under its old name: what is stale shows."""
        path = f"{self._folder}-read"
        self._checked(self._call("write_file", path=path, content=word))
        took = self._call("read_file", path=path)
        return self._judged(took, word, _told(took.answer, "content"))

    def _list(self, word: str) -> Took:
        """Of a new folder that holds one file, whose name is the word."""
        name = word[:_LONGEST]
        path = f"{self._folder}/{secrets.token_hex(4)}"
        self._checked(self._call("write_file", path=f"{path}/{name}", content=""))
        took = self._call("list_directory", path=path)
        return self._judged(took, name, _names(took.answer))

    def _call(self, tool: str, **arguments: Any) -> Took:
        arguments |= self._place.arguments
        answer = self.tools.call(tool, arguments)
        self.refusals += [f"{tool}: {answer.error}"] if answer.error else []
        stated = answer.document.get("elapsed_ns")
        return Took(answer.elapsed_ns, stated if type(stated) is int else None, arguments, answer)

    def _checked(self, took: Took) -> Answer:
        """A call that only prepares or checks: a refusal of it is an exchange that went wrong."""
        if took.answer.error:
            self.seen.append(_Exchange(secrets.token_hex(8), "nothing", "refused"))
        return took.answer

    def _judged(self, took: Took, asked: str, answered: str, *, ended: str = "0") -> Took:
        ended = "refused" if took.answer.error else ended
        self.seen.append(_Exchange(_word(asked), _word(answered), ended))
        return took


def evidence(*agents: Agent) -> dict[str, str]:
    """What `oracles.answers` reads, of all of them."""
    seen = [each for agent in agents for each in agent.seen]
    return {
        "asked": " ".join(each.asked for each in seen),
        "answered": " ".join(each.answered for each in seen),
        "exit_statuses": " ".join(each.ended for each in seen),
        "refusals": next((words for agent in agents for words in agent.refusals), "none"),
    }


def verified(evidence: Evidence, *, at_least: int) -> Iterator[str]:
    """No call was refused, and each showed what it had to show."""
    if evidence.get("refusals", "none") != "none":
        yield f"the service refused a call: {evidence['refusals']}"
    yield from oracles.answers(evidence, at_least=at_least)


def joined(*parts: dict[str, str]) -> dict[str, str]:
    """Lists of words of several witnesses, one behind the other."""
    return {name: " ".join(part[name] for part in parts if part.get(name)) for name in dict.fromkeys(chain(*parts))}


def service_of(target: Target) -> Service:
    """The service behind a target, ready. Raises NotSupported, StartFailed."""
    return served(target).service()


@contextmanager
def fresh_place(target: Target, command: Sequence[str]) -> Iterator[Place]:
    """A sandbox that was not there before, and is not afterwards: what one agent leaves must not slow down the next.

    All agents of a service whose tools know one sandbox alone work in there. `command`: what the plan says, if at all.
    """
    service = service_of(target)
    if not service.mcp_sandbox:
        yield Place(copying(target, command))
        return
    with target.start() as instance:
        name = getattr(instance, "name", "")
        yield Place(tuple(command or instance.cat), {service.mcp_sandbox: name})


def copying(target: Target, command: Sequence[str]) -> tuple[str, ...]:
    """The words of a command that copies its input in a sandbox of the target: what the plan says, or what it knows."""
    if command:
        return tuple(command)
    with target.start() as instance:
        return tuple(instance.cat)


def _told(answer: Answer, field: str) -> str:
    found = answer.document.get(field)
    return found if isinstance(found, str) else answer.text


def _names(answer: Answer) -> str:
    """All names, as one word: a folder that holds more than it should is a wrong answer."""
    entries = answer.document.get("entries")
    if not isinstance(entries, list):
        return answer.text.strip()
    return "+".join(str(each.get("name") if isinstance(each, dict) else each) for each in entries)


def _word(text: str) -> str:
    """One word, whatever it is made of."""
    if not text:
        return "nothing"
    if text.isalnum() and len(text) <= _LONGEST:
        return text
    shown = "".join(each if each.isalnum() else "_" for each in text[:_LONGEST])
    return f"{shown}#{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:16]}"
