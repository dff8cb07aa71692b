"""The tools of a real daemon: over HTTP, over standard streams, and what was kept of their calls."""

from __future__ import annotations

import contextlib
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("mcp")
from benchproof.benchmarks import BENCHMARKS
from benchproof.benchmarks.guest.within import Within
from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Completed
from benchproof.sandboxd.__main__ import sandboxd
from benchproof.service import mcp_client
from conftest import why_unusable
from daemons import daemon
from test_snapshot_benchmarks import NAMES, ServedRooms
from tests.toolboxes import Served

if reason := why_unusable("bwrap"):
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "plan.toml").write_text('[targets.box]\nkind = "bwrap"\nnetwork = "host"\n')  # reaches the daemon
    with daemon(folder, "--plan", str(folder / "plan.toml"), "--state", str(folder / "state")) as started:
        assert not holds_mcp(started)  # nobody has asked for it yet
        yield started


def holds_mcp(running) -> bool:
    """Its models are of a library that only it needs."""
    return "pydantic_core" in Path(f"/proc/{running.process.pid}/maps").read_text()


@pytest.fixture(scope="module")
def session(running):
    with mcp_client.session(Served(running.url, headers={})) as opened:
        yield opened


def calls(running, *words):
    """The verb, in this process: it starts nothing."""
    state = str(running.folder / "state")
    return CliRunner().invoke(sandboxd, ["calls", "--state", state, *words], standalone_mode=False)


def rows(running, *words):
    done = calls(running, *words)
    assert done.exception is None
    return done.stdout.splitlines()


@pytest.fixture
def sandbox(running):
    name = f"s-{secrets.token_hex(4)}"
    running.provision(name=name)
    yield name
    running.delete(name)


def test_a_daemon_holds_what_mcp_needs_from_the_first_session_on(running, session):
    assert session.call("list_directory", {}).error == ""
    assert holds_mcp(running)


def test_a_tool_and_a_command_of_the_http_interface_see_the_same_files(running, session, sandbox):
    word = secrets.token_hex(8)
    session.call("write_file", {"sandbox": sandbox, "path": "folder/file", "content": word})
    done = session.call("exec", {"sandbox": sandbox, "argv": ["/work/probe", "cat", "/work/folder/file"]}).document
    assert (done["exit_status"], done["stdout"]) == (0, word)
    assert running.get(sandbox, "folder/file").content == word.encode()


def test_the_default_sandbox_is_there_when_it_is_first_named(session):
    assert session.call("list_directory", {}).document["entries"] == []
    assert session.call("exec", {"argv": ["/work/probe", "exit", "3"]}).document["exit_status"] == 3


def test_a_sandbox_that_nobody_started_is_refused(session):
    assert session.call("list_directory", {"sandbox": "nobody"}).error == "no sandbox is called 'nobody'"


def test_the_probe_of_the_daemon_is_in_no_snapshot(session, sandbox):
    assert session.call("snapshot_create", {"sandbox": sandbox, "name": "s"}).document["files"] == 0


def test_what_cannot_be_frozen_says_so_and_leaves_no_snapshot(session, sandbox):
    found = session.call("snapshot_create", {"sandbox": sandbox, "name": "s", "system": True})
    assert "cannot be frozen" in found.error
    assert session.call("snapshot_list", {"sandbox": sandbox}).document["snapshots"] == []


def test_a_sandbox_that_is_deleted_takes_its_snapshots_with_it(running, session, sandbox):
    session.call("snapshot_create", {"sandbox": sandbox, "name": "s"})
    kept = running.folder / "state" / "snapshots" / sandbox
    assert kept.is_dir()
    assert running.delete(sandbox).status == 200
    assert not kept.exists()
    running.provision(name=sandbox)
    assert session.call("snapshot_list", {"sandbox": sandbox}).document["snapshots"] == []


class Guest:
    """A sandbox of the daemon, over its HTTP interface."""

    clock = "target"

    def __init__(self, running, made):
        self._running = running
        self.name, self.probe, self.cat = made["name"], made["probe"], made["cat"]

    def run(self, argv, *, stdin=b"", timeout_s):
        done = self._running.exec(self.name, argv, stdin=stdin.decode(), timeout_s=timeout_s).json
        return Completed(
            exit_status=done["exit_status"],
            stdout=done["stdout"].encode(),
            stderr=done["stderr"].encode(),
            elapsed_ns=done["elapsed_ns"],
        )


class Target(ServedRooms):
    def __init__(self, running):
        super().__init__(Served(running.url, headers={}))
        self._running = running

    @contextlib.contextmanager
    def start(self):
        name = f"s-{secrets.token_hex(6)}"
        yield Guest(self._running, self._running.provision(name=name))
        assert self._running.delete(name).status == 200


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("caller", ["host", "guest"])
def test_every_benchmark_of_snapshots_holds_on_the_daemon(name, caller, running):
    benchmark = BENCHMARKS.load(name)(samples=1, warmups=1, files=5, size=50, caller=caller)
    observation = benchmark.run(Target(running))
    assert list(benchmark.verify(observation)) == []
    latency = observation.measurements[0]
    assert (latency.metric, latency.clock) == (f"{name}.latency", "host" if caller == "host" else "target")


@pytest.mark.parametrize("name", ["agent.tool_call", "agent.throughput"])
def test_each_invocation_of_an_agent_has_a_sandbox_of_its_own_and_leaves_none(name, running):
    asked = "SELECT DISTINCT sandbox FROM mcp_calls WHERE tool_name = 'list_directory'"
    before = rows(running, "--sql", asked)
    for _ in range(2):
        benchmark = BENCHMARKS.load(name)(tool="list_directory", samples=2, warmups=1)
        assert list(benchmark.verify(benchmark.run(Target(running)))) == []
    found = set(rows(running, "--sql", asked)) - set(before)
    assert len(found) == 2
    assert "default" not in found
    assert found.isdisjoint(running.names())


def test_a_guest_that_does_not_reach_the_daemon_is_unsupported(running):
    benchmark = BENCHMARKS.load("snapshot.list")(samples=1, files=5, size=50, caller="guest", gateway="127.0.0.99")
    with pytest.raises(NotSupported, match=r"does not reach the service: .*refused"):
        benchmark.run(Target(running))


def test_a_call_from_within_gvisor_reaches_the_daemon_which_starts_what_it_cannot_freeze_from_nothing(tmp_path):
    if reason := why_unusable("gvisor"):
        pytest.skip(reason)
    (tmp_path / "plan.toml").write_text('[targets.box]\nkind = "gvisor"\nnetwork = "host"\n')
    with daemon(tmp_path, "--plan", str(tmp_path / "plan.toml")) as started:
        benchmark = BENCHMARKS.load("snapshot.create")(samples=1, files=5, size=50, caller="guest")
        assert list(benchmark.verify(benchmark.run(Target(started)))) == []
        assert started.provision(name="cold")["from"] == "cold"
        assert started.ask("POST", "/fork/cold", {}).status == 501
        assert "no snapshot, each sandbox starts from nothing: runsc checkpoint" in started.log()


@pytest.mark.parametrize("name", ["snapshot.create", "snapshot.changes", "snapshot.revert"])
def test_a_guest_that_waits_for_what_the_daemon_does_in_it_is_answered(name, guests):
    """Its files are inside alone: the daemon gets at them beside the command that calls."""
    benchmark = BENCHMARKS.load(name)(samples=1, files=5, size=50, caller="guest", gateway="10.0.2.2")
    assert list(benchmark.verify(benchmark.run(Target(guests)))) == []


@pytest.fixture(scope="module")
def guests(tmp_path_factory):
    if reason := why_unusable("qemu"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("guests")
    (folder / "plan.toml").write_text('[targets.guest]\nkind = "qemu"\naccel = "tcg"\nnetwork = "host"\n')
    with daemon(folder, "--plan", str(folder / "plan.toml"), "--state", str(folder / "state")) as started:
        yield started


def test_what_a_tool_refuses_is_told_from_within_too(running, sandbox):
    service = Served(running.url, headers={})
    guest = Guest(running, {"name": sandbox, "probe": "/work/probe", "cat": []})
    within = Within(guest, service, gateway="127.0.0.1", timeout_s=30)
    assert "leads out" in within.call("read_file", {"sandbox": sandbox, "path": "../x"}).error
    with pytest.raises(TargetFailed, match="there is no tool 'none'"):
        within.call("none", {})
    service.mcp = f"{running.url}/nowhere"
    lost = Within(guest, service, gateway="127.0.0.1", timeout_s=30)
    with pytest.raises(TargetFailed, match="opening of a session of 'exec': status 404"):
        lost.call("exec", {})


def test_the_verb_mcp_speaks_the_same_tools_on_standard_streams(running, session, sandbox):
    with mcp_client.session(Served(running.url, headers={}), transport="stdio") as other:
        assert other.tools() == session.tools()
        other.call("write_file", {"sandbox": sandbox, "path": "file", "content": "x"})
    assert session.call("read_file", {"sandbox": sandbox, "path": "file"}).document["content"] == "x"


def test_the_verb_mcp_says_in_one_line_that_nobody_is_there():
    command = [sys.executable, "-m", "benchproof.sandboxd", "mcp", "--url", "http://127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (1, 1, "") or done.returncode == 3
    assert "relay to 'http://127.0.0.1:9'" in done.stderr


def test_calls_are_shown_as_averages_and_asked_in_sql(running, session, sandbox):
    session.call("snapshot_create", {"sandbox": sandbox, "name": "s"})
    assert any(re.search(r"^snapshot_create +\d+ +\d+ +\d", line) for line in rows(running))
    question = (
        "SELECT tool_name, duration_ms FROM mcp_calls WHERE tool_name LIKE 'snapshot%' "
        "ORDER BY duration_ms DESC LIMIT 20"
    )
    head, *found = rows(running, "--sql", question)
    assert head.split() == ["tool_name", "duration_ms"]
    assert all(row.startswith("snapshot_") for row in found)
    assert calls(running, "--sql", "DROP TABLE mcp_calls").exception.exit_status == 2


def test_the_log_of_the_daemon_has_the_times_of_the_stages(running, session, sandbox):
    session.call("snapshot_create", {"sandbox": sandbox, "name": "s"})
    log = running.log()
    assert re.search(
        rf"snapshot_into_slot timing clone_ws_ms=\S+ clone_sys_ms=none hash_ms=\S+ sandbox={sandbox} ", log
    )


def test_mcp_asks_for_the_token_as_everything_does(tmp_path):
    word = secrets.token_hex(16)
    (tmp_path / "token").write_text(word)
    (tmp_path / "token").chmod(0o600)
    with daemon(tmp_path, "--backend", "bwrap", "--token-file", str(tmp_path / "token"), token=word) as started:
        service = Served(started.url, headers={"authorization": f"Bearer {word}"}, token_file=str(tmp_path / "token"))
        for transport in ("http", "stdio"):
            with mcp_client.session(service, transport=transport) as opened:
                assert "exec" in opened.tools()
        started.headers = {}
        assert started.ask("POST", "/mcp", {}).error[:2] == (401, "authorize")


def test_a_guest_that_shares_no_folder_has_the_same_tools(tmp_path):
    if reason := why_unusable("qemu"):
        pytest.skip(reason)
    with daemon(tmp_path, "--backend", "qemu", "--state", str(tmp_path / "state")) as started:
        started.provision(name="guest")
        with mcp_client.session(Served(started.url, headers={})) as opened:

            def call(tool, **arguments):
                found = opened.call(tool, {"sandbox": "guest", **arguments})
                assert not found.error, found.error
                return found.document

            word, other = secrets.token_hex(8), secrets.token_hex(8)
            written = call("write_file", path="deep/file", content=word)
            inside = started.ask("GET", "/sandboxes/guest").json["workspace"]
            done = call("exec", argv=["/init", "cat", f"{inside}/deep/file"])
            assert (done["stdout"], written["size_bytes"]) == (word, 16)
            made = call("snapshot_create", name="s")
            assert (made["files"], "sync" in made["stages_ns"]) == (1, True)
            call("exec", argv=["/init", "save", f"{inside}/deep/file"], stdin=other)
            assert call("read_file", path="deep/file")["content"] == other
            assert call("snapshot_changes", name="s")["modified"] == ["deep/file"]
            call("snapshot_revert", name="s", path="deep/file")
            assert call("exec", argv=["/init", "cat", f"{inside}/deep/file"])["stdout"] == word
            call("snapshot_delete", name="s")
        started.delete("guest")
        assert not list((tmp_path / "state" / "snapshots").iterdir())
