"""A service or a target with sandboxes in it, at work: whom to look at, and one verified operation after another.

Behind a service the work is calls of tools, each kind that it has in turn, but for what leaves a file more each time:
that would be taken for a leak of the service. Of a target without one it is commands in its instances in turn. What is
looked at are the processes of the service and of the sandboxes, never our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from benchproof.benchmarks.agent import work
from benchproof.benchmarks.agent.work import Agent, Tool
from benchproof.benchmarks.lifecycle.measured import forkable
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.errors import NotSupported
from benchproof.footprint import usage
from benchproof.model import Footprint, Instance, Served, Target
from benchproof.service import mcp_client

_TOOLS: tuple[Tool, ...] = ("exec", "write_file", "read_file")


class Crew:
    """Made by `crew`. `pid`: of the service, where there is one."""

    def __init__(
        self,
        target: Target,
        alive: ExitStack,
        *,
        agent: Agent | None,
        able: Sequence[Tool],
        pid: int | None,
        timeout_s: float,
    ) -> None:
        self._target = target
        self._alive = alive
        self._agent = agent
        self._able = able
        self._pid = pid
        self._witness = Witness(timeout_s)
        self._instances: list[Instance] = []
        self._held: list[int] = []  # processes of the sandboxes
        self._operations = 0

    def add(self) -> None:
        """One sandbox more, which has answered; looked at from now on is what it holds before and after that."""
        instance = self._alive.enter_context(self._target.start())
        before = _processes(instance)
        self._witness.ask(instance)
        after = _processes(instance)
        self._instances.append(instance)
        self._held += [pid for pid in before if pid in after] or before

    def operate(self) -> None:
        """One verified operation. Raises TargetFailed."""
        if self._agent is not None:
            self._agent.use(self._able[self._operations % len(self._able)])
        else:
            self._witness.ask(self._instances[self._operations % len(self._instances)])
        self._operations += 1

    def roots(self) -> tuple[int, ...]:
        """The processes that all others descend from. Raises NotSupported where there is none to look at."""
        pids = [*([] if self._pid is None else [self._pid]), *self._held]
        if not pids:
            raise NotSupported(
                "no process of the service or of a sandbox is known here",
                missing="a service that benchproof starts, or that says which processes a sandbox has",
            )
        return tuple(dict.fromkeys(pids))

    def evidence(self) -> dict[str, str]:
        """What `oracles.answers` reads, and which of the processes that were looked at have ended."""
        roots = self.roots()
        alive = usage(roots).processes
        ended = " ".join(str(pid) for pid in roots if pid not in alive)
        answers = [self._witness.evidence(), *([work.evidence(self._agent)] if self._agent else [])]
        tools = " ".join(self._able) if self._agent else "none"
        held = {"ended": ended or "none", "sandboxes": str(len(self._instances)), "tools": tools}
        return work.joined(*answers) | held


def died(evidence: dict[str, str]) -> Iterator[str]:
    """No process of the service or of a sandbox ended while it worked."""
    if evidence.get("ended") != "none":
        yield f"processes ended while they were to work: {evidence.get('ended', 'nobody looked')}"


@contextmanager
def crew(target: Target, command: Sequence[str], *, timeout_s: float) -> Iterator[Crew]:
    """No sandbox is in it yet; all are ended with it. Raises NotSupported, StartFailed."""
    service = target.service() if isinstance(target, Served) else None
    if service is None:
        forkable(target)
    with ExitStack() as alive:
        agent, able = None, _TOOLS
        if service is not None and service.mcp:
            session = alive.enter_context(mcp_client.session(service, timeout_s=timeout_s))
            place = alive.enter_context(work.fresh_place(target, command))
            agent, able = Agent(session, place), _able(Agent(session, place))
        pid = service.pid if service else None
        yield Crew(target, alive, agent=agent, able=able, pid=pid, timeout_s=timeout_s)


def _able(agent: Agent) -> tuple[Tool, ...]:
    """The tools that the service does not refuse when they are first called. Raises NotSupported if it refuses all."""
    able = []
    for tool in _TOOLS:
        before = len(agent.refusals)
        agent.use(tool)
        able += [tool] if len(agent.refusals) == before else []
    if not able:
        raise NotSupported(f"the service refuses every tool: {agent.refusals[0]}")
    return tuple(able)


def _processes(instance: Instance) -> list[int]:
    """Of a sandbox on this host; none where they are not told."""
    look: Callable[[], Footprint] | None = getattr(instance, "footprint", None)
    try:
        return list(look().processes) if look is not None else []
    except NotSupported:
        return []
