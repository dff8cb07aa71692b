"""Benchmark `agent.network`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Self

import msgspec

from benchproof import oracles
from benchproof.benchmarks.agent import work
from benchproof.benchmarks.agent.asked import AUTHORITY, TIER, UNSUPPORTED, Asked
from benchproof.benchmarks.lifecycle.measured import timing
from benchproof.errors import NotSupported
from benchproof.model import Definition, Observation, Service, Target
from benchproof.service import mcp_client
from benchproof.service.http import Answer, Client

_MOST_BYTES = 1 << 20  # of an answer


class Network(Asked, frozen=True):
    """How long does the smallest exchange with a service take?

    `via` its HTTP interface (GET of `path`) or its MCP (a list of tools, which no cache answers); `connection`: kept,
    or a new one for each exchange, whose opening is part of the sample.
    """

    definition = Definition(
        name="agent.network",
        tier=TIER,
        question="How long does the smallest exchange with a service take?",
        mechanism="request to whole answer: GET over HTTP, or tools/list over MCP; a new connection's opening too",
        without_posix="the smallest request to a server and its reply",
        oracle="each answer is whole, has status 200, is a JSON object, and its clock never runs backwards",
        nondeterminism="the service's clock",
        authority=AUTHORITY,
        when_unsupported=UNSUPPORTED,
    )

    via: Literal["http", "mcp"] = "http"
    connection: Literal["reused", "new"] = "reused"
    path: str = "/health"

    def quick(self) -> Self:
        """The same question with fewer samples."""
        return msgspec.structs.replace(self, samples=min(self.samples, 20), warmups=min(self.warmups, 2))

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        service = work.service_of(target)
        seen: list[str] = []
        with self._way(service, seen) as exchange:
            began_ns = time.monotonic_ns()
            values = [exchange() for _ in range(self.rounds)]
            wall_ns = time.monotonic_ns() - began_ns
        evidence = timing(values, wall_ns=wall_ns) | {"exchanges": str(len(values)), "answers": " ".join(seen)}
        return Observation(measurements=(self.measurement(values),), evidence=evidence)

    @contextmanager
    def _way(self, service: Service, seen: list[str]) -> Iterator[Callable[[], int]]:
        """An exchange, in ns; what each answer was is noted."""
        opened = self._http if self.via == "http" else self._mcp
        if self.connection == "reused":
            with opened(service, seen) as (_, exchange):
                yield exchange
            return

        def anew() -> int:
            with opened(service, seen) as (opening_ns, exchange):
                return opening_ns + exchange()

        yield anew

    @contextmanager
    def _http(self, service: Service, seen: list[str]) -> Iterator[tuple[int, Callable[[], int]]]:
        """The connection is opened by the first request, so its opening is within that."""
        if not service.url:
            raise NotSupported("the service has no HTTP interface", missing="via = 'mcp'")
        client = Client(service.url, headers=service.headers)

        def exchange() -> int:
            answer = client.ask("health", "GET", self.path, timeout_s=float(self.timeout), limit_bytes=_MOST_BYTES)
            seen.append(_shown(answer))
            return answer.elapsed_ns

        with contextlib.closing(client):
            yield 0, exchange

    @contextmanager
    def _mcp(self, service: Service, seen: list[str]) -> Iterator[tuple[int, Callable[[], int]]]:
        def exchange() -> int:
            elapsed_ns = session.ping()
            seen.append("200")
            return elapsed_ns

        with mcp_client.session(service, timeout_s=float(self.timeout)) as session:
            yield session.opened_ns, exchange

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence = observation.evidence
        answers = evidence.get("answers", "").split()
        yield from oracles.samples_took_time(evidence)
        yield from oracles.equals(evidence, "exchanges", self.rounds)
        if len(answers) != self.rounds:
            yield f"expected {self.rounds} answers, found {len(answers)}"
        if wrong := [each for each in answers if each.partition("@")[0] != "200"]:
            yield f"{len(wrong)} of {len(answers)} answers were none: expected a JSON object with 200, found {wrong[0]}"
        clock = [float(each.partition("@")[2]) for each in answers if "@" in each]
        if clock != sorted(clock):
            yield "the service's clock ran backwards: an answer was older than the one before"


def _shown(answer: Answer) -> str:
    """`200`, and behind `@` how long the service says that it has been up."""
    try:
        document = json.loads(answer.body)
    except ValueError:
        return f"{answer.status}_without_JSON"
    if not isinstance(document, dict):
        return f"{answer.status}_without_an_object"
    up = document.get("uptime_s")
    return f"{answer.status}@{up!r}" if type(up) in {int, float} else str(answer.status)
