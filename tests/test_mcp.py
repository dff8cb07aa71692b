"""The tools of the daemon over MCP, with the official SDK on both sides and real sockets between them."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import sys
import threading
from http.client import HTTPConnection

import pytest

pytest.importorskip("mcp")
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from benchproof.errors import NotSupported, TargetFailed
from benchproof.sandboxd import calls
from benchproof.sandboxd.tools import TOOLS, Toolbox
from benchproof.service import mcp_client
from tests.toolboxes import Rooms, Served, running, served

_RELAY = (
    "import sys; from functools import partial; import anyio; from benchproof.sandboxd.mcp_server import relay; "
    "from tests.toolboxes import Served; anyio.run(partial(relay, Served(sys.argv[1], headers={}), timeout_s=60))"
)


@pytest.fixture(scope="module")
def toolbox(host_probe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mcp")
    return Toolbox(Rooms(folder / "rooms", host_probe.path), folder / "state")


@pytest.fixture(scope="module")
def service(toolbox):
    with served(toolbox) as service:
        yield service


@pytest.fixture(scope="module")
def opened(service):
    with mcp_client.session(service) as session:
        yield session


@pytest.fixture
def sandbox():
    return f"s{secrets.token_hex(4)}"


def test_every_tool_is_listed_and_described(opened):
    assert opened.tools() == tuple(TOOLS)
    assert all((tool.arguments.__doc__ or "").endswith(".") for tool in TOOLS.values())


def test_a_command_sees_what_a_tool_wrote_and_the_other_way_round(opened, sandbox):
    word = secrets.token_hex(8)
    opened.call("write_file", {"sandbox": sandbox, "path": "deep/er", "content": word})
    done = opened.call("exec", {"sandbox": sandbox, "command": "cat deep/er"})
    assert (done.document["exit_status"], done.document["stdout"]) == (0, word)
    opened.call("exec", {"sandbox": sandbox, "argv": ["cp", "deep/er", "copy"]})
    assert opened.call("read_file", {"sandbox": sandbox, "path": "copy"}).document["content"] == word
    names = [each["name"] for each in opened.call("list_directory", {"sandbox": sandbox}).document["entries"]]
    assert names == ["copy", "deep"]


def test_text_and_structure_of_an_answer_are_the_same(opened, sandbox):
    found = opened.call("write_file", {"sandbox": sandbox, "path": "file", "content": "x"})
    assert json.loads(found.text) == found.document
    assert 0 < found.document["elapsed_ns"] <= found.elapsed_ns


def test_bytes_that_are_no_text_go_as_base64(opened, sandbox):
    content = base64.b64encode(bytes(range(256))).decode()
    opened.call("write_file", {"sandbox": sandbox, "path": "file", "content_base64": content})
    assert opened.call("read_file", {"sandbox": sandbox, "path": "file"}).document["content_base64"] == content
    done = opened.call("exec", {"sandbox": sandbox, "command": "cat file"})
    assert done.document["stdout_base64"] == content


def test_a_life_of_a_snapshot_through_the_tools(opened, toolbox, sandbox):
    def call(tool, **arguments):
        answer = opened.call(tool, {"sandbox": sandbox, **arguments})
        assert not answer.error
        return answer.document

    call("write_file", path="file", content="right")
    made = call("snapshot_create", name="first", system=True)
    assert toolbox._host.images == [f"{sandbox}-first"]
    assert made["stages_ns"].keys() == {"clone_ws", "clone_sys", "hash"}
    call("write_file", path="file", content="wrong")
    assert call("snapshot_changes", name="first")["modified"] == ["file"]
    call("snapshot_create", name="second")
    assert [each["changes"]["modified"] for each in call("snapshot_list")["snapshots"]] == [[], ["file"]]
    call("snapshot_revert", name="first", path="file")
    assert call("read_file", path="file")["content"] == "right"
    call("snapshot_compact", names=["first", "second"], into="merged")
    call("snapshot_delete", name="merged")
    assert call("snapshot_list")["snapshots"] == []


def test_deleting_a_snapshot_deletes_the_image_that_was_made_with_it(opened, toolbox, sandbox):
    opened.call("snapshot_create", {"sandbox": sandbox, "name": "s", "system": True})
    opened.call("snapshot_delete", {"sandbox": sandbox, "name": "s"})
    assert f"{sandbox}-s" not in toolbox._host.images


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("read_file", {"path": "../x"}, "leads out of the workspace"),
        ("read_file", {"path": "none"}, "No such file"),
        ("read_file", {}, "missing required field `path`"),
        ("read_file", {"path": "x", "color": "red"}, "unknown field `color`"),
        ("read_file", {"path": 1}, "Expected `str`"),
        ("read_file", {"sandbox": "../x", "path": "x"}, "sandbox: expected a name"),
        ("read_file", {"sandbox": 1, "path": "x"}, "sandbox: expected a name"),
        ("write_file", {"path": "x", "content": "a", "content_base64": "YQ=="}, "either content or"),
        ("write_file", {"path": "x", "content_base64": "?"}, "content:"),
        ("exec", {}, "either argv or command"),
        ("exec", {"command": "  "}, "expected a command"),
        ("exec", {"command": "true", "timeout_s": 0}, "timeout_s"),
        ("exec", {"command": "sleep 60", "timeout_s": 0.2}, "did not end within 0."),
        ("snapshot_delete", {"name": "none"}, "no snapshot 'none'"),
    ],
)
def test_what_is_refused_is_an_error_of_the_tool_in_one_line(opened, tool, arguments, words):
    found = opened.call(tool, arguments)
    assert words in found.error
    assert "\n" not in found.error
    assert found.document == {}


def test_what_is_no_tool_is_an_error_of_the_protocol(opened):
    with pytest.raises(TargetFailed, match=r"mcp: call of 'none'.*there is no tool 'none'; known: exec"):
        opened.call("none", {})


def test_every_call_is_a_row_with_its_outcome_and_its_stages(opened, toolbox, sandbox):
    opened.call("snapshot_create", {"sandbox": sandbox, "name": "s"})
    opened.call("snapshot_create", {"sandbox": sandbox, "name": "s"})
    question = f"SELECT outcome, stages_json, duration_ms > 0 FROM mcp_calls WHERE sandbox = '{sandbox}' ORDER BY id"  # noqa: S608
    _, (good, bad) = calls.ask(toolbox._state, question)
    assert (good[0], json.loads(good[1]).keys(), good[2]) == ("ok", {"clone_ws_ms", "hash_ms"}, 1)
    assert (bad[0], bad[1]) == ("refused", "{}")


def test_many_clients_at_once_get_their_own_answers(service):
    wrong = []

    def work(name):
        with mcp_client.session(service) as session:
            for _ in range(5):
                word = secrets.token_hex(8)
                session.call("write_file", {"sandbox": name, "path": "file", "content": word})
                if session.call("read_file", {"sandbox": name, "path": "file"}).document.get("content") != word:
                    wrong.append(name)

    threads = [threading.Thread(target=work, args=(f"many{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_same_tools_answer_on_standard_streams(service, sandbox):
    class Relayed(Served):
        def __init__(self):
            super().__init__(service.url, headers={})
            self.stdio = (sys.executable, "-c", _RELAY, service.url)

    with mcp_client.session(Relayed(), transport="stdio") as session:
        assert session.tools() == tuple(TOOLS)
        session.call("write_file", {"sandbox": sandbox, "path": "file", "content": "x"})
        assert session.call("read_file", {"sandbox": sandbox, "path": "file"}).document["content"] == "x"
        assert "leads out" in session.call("read_file", {"sandbox": sandbox, "path": "../x"}).error


def test_a_request_that_names_another_host_is_refused(service):
    connection = HTTPConnection("127.0.0.1", int(service.url.rpartition(":")[2]), timeout=10)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    headers = {"Host": "evil.example", "Content-Type": "application/json", "Accept": "application/json"}
    connection.request("POST", "/mcp", body, headers)
    assert connection.getresponse().status == 421
    connection.close()


def test_a_body_that_is_too_large_is_refused_and_the_server_goes_on(opened, sandbox):
    with pytest.raises(TargetFailed, match="mcp: call of 'write_file'"):
        opened.call("write_file", {"sandbox": sandbox, "path": "file", "content": "x" * (9 << 20)})
    assert opened.call("list_directory", {"sandbox": sandbox}).document["entries"] == []


def test_the_token_is_sent_and_a_wrong_one_ends_at_the_opening(host_probe, tmp_path):
    word = secrets.token_hex(8)
    with served(Toolbox(Rooms(tmp_path / "rooms", host_probe.path), tmp_path / "state"), token=word) as service:
        with mcp_client.session(service) as session:
            assert session.tools() == tuple(TOOLS)
        service.headers = {"authorization": f"Bearer {word}x"}
        with pytest.raises(TargetFailed, match="mcp: opening of a session"), mcp_client.session(service):
            pass


@pytest.mark.parametrize("kind", ["html", "endless", "nothing"])
def test_what_is_no_mcp_is_told_in_one_line(kind, monkeypatch):
    monkeypatch.setattr(mcp_client, "ANSWER_BYTES", 1 << 20)

    async def endless():
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    async def answer(_):
        if kind == "endless":
            return StreamingResponse(endless(), media_type="application/json")
        return PlainTextResponse("<html>welcome</html>" if kind == "html" else "", media_type="text/html")

    with (
        running(Starlette(routes=[Route("/mcp", answer, methods=["GET", "POST", "DELETE"])])) as port,
        pytest.raises(TargetFailed, match="mcp: opening of a session") as caught,
        mcp_client.session(Served(f"http://127.0.0.1:{port}", headers={}), timeout_s=5),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_nobody_listening_is_told_in_one_line():
    with (
        pytest.raises(TargetFailed, match="mcp: opening of a session: ConnectError"),
        mcp_client.session(Served("http://127.0.0.1:9", headers={}), timeout_s=5),
    ):
        pass


def test_a_service_without_mcp_is_unsupported(service):
    bare = Served(service.url, headers={})
    bare.mcp = ""
    with pytest.raises(NotSupported, match="has no MCP over http"), mcp_client.session(bare):
        pass


def test_a_tool_that_takes_too_long_is_ended_by_the_client(service):
    with (  # the server is busy for longer than a session may take to close: what is told is the first that went wrong
        pytest.raises(TargetFailed, match="mcp: call of 'exec'"),
        mcp_client.session(service, timeout_s=0.5) as session,
    ):
        session.call("exec", {"command": "sleep 3"})


def test_an_answer_of_a_stranger_is_read_from_its_text_where_it_has_no_structure():
    from mcp_types import CallToolResult, TextContent  # noqa: PLC0415

    def told(text, *, is_error=False):
        content = [TextContent(type="text", text=text)]
        return mcp_client.answer(CallToolResult(content=content, is_error=is_error), elapsed_ns=5)

    assert told('{"name": "x"}').document == {"name": "x"}
    assert told("[1]").document == {}
    assert told("plain") == mcp_client.Answer({}, "plain", "", 5)
    assert told("broken", is_error=True).error == "broken"
    assert told("", is_error=True).error == "an error without a word"
