"""Harm to a service and to the network before it: on our own daemon, and each oracle shown to fail."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof import outcomes
from benchproof.benchmarks import BENCHMARKS
from benchproof.benchmarks.resilience import events, kill_daemon
from benchproof.benchmarks.resilience.events import Event
from benchproof.benchmarks.resilience.relay import Relay, relayed
from benchproof.errors import InvocationError, NotSupported
from benchproof.model import Observation, Outcome, Passed, Target, Unsupported
from benchproof.quantities import Duration
from benchproof.targets import KINDS
from conftest import lab_in, why_unusable

TINY: dict[str, dict[str, Any]] = {
    "chaos.kill_daemon": {"agents": 1, "rounds": 1},  # each is waited for
    "chaos.cut_network": {"agents": 2, "rounds": 1, "cut": Duration(0.2)},
}


def tiny(name: str, **parameters: Any) -> Any:
    patient = {"deadline": Duration(60)}  # this host may be busy
    return BENCHMARKS.load(name)(**(patient | TINY[name] | parameters))


def seen(benchmark: Any, target: Target) -> tuple[Outcome, Observation | None]:
    try:
        observation = benchmark.run(target)
    except InvocationError as error:
        return outcomes.outcome_of(error), None
    return outcomes.judge(benchmark, observation), observation


# ---- the relay ----


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything again, to any number of clients."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while chunk := connection.recv(1 << 16):
                    connection.sendall(chunk)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def relay(echo) -> Iterator[Relay]:
    with relayed("127.0.0.1", echo) as running:
        yield running


def connected(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout=10)


def said(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    answer = b""
    while len(answer) < len(words):
        answer += client.recv(1 << 16) or b"?"
    return answer


def test_a_relay_passes_everything_on_unchanged(relay):
    words = bytes(range(256)) * 1000
    with connected(relay) as one, connected(relay) as other:
        assert said(one, words) == words
        assert said(other, b"other") == b"other"
    assert relay.passed_bytes == 2 * (len(words) + 5)


def test_what_was_sent_while_it_held_arrives_when_it_is_over(relay):
    with connected(relay) as client:
        assert said(client, b"before") == b"before"
        relay.be("hold")
        client.sendall(b"meanwhile")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(10)
        relay.be("none")
        assert client.recv(9, socket.MSG_WAITALL) == b"meanwhile"
    assert relay.passed_bytes == 2 * len(b"before" + b"meanwhile")


def test_a_reset_ends_what_is_connected_and_refuses_what_comes_until_it_is_over(relay):
    with connected(relay) as client:
        assert said(client, b"before") == b"before"
        relay.be("reset")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionResetError), connected(relay) as client:
        client.recv(1)
    relay.be("none")
    with connected(relay) as client:
        assert said(client, b"after") == b"after"


def test_a_relay_to_nobody_resets():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with relayed("127.0.0.1", port) as running, pytest.raises(ConnectionResetError), connected(running) as client:
        client.recv(1)
    assert running.is_idle


# ---- our own daemon ----


def services(host_probe: Any, folder: Path) -> Target:
    if why := why_unusable("bwrap"):
        pytest.skip(why)
    kind = KINDS.load("service")
    return kind(kind.Settings(backend="bwrap"), lab_in(folder, host_probe.path))


@pytest.fixture(scope="module")
def target(host_probe, tmp_path_factory) -> Iterator[Target]:
    found = services(host_probe, tmp_path_factory.mktemp("service"))
    with found.lab.until_closed:
        yield found


@pytest.fixture(scope="module")
def struck(target) -> Callable[..., Observation]:
    """What was seen of each, which passed."""
    found: dict[str, Observation] = {}

    def of(name: str, **parameters: Any) -> Observation:
        key = f"{name} {parameters}"
        if key not in found:
            outcome, observation = seen(tiny(name, **parameters), target)
            assert isinstance(outcome, Passed), outcome
            assert observation is not None
            found[key] = observation
        return found[key]

    return of


def metrics(observation: Observation) -> dict[str, tuple[float, ...]]:
    return {each.metric.rpartition(".")[2]: each.samples for each in observation.measurements}


def test_a_daemon_that_is_killed_leaves_nobody_and_works_when_it_is_started_again(struck):
    observation = struck("chaos.kill_daemon")
    assert set(metrics(observation)) == {"recovery", "restart", "denied"}
    assert len(metrics(observation)["denied"]) == 1
    assert metrics(observation)["recovery"][0] > metrics(observation)["restart"][0]
    assert observation.evidence["orphans"] == observation.evidence["files_after_restart"] == "nothing"


@pytest.mark.parametrize("how", ["hold", "reset"])
def test_a_network_that_is_cut_harms_nobody_else(struck, how):
    observation = struck("chaos.cut_network", how=how)
    assert metrics(observation)["bystanders"] == (1.0,)
    (asked,) = events.of(events.read(observation.evidence), "patience")
    assert asked.right == (how == "hold")


@pytest.mark.parametrize("name", ["scale.agents", "soak.agents"])
def test_agents_work_in_the_sandboxes_of_a_service(target, name):
    few = {"scale.agents": {"agents": 3, "rounds": 1}, "soak.agents": {"agents": 2, "duration": Duration(0.5)}}
    outcome, observation = seen(BENCHMARKS.load(name)(**few[name]), target)
    assert isinstance(outcome, Passed), outcome
    assert observation is not None
    assert "memory" not in metrics(observation)  # a sandbox of bubblewrap has no process between its commands


@pytest.mark.parametrize("name", ["chaos.kill_guest", "chaos.pause_guest", "chaos.exhaust_memory"])
def test_a_sandbox_without_a_process_of_its_own_cannot_be_harmed(target, name):
    outcome, _ = seen(BENCHMARKS.load(name)(agents=2, rounds=1), target)
    assert isinstance(outcome, Unsupported), outcome
    assert "no process of its own" in outcome.reason


def edited(observation: Observation, change: Callable[[Event], Event | None], **evidence: str) -> Observation:
    """With other events and evidence."""
    after = [each for event in events.read(observation.evidence) if (each := change(event)) is not None]
    known = dict(observation.evidence) | {"events": msgspec.json.encode(after).decode()} | evidence
    return msgspec.structs.replace(observation, evidence=known)


def having(operation: str, **changes: Any) -> Callable[[Event], Event | None]:
    return lambda event: msgspec.structs.replace(event, **changes) if event.operation == operation else event


def lacking(*operations: str) -> Callable[[Event], Event | None]:
    return lambda event: None if event.operation in operations else event


DAEMON: dict[str, tuple[Callable[[Event], Event | None], dict[str, str], str]] = {
    "somebody lives on": (lambda each: each, {"orphans": "process 7 (qemu)"}, "orphans: expected nothing"),
    "files stay": (lambda each: each, {"files_after_restart": "file /x"}, "files_after_restart: expected nothing"),
    "the dead answer": (having("denied", status="answered", seen="?", asked="?"), {}, "a dead service was answered"),
    "the dead are not asked": (lacking("denied"), {}, "to the dead service, found 0"),
    "it was not killed": (lacking("fault"), {}, "expected one fault, found 0"),
    "it does not come back": (lambda each: None if each.agent == 2 else each, {}, "there was no recovery"),
    "its work is lost": (having("recall", status="failed", seen="gone"), {}, "acknowledged and lost"),
}


@pytest.mark.parametrize("edit", DAEMON)
def test_each_oracle_of_a_killed_daemon_fails_where_it_is_broken(struck, edit):
    change, evidence, words = DAEMON[edit]
    found = list(tiny("chaos.kill_daemon").verify(edited(struck("chaos.kill_daemon"), change, **evidence)))
    assert any(words in each for each in found), found


def test_a_dead_service_that_keeps_its_clients_waiting_is_found(struck):
    strict = tiny("chaos.kill_daemon", deadline=Duration(1e-7))
    assert any("missed the deadline" in each for each in strict.verify(struck("chaos.kill_daemon")))


NETWORK: dict[str, tuple[str, Callable[[Event], Event | None], dict[str, str], str]] = {
    "it was answered at once": ("hold", having("patience", ended_ns=1, started_ns=0), {}, "while nothing got through"),
    "it never was": ("hold", having("patience", status="failed"), {}, "operations failed"),
    "another way round": ("hold", lambda each: each, {"relayed_bytes": "0"}, "nothing went through the relay"),
    "files are lost": ("hold", having("recall", status="failed", seen="gone"), {}, "acknowledged and lost"),
    "nothing was cut": ("hold", lacking("healed"), {}, "expected one cut"),
    "it was answered": ("reset", having("patience", status="answered", seen="", asked=""), {}, "connection was reset"),
    "no recovery": ("reset", lambda each: None if each.agent == 3 else each, {}, "there was no recovery"),
}


@pytest.mark.parametrize("edit", NETWORK)
def test_each_oracle_of_a_cut_network_fails_where_it_is_broken(struck, edit):
    how, change, evidence, words = NETWORK[edit]
    observation = edited(struck("chaos.cut_network", how=how), change, **evidence)
    found = list(tiny("chaos.cut_network", how=how).verify(observation))
    assert any(words in each for each in found), found


# ---- what is not ours, or lies ----


def test_a_service_that_was_there_before_us_is_not_harmed(host_probe, tmp_path):
    """Not even asked: nothing listens there."""
    kind = KINDS.load("service")
    found = kind(kind.Settings(url="http://127.0.0.1:1"), lab_in(tmp_path, host_probe.path))
    outcome, _ = seen(tiny("chaos.kill_daemon"), found)
    assert isinstance(outcome, Unsupported), outcome
    with pytest.raises(NotSupported, match="was there before us"):
        kill_daemon._daemon(type("Stranger", (), {"pid": None})())


@pytest.mark.parametrize("name", TINY)
def test_what_is_no_service_has_none_to_harm(host_probe, tmp_path, name):
    kind = KINDS.load("host")
    outcome, _ = seen(tiny(name), kind(kind.Settings(), lab_in(tmp_path, host_probe.path)))
    assert isinstance(outcome, Unsupported), outcome
    assert "is no service" in outcome.reason


FORGETFUL = """
import os, subprocess, sys
words, here = sys.argv[1:], os.path.dirname(os.path.abspath(__file__))
stray = subprocess.Popen([words[0], "wait", "3600000000000"], start_new_session=True)
open(os.path.join(here, "stray"), "w").write(str(stray.pid))
os.execv(sys.executable, [sys.executable, "-m", "benchproof.sandboxd", *words[1:]])
"""


def test_a_process_that_outlives_the_daemon_is_seen_and_ended_all_the_same(host_probe, tmp_path):
    """The parent that stays is what lets an orphan be seen: it is not ended with the daemon, but with the context."""
    script = tmp_path / "forgetful.py"
    script.write_text(FORGETFUL)
    words = (sys.executable, str(script), str(host_probe.path), "--listen", "127.0.0.1:0", "--ready-file", "{ready}")
    kind = KINDS.load("service")
    found = kind(
        kind.Settings(start=(*words, "--backend", "bwrap", "--state", "{state}")), lab_in(tmp_path, host_probe.path)
    )
    with found.serve_in(tmp_path) as running:
        running.await_ready(timeout_s=60)
        stray = Path(f"/proc/{(tmp_path / 'stray').read_text()}")
        parent = (stray / "stat").read_text().rpartition(")")[2].split()[1]
        os.kill(int(parent), 9)
        while (stray / "stat").read_text().rpartition(")")[2].split()[1] == parent:
            threading.Event().wait(0.01)
        assert stray.exists()
    assert not stray.exists()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("chaos.cut_network", {"cut": Duration(0)}),
        ("chaos.cut_network", {"cut": Duration(9), "timeout": Duration(9)}),
        ("chaos.kill_daemon", {"agents": 0}),
        ("chaos.kill_daemon", {"deadline": Duration(0)}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(name, parameters):
    with pytest.raises(ValueError, match="expected"):
        tiny(name, **parameters)
