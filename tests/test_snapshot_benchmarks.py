"""The benchmarks of snapshots against a real MCP server, and against servers that lie."""

from __future__ import annotations

import contextlib
import secrets
from types import SimpleNamespace

import msgspec
import pytest

pytest.importorskip("mcp")
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.guest.snapshotted import Snapshotted
from benchproof.errors import NotSupported, TargetFailed
from benchproof.sandboxd.tools import Reply, Toolbox
from benchproof.suites import benchmarks_of
from tests.toolboxes import Lying, Rooms, served

NAMES = tuple(name for name in SUITES["guest"] if name.startswith("snapshot."))
_HONEST = {"create", "list", "changes", "revert", "delete", "compact"}


class _Named:
    def __init__(self, name):
        self.name = name


class ServedRooms:
    """A target whose sandboxes are those of an MCP server that runs already."""

    def __init__(self, service):
        self._service = service

    def serve(self):
        raise NotSupported("it runs already")

    def service(self):
        return self._service

    def facts(self):
        return {}

    @contextlib.contextmanager
    def start(self):
        yield _Named(f"s{secrets.token_hex(6)}")


@pytest.fixture(scope="module")
def lies():
    """Which lie is told now: the tests change it."""
    return {}


@pytest.fixture(scope="module")
def target(host_probe, tmp_path_factory, lies):
    folder = tmp_path_factory.mktemp("snapshots")

    def lie(tool, arguments, reply):
        return lies[tool](arguments, reply) if tool in lies else reply

    toolbox = Lying(Rooms(folder / "rooms", host_probe.path), folder / "state", lie=lie)
    with served(toolbox) as service:
        yield ServedRooms(service)


@pytest.fixture(autouse=True)
def honest_again(lies):
    lies.clear()
    yield
    lies.clear()


def small(name):
    return BENCHMARKS.load(name)(samples=1, warmups=1, files=5, size=50)


def violations(name, target):
    benchmark = small(name)
    return list(benchmark.verify(benchmark.run(target)))


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_server_passes_and_each_call_is_a_sample(name, target):
    benchmark = small(name)
    observation = benchmark.run(target)
    assert list(benchmark.verify(observation)) == []
    latency = observation.measurements[0]
    assert (latency.metric, len(latency.samples), len(latency.warmups)) == (f"{name}.latency", 1, 1)
    assert {each.clock for each in observation.measurements} == {"host"}


def test_the_stages_of_a_call_are_metrics_of_their_own(target):
    metrics = {each.metric for each in small("snapshot.create").run(target).measurements}
    assert metrics == {"snapshot.create.latency", "snapshot.create.clone_ws", "snapshot.create.hash"}
    assert small("snapshot.create").run(target).evidence["clone"] in {"reflink", "copy"}


def test_all_there_are_answer_to_the_names_of_the_issue():
    assert {name.removeprefix("snapshot.") for name in NAMES} == _HONEST


def test_the_suite_asks_for_three_sizes_of_a_workspace():
    found = benchmarks_of({"guest": {"benchmarks": ["guest"]}}, "here")
    sizes = {name: [] for name in NAMES}
    for each in found:
        if each.definition.name in sizes:
            assert isinstance(each, Snapshotted)
            sizes[each.definition.name].append(each.files)
    assert sizes == {name: [10, 100, 500] for name in NAMES}


def changed(**fields):
    return lambda _, reply: Reply(reply.document | fields, reply.error)


def without_a_path(_, reply):
    return Reply(reply.document | {"modified": reply.document["modified"][1:]})


def with_a_path_too_many(_, reply):
    return Reply(reply.document | {"added": [*reply.document["added"], "never/was"]})


def wrong_diff_in_the_list(_, reply):
    *rest, last = reply.document["snapshots"]
    return Reply({"snapshots": [*rest, last | {"changes": last["changes"] | {"modified": []}}]})


def one_snapshot_missing(_, reply):
    return Reply({"snapshots": reply.document["snapshots"][:-1]})


def too_long_stages(_, reply):
    return Reply(reply.document | {"stages_ns": {"clone_ws": 10**12}})


def stale_content(_, reply):
    return Reply(reply.document | {"content": "stale"})


@pytest.mark.parametrize(
    ("name", "tool", "lie", "words"),
    [
        ("snapshot.create", "snapshot_create", changed(files=9), "files in the snapshot: expected 6, found 9"),
        ("snapshot.create", "snapshot_create", changed(store="/nowhere/at/all"), "its folder on disk is missing"),
        ("snapshot.create", "snapshot_create", too_long_stages, "the whole call only"),
        ("snapshot.create", "snapshot_list", one_snapshot_missing, "it is listed: expected"),
        ("snapshot.create", "snapshot_changes", with_a_path_too_many, "changes since"),
        ("snapshot.create", "read_file", stale_content, "content of"),
        ("snapshot.list", "snapshot_list", wrong_diff_in_the_list, "snapshots and what changed"),
        ("snapshot.list", "snapshot_list", one_snapshot_missing, "snapshots and what changed"),
        ("snapshot.list", "snapshot_list", changed(snapshots="none"), "snapshots and what changed"),
        ("snapshot.changes", "snapshot_changes", without_a_path, "changes since"),
        ("snapshot.changes", "snapshot_changes", with_a_path_too_many, "changes since"),
        ("snapshot.changes", "snapshot_changes", changed(deleted=[]), "changes since"),
        ("snapshot.revert", "read_file", stale_content, "content of"),
        ("snapshot.delete", "snapshot_create", changed(store="/"), "its folder is still on disk"),
        ("snapshot.delete", "snapshot_changes", lambda *_: Reply({}), "a question about what is gone is refused"),
    ],
)
def test_a_server_that_says_what_is_not_so_fails(name, tool, lie, words, target, lies):
    lies[tool] = lie
    found = violations(name, target)
    assert any(words in each for each in found), found


@pytest.mark.parametrize(
    ("name", "tool", "words"),
    [
        ("snapshot.revert", "snapshot_revert", "content of"),
        ("snapshot.delete", "snapshot_delete", "it is listed no more"),
        ("snapshot.create", "snapshot_revert", "content of"),
    ],
)
def test_a_server_that_answers_without_doing_it_fails(name, tool, words, target, lies, monkeypatch):
    doing = Toolbox.call

    def idle(self, asked, arguments):
        if asked == tool:
            return Reply({"name": arguments.get("name"), "gone": True, "action": "restored", "stages_ns": {}})
        return doing(self, asked, arguments)

    monkeypatch.setattr(Toolbox, "call", idle)
    found = violations(name, target)
    assert any(words in each for each in found), found


def test_a_server_that_merges_nothing_fails(target, monkeypatch):
    doing = Toolbox.call

    def idle(self, asked, arguments):
        return Reply({"files": 6}) if asked == "snapshot_compact" else doing(self, asked, arguments)

    monkeypatch.setattr(Toolbox, "call", idle)
    with pytest.raises(TargetFailed, match="no snapshot 'merged-"):
        small("snapshot.compact").run(target)


@pytest.mark.parametrize("name", NAMES)
def test_an_error_where_an_answer_is_due_fails_and_names_the_call(name, target, lies):
    tool = name.replace(".", "_")
    lies[tool] = lambda _, reply: Reply({}, "the disk is on fire")
    with pytest.raises(TargetFailed, match=f"mcp: call of '{tool}': the disk is on fire"):
        small(name).run(target)


def test_a_sandbox_that_is_not_fresh_fails(target, lies):
    lies["list_directory"] = changed(entries=[{"name": "left over"}])
    with pytest.raises(TargetFailed, match=r"not empty.*left over"):
        small("snapshot.create").run(target)


def test_evidence_of_fewer_checks_than_calls_fails(target):
    benchmark = small("snapshot.list")
    observation = benchmark.run(target)
    few = msgspec.structs.replace(observation, evidence=observation.evidence | {"checks": "1"})
    assert list(benchmark.verify(few)) == ["expected a check of every call, 2 or more, found 1"]
    nothing = msgspec.structs.replace(observation, evidence={})
    assert len(list(benchmark.verify(nothing))) >= 3


def test_a_target_without_a_service_is_unsupported(target):
    with pytest.raises(NotSupported, match="no sandbox service behind"):
        small("snapshot.create").run(object())
    nameless = ServedRooms(target.service())
    nameless.start = contextlib.nullcontext
    with pytest.raises(NotSupported, match="which sandbox is meant; `mcp_sandbox` in its description"):
        small("snapshot.create").run(nameless)


@pytest.mark.parametrize("given", [{"files": 4}, {"files": 10_001}, {"size": 0}, {"size": 2 << 20}, {"samples": 1001}])
def test_parameters_are_bounded(given):
    with pytest.raises(ValueError, match="expected"):
        BENCHMARKS.load("snapshot.create")(**given)


def test_a_service_cannot_name_a_stage_as_what_is_timed_here_or_as_it_likes(target, lies):
    stated = {"latency": 1, "two words": 2, "yes": True, "hash": 3}
    lies["snapshot_create"] = lambda _, reply: Reply(reply.document | {"stages_ns": stated})
    found = small("snapshot.create").run(target)
    assert [each.metric for each in found.measurements] == ["snapshot.create.latency", "snapshot.create.hash"]


def test_a_token_is_not_handed_into_a_sandbox():
    guarded = ServedRooms(SimpleNamespace(headers={"authorization": "Bearer secret"}))
    with pytest.raises(NotSupported, match="asks for a token") as refused:
        msgspec.structs.replace(small("snapshot.list"), caller="guest").run(guarded)
    assert "secret" not in str(refused.value)
