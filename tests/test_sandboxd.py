"""The daemon as its clients see it: a process of its own on bubblewrap, over HTTP."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchproof.errors import NotSupported, UsageError
from benchproof.model import Completed
from benchproof.sandboxd import api, shell
from benchproof.sandboxd.daemon import checked
from conftest import why_unusable
from daemons import Daemon, daemon, launch

PROBE = "/work/probe"
TOKEN = "0123456789abcdef-a-token"  # noqa: S105 - of the tests
MOST, BODY_BYTES = 6, 64 << 10
OPERATIONS = {operation.id: operation for operation in api.OPERATIONS}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    options = ["--backend", "bwrap", "--max-sandboxes", str(MOST), "--max-provisions", "2", "--max-waiting", "3"]
    options += ["--max-body", str(BODY_BYTES), "--max-output", "100000", "--max-exec", "20"]
    with daemon(tmp_path_factory.mktemp("sandboxd"), *options) as one:
        yield one
    assert one.left() == []


@pytest.fixture
def box(served: Daemon):
    """A sandbox of its own for each test."""
    name = served.provision()["name"]
    yield name
    served.delete(name)


def folder_of(served: Daemon, name: str) -> Path:
    return Path(served.ask("GET", f"/sandboxes/{name}").json["files"][0])


# ---- a life ----


def test_a_sandbox_serves_when_its_provision_answers_and_is_gone_when_its_deletion_does(served: Daemon):
    made = served.provision(name="whole-life")
    folder = folder_of(served, "whole-life")
    assert (made["name"], made["from"], made["workspace"]) == ("whole-life", "cold", "/work")
    assert folder.is_dir()
    done = served.exec("whole-life", made["cat"], stdin="word").json
    assert (done["exit_status"], done["stdout"], done["stderr"]) == (0, "word", "")
    ended = served.delete("whole-life")
    assert (ended.status, ended.json["gone"]) == (200, True)
    assert not folder.exists()
    assert served.exec("whole-life", made["cat"]).error[:2] == (404, "exec")
    assert served.delete("whole-life").status == 404


def test_the_stages_of_an_answer_add_up_to_its_total(served: Daemon, box: str):
    made, done = served.provision(), served.exec(box, [PROBE, "exit", "0"]).json
    served.delete(made["name"])
    for stages in (made["stages_ns"], done["stages_ns"]):
        total = stages.pop("total")
        assert sum(stages.values()) == total
        assert min(stages.values()) >= 0
    assert done["stages_ns"]["run"] >= done["elapsed_ns"]


def test_bytes_that_are_no_text_go_in_and_come_out_exactly(served: Daemon, box: str):
    content = bytes(range(256)) * 40
    done = served.exec(box, [PROBE, "cat"], stdin_base64=base64.b64encode(content).decode()).json
    assert base64.b64decode(done["stdout_base64"]) == content
    assert "stdout" not in done


@pytest.mark.parametrize(("argv", "status"), [(["exit", "42"], 42), (["crash"], 139)])
def test_how_a_command_ended_is_data(served: Daemon, box: str, argv, status):
    done = served.exec(box, [PROBE, *argv])
    assert (done.status, done.json["exit_status"]) == (200, status)


def test_a_command_that_is_text_is_a_line_for_the_shell_of_the_sandbox(served: Daemon, box: str):
    served.put(box, "a b", b"one file")
    line = f"{PROBE} cat 'a b' | wc -c; echo $((6*7)); exit 3"
    done = served.ask("POST", f"/exec/{box}", {"command": line}).json
    assert (done["exit_status"], done["stdout"].split(), done["stderr"]) == (3, ["8", "42"], "")


@pytest.mark.parametrize(("name", "why"), [("nowhere", "No such file or directory"), ("/work", "Permission denied")])
def test_a_program_that_is_not_there_is_told_apart_from_one_that_failed(served: Daemon, box: str, name, why):
    done = served.exec(box, [name, "word"]).json
    assert (done["exit_status"], done["stderr"]) == (127, f"probe: cannot execute '{name}': {why}\n")
    lied = served.ask("POST", f"/exec/{box}", {"command": "echo bwrap: execvp it: No such file >&2; exit 1"}).json
    assert (lied["exit_status"], lied["stderr"]) == (1, "bwrap: execvp it: No such file\n")


def test_a_line_for_a_shell_where_there_is_none_is_refused_with_the_way_out():
    words = shell.words("id; uname -r")
    ended = Completed(
        exit_status=127, stdout=b"", stderr=b"probe: cannot execute '/bin/sh': No such file", elapsed_ns=1
    )
    assert words == ["/bin/sh", "-c", "id; uname -r"]
    with pytest.raises(NotSupported, match=r"expected a sandbox with /bin/sh, found none.*send argv"):
        shell.refuse_without(ended)
    for said in (
        b"sh: 1: nope: not found",
        b"cannot execute '/bin/sh'",
    ):  # the shell itself, or what ran in it, said so
        shell.refuse_without(msgspec.structs.replace(ended, stderr=said))


def test_commands_in_one_sandbox_come_one_after_another_and_in_two_they_do_not_wait(served: Daemon, box: str):
    other = served.provision()["name"]
    words = [f"word-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as clients:
        ask = lambda pair: served.ask(  # noqa: E731
            "POST", f"/exec/{pair[0]}", {"argv": [PROBE, "cat"], "stdin": pair[1]}, fresh=True
        )
        answers = list(clients.map(ask, [(name, word) for word in words[:4] for name in (box, other)]))
    assert [each.json["stdout"] for each in answers] == [word for word in words[:4] for _ in range(2)]
    served.delete(other)


# ---- what is refused ----


def test_a_command_that_does_not_end_is_ended_and_its_sandbox_proven_usable(served: Daemon, box: str):
    status, step, words = served.exec(box, [PROBE, "hang"], timeout_s=0.3).error
    assert (status, step) == (504, "exec")
    assert "did not end within" in words
    assert "the sandbox is usable" in words
    assert served.exec(box, [PROBE, "cat"], stdin="still here").json["stdout"] == "still here"
    assert not [line for line in served.left() if "hang" in line]


def test_a_command_that_prints_too_much_is_refused_and_its_sandbox_usable(served: Daemon, box: str):
    assert served.exec(box, [PROBE, "flood", "100001"]).error[:2] == (422, "exec")
    assert served.exec(box, [PROBE, "flood", str(40 << 20)]).error[:2] == (422, "exec")
    assert len(served.exec(box, [PROBE, "flood", "100000"]).json["stdout"]) == 100_000


def test_a_command_that_runs_does_not_hold_up_the_end_of_its_sandbox(served: Daemon):
    name = served.provision()["name"]
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(
            served.ask, "POST", f"/exec/{name}", {"argv": [PROBE, "hang"], "timeout_s": 20}, fresh=True
        )
        until_s = time.monotonic() + 10
        while not [line for line in served.left() if f"{PROBE} hang" in line] and time.monotonic() < until_s:
            time.sleep(0.01)
        assert served.delete(name).status == 200
        assert answer.result().error[:2] == (410, "exec")
    assert not [line for line in served.left() if "hang" in line]


@pytest.mark.parametrize("name", ["", "A", "-a", "a_b", "a" * 64, "../a", "a\n", "ä"])
def test_a_name_that_is_none_is_refused(served: Daemon, name: str):
    assert served.ask("POST", "/provision", {"name": name}).error[:2] == (400, "provision")


def test_a_name_that_is_taken_is_refused(served: Daemon, box: str):
    assert served.ask("POST", "/provision", {"name": box}).error[0] == 409


def test_more_sandboxes_than_are_allowed_are_refused_until_one_is_deleted(served: Daemon):
    names = [served.provision()["name"] for _ in range(MOST - len(served.names()))]
    answer = served.ask("POST", "/provision", {})
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    served.delete(names.pop())
    names.append(served.provision()["name"])
    for name in names:
        served.delete(name)


def test_what_the_backend_cannot_do_is_said(served: Daemon, box: str):
    assert served.ask("POST", f"/fork/{box}").error[:2] == (501, "fork")
    assert served.ask("POST", "/provision", {"from": "snapshot"}).error[:2] == (501, "provision")
    assert served.ask("POST", "/provision", {"from": "pool"}).error[:2] == (503, "take")
    assert served.ask("POST", "/provision", {"image": "none-such"}).error[:2] == (404, "provision")
    assert served.ask("DELETE", "/images/none-such").error[0] == 404
    assert served.ask("GET", "/images").json == {"images": []}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_and_the_connection_closed(served: Daemon, chunked):
    content: Any = iter([b"x" * 1000] * 100) if chunked else b"x" * (BODY_BYTES + 1)
    connection = served.connection()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may stop reading before we stop writing
        connection.request("POST", "/provision", content)
    response = connection.getresponse()
    assert (response.status, response.headers["connection"]) == (413, "close")
    connection.close()
    assert served.ask("GET", "/health", fresh=True).status == 200


def test_a_path_that_leads_out_of_the_workspace_is_refused(served: Daemon, box: str):
    for path in ("../x", "/work/../etc/passwd", "a/../../b"):
        assert served.get(box, path).error[0] == 400
        assert served.put(box, path, b"x").error[0] == 400
    for path in ("/etc/passwd", "/work", "/worker/x", "/"):
        assert served.get(box, path).error[0] == 403
        assert served.put(box, path, b"x").error[0] == 403
    assert served.get(box, "").error[0] == 400
    assert served.get(box, "x" * 2000).error[0] == 400


def test_links_and_pipes_of_a_sandbox_lead_nowhere(served: Daemon, box: str, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    folder = folder_of(served, box)
    (folder / "link").symlink_to(secret)
    (folder / "way").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    for path in ("link", "way/secret", "pipe"):
        assert served.get(box, path).error[0] == 403, path
    assert served.put(box, "way/secret", b"changed").error[0] == 403
    assert served.put(box, "link", b"in its place").status == 201
    assert (served.get(box, "link").content, secret.read_text()) == (b"in its place", "of the host")


def test_a_file_goes_in_and_out_with_its_mode(served: Daemon, box: str):
    content = os.urandom(20_000)
    written = served.put(box, "/work/file", content, mode="640")
    assert (written.status, written.json) == (201, {"path": "/work/file", "size_bytes": 20_000})
    assert served.get(box, "file").content == content
    assert (folder_of(served, box) / "file").stat().st_mode & 0o777 == 0o640
    assert served.exec(box, [PROBE, "cat", "/work/file"]).json["stdout_base64"] == base64.b64encode(content).decode()
    assert served.get(box, "none").error[0] == 404
    assert served.put(box, "none/file", b"").error[0] == 404
    for mode in ("9", "1777", "77", "abc", "-12"):
        assert served.put(box, "file", b"", mode=mode).error[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
def test_a_web_page_of_another_origin_is_refused(served: Daemon, headers, status):
    assert served.ask("GET", "/health", fresh=True, **headers).status == status


def test_what_is_no_http_is_answered_as_json(served: Daemon):
    address = urlsplit(served.url)
    for noise in (b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"GET /" + b"a" * 100_000):
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            connection.sendall(noise)
            answer = received(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["step"] == "read"


def received(connection: socket.socket) -> bytes:
    content = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(1 << 16):
            content += chunk
    return content


# ---- the description is true ----


def test_every_route_is_described_and_every_description_is_a_route(served: Daemon):
    document = served.ask("GET", "/openapi.json").json
    described = {
        (each["operationId"], method.upper(), path)
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    }
    assert described == {(each.id, each.method, each.path) for each in api.OPERATIONS}
    for _, method, path in described:
        answer = served.ask(method, path.replace("{name}", "none-such").replace("{image}", "none-such"), b"[")
        assert answer.status != 405
        assert answer.headers["content-type"] in {"application/json", "application/octet-stream"}
        assert b'"step":"route"' not in answer.content


def test_answers_are_as_described(served: Daemon, box: str):
    given = {
        "exec": ("POST", f"/exec/{box}", {"argv": [PROBE, "exit", "0"]}),
        "inspect": ("GET", f"/sandboxes/{box}", None),
        "list": ("GET", "/list", None),
        "health": ("GET", "/health", None),
        "pool_stats": ("GET", "/pool", None),
        "images": ("GET", "/images", None),
        "pool_warm": ("POST", "/pool", {"size": 0}),
    }
    for name, (method, path, body) in given.items():
        answer = served.ask(method, path, body)
        operation = OPERATIONS[name]
        assert answer.status == operation.status
        assert operation.answer is not None
        msgspec.json.decode(answer.content, type=operation.answer)  # raises for what is missing or of another type


BROKEN = [
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"1e999",
    b"\xff\xfe",
    b'{"none_such": 1}',
    b'{"name": 1, "image": 1, "argv": 1, "size": "1"}',
    b'{"argv": []}',
    b'{"argv": [""]}',
    b'{"argv": ["a\\u0000b"]}',
    b'{"argv": ["\\ud800"]}',
    b'{"argv": [1]}',
    b'{"argv": ["a"], "command": "b"}',
    b'{"command": " "}',
    b'{"command": ""}',
    b'{"argv": ["a"], "timeout_s": 0}',
    b'{"argv": ["a"], "timeout_s": -1}',
    b'{"argv": ["a"], "timeout_s": 1e300}',
    b'{"argv": ["a"], "stdin": "a", "stdin_base64": "YQ=="}',
    b'{"argv": ["a"], "stdin_base64": "?"}',
    b'{"size": -1}',
    b'{"size": 1000000000000}',
    b'{"from": "nowhere"}',
    b'{"image": "a", "from": "cold"}',
    b'{"image": "../a"}',
    b"[" * 60_000,
]


@pytest.mark.parametrize("operation", [each for each in api.OPERATIONS if each.body not in {None, bytes}])
def test_a_broken_body_is_refused_as_json_and_as_described(served: Daemon, box: str, operation: api.Operation):
    for body in BROKEN:
        refused_well(served, operation, box, body)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operation=st.sampled_from(api.OPERATIONS),
    name=st.text(min_size=1, max_size=80),
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner, min_size=1),
    ),
)
def test_whatever_is_sent_is_never_a_bug(served: Daemon, operation, name, body):
    if isinstance(body, dict) and not body:
        return
    encoded = json.dumps(body).encode() if operation.body is not None else b""
    refused_well(served, operation, name, encoded, may_be_done=True)


def refused_well(
    served: Daemon, operation: api.Operation, name: str, body: bytes, *, may_be_done: bool = False
) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in name.encode(errors="replace"))
    path = operation.path.replace("{name}", quoted).replace("{image}", quoted)
    answer = served.ask(operation.method, path, body or None)
    if may_be_done and answer.status == operation.status:
        return
    assert 400 <= answer.status < 500 or answer.status == 501, (body[:80], answer.content)
    document = msgspec.json.decode(answer.content, type=api.Error)
    assert document.error.isprintable()
    if document.step != "route":  # a name with a slash is another path
        assert answer.status in {*operation.refusals, 401, 403}, (operation.id, body[:80], answer.content)


# ---- many at once ----


def test_a_thousand_provisions_at_once_disturb_nobody_and_leave_nothing(served: Daemon, box: str):
    before = served.names()
    with ThreadPoolExecutor(1) as neighbour:
        stop = threading.Event()
        working = neighbour.submit(works_until, stop, served, box)
        try:
            answers = at_once(
                served, b"POST /provision HTTP/1.1\r\nHost: localhost\r\ncontent-length: 2\r\n\r\n{}", 1000
            )
        finally:
            stop.set()
        assert working.result() > 0
    statuses = {status: sum(each[0] == status for each in answers) for status in {each[0] for each in answers}}
    assert sum(statuses.values()) == 1000
    assert set(statuses) <= {201, 429, 503}
    assert statuses[201] == len(served.names() - before) <= MOST - len(before)
    assert statuses.get(503, 0) + statuses.get(429, 0) == 1000 - statuses[201]
    for _, body in answers:
        assert json.loads(body)
    for name in served.names() - before:
        served.delete(name)
    folders = list((served.folder / "tmp").glob("*/instance-*"))
    assert len(folders) == len(served.names())


def works_until(stop: threading.Event, served: Daemon, name: str) -> int:
    """How many commands of a neighbour were answered rightly meanwhile."""
    done = 0
    while not stop.is_set():
        answer = served.ask("POST", f"/exec/{name}", {"argv": [PROBE, "cat"], "stdin": str(done)}, fresh=True)
        assert (answer.status, answer.json["stdout"]) == (200, str(done))
        done += 1
    return done


def at_once(served: Daemon, request: bytes, count: int) -> list[tuple[int, bytes]]:
    """Status and body of so many requests, each on a connection of its own, all sent before any is read."""
    address = urlsplit(served.url)
    answers: dict[socket.socket, bytes] = {}
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))
            connection.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            answers[connection] = b""
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(60)
            assert ready, "no answer within 60 s"
            for key, _ in ready:
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                chunk = connection.recv(1 << 16)
                answers[connection] += chunk
                if not chunk:
                    selector.unregister(connection)
    return [(int(each[9:12]), each.partition(b"\r\n\r\n")[2]) for each in answers.values()]


def test_a_client_that_leaves_before_its_sandbox_serves_leaves_no_sandbox(served: Daemon):
    before = served.names()
    address = urlsplit(served.url)
    request = b'POST /provision HTTP/1.1\r\nHost: localhost\r\ncontent-length: 15\r\n\r\n{"name":"left"}'
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(request)
    until_s = time.monotonic() + 30
    while "provision path=/provision client=gone" not in served.log() and time.monotonic() < until_s:
        time.sleep(0.02)
    assert served.names() == before
    assert served.ask("POST", "/provision", {"name": "left"}).status == 201
    served.delete("left")


# ---- slow clients, tokens, and how it starts and ends ----


def test_slow_clients_lose_their_connection(tmp_path):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    with daemon(tmp_path, "--backend", "bwrap", "--patience", "0.5") as served:
        address = urlsplit(served.url)
        body = b"POST /provision HTTP/1.1\r\nHost: localhost\r\ncontent-length: 9\r\n\r\n{"
        for sent in (b"", b"GET /hea", body):
            with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
                connection.sendall(sent)
                answer = received(connection)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert "did not arrive within" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert served.ask("GET", "/health").status == 200


def test_without_the_token_nothing_is_done(tmp_path):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    with daemon(tmp_path, "--backend", "bwrap", "--token-file", str(file), token=TOKEN) as served:
        assert served.ask("GET", "/health", Host="anything.example").status == 200
        for wrong in ("", "Bearer", f"Bearer {TOKEN}x", f"bearer{TOKEN}", TOKEN, "Bearer \xff"):
            answer = served.ask("POST", "/provision", {}, fresh=True, Authorization=wrong)
            assert (answer.error[:2], answer.headers["www-authenticate"]) == ((401, "authorize"), "Bearer")
            assert TOKEN not in answer.error[2]
        assert served.names() == set()
        assert "bearer" in str(served.ask("GET", "/openapi.json").json["components"]["securitySchemes"])
        assert TOKEN not in served.log()


USUAL: dict[str, Any] = {
    "listen": "127.0.0.1:0",
    "backend": "bwrap",
    "plan": None,
    "target": None,
    "pool": 0,
    "state": None,
    "token_file": None,
    "ready_file": None,
    "max_sandboxes": 5,
    "max_provisions": 1,
    "max_waiting": 0,
    "max_body": 1,
    "max_output": 1,
    "max_exec": 1.0,
    "patience": 1.0,
}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"listen": "0.0.0.0:0"}, "can be reached from elsewhere"),
        ({"listen": "[::]:0"}, "can be reached from elsewhere"),
        ({"listen": "example.com:80"}, "can be reached from elsewhere"),
        ({"listen": "127.0.0.1"}, "expected HOST:PORT"),
        ({"listen": "127.0.0.1:99999"}, "expected HOST:PORT"),
        ({"pool": 6}, "--pool"),
        ({"pool": -1}, "--pool"),
        ({"max_provisions": 0}, "provisions"),
        ({"max_body": 0}, "body_bytes"),
        ({"token_file": "/none/such"}, "cannot read"),
        ({"target": "box"}, "--target: expected a --plan"),
        ({"ready_file": "/none/such"}, "--ready-file: expected a folder"),
        ({"state": "/proc/none"}, "--state: cannot make the folder"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(UsageError, match=words):
        checked(USUAL | wrong)


def test_loopback_needs_no_token_and_anything_else_a_good_one(tmp_path):
    for listen in ("127.0.0.1:0", "127.9.9.9:80", "[::1]:0", "localhost:0"):
        assert checked(USUAL | {"listen": listen}).token == ""
    file = tmp_path / "token"
    for content, mode, words in (
        ("short", 0o600, "expected one line"),
        (TOKEN, 0o644, "others may read"),
        ("a\nb" * 9, 0o600, "printable"),
    ):
        file.write_text(content)
        file.chmod(mode)
        with pytest.raises(UsageError, match=words):
            checked(USUAL | {"listen": "0.0.0.0:0", "token_file": file})
    file.write_text(TOKEN)
    assert checked(USUAL | {"listen": "0.0.0.0:0", "token_file": file}).token == TOKEN


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--backend", "host"], "--backend: expected qemu, gvisor, bwrap, found 'host'"),
        (["--backend", "bwrap", "--plan", "x.toml"], "expected --backend or --plan"),
        (["--listen", "0.0.0.0:0"], "can be reached from elsewhere"),
    ],
)
def test_a_daemon_that_cannot_be_is_refused_at_its_start_in_one_line(tmp_path, options, words):
    process = launch(tmp_path, *options)
    assert process.wait(60) == 2
    said = (tmp_path / "log").read_text()
    assert said.startswith("benchproof-sandboxd: ")
    assert (words in said, said.count("\n"), (tmp_path / "ready").exists()) == (True, 1, False)


def test_a_taken_port_is_refused_in_one_line(served: Daemon, tmp_path):
    process = launch(tmp_path, "--backend", "bwrap", "--listen", served.url.removeprefix("http://"))
    assert (process.wait(60), (tmp_path / "log").read_text().count("\n")) == (2, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_daemon(tmp_path, number):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    with daemon(tmp_path, "--backend", "bwrap", "--pool", "1") as served, ThreadPoolExecutor(1) as other:
        name = served.provision()["name"]
        answer = other.submit(
            served.ask, "POST", f"/exec/{name}", {"argv": [PROBE, "hang"], "timeout_s": 60}, fresh=True
        )
        until_s = time.monotonic() + 10
        while not [line for line in served.left() if f"{PROBE} hang" in line] and time.monotonic() < until_s:
            time.sleep(0.01)
        assert served.end(number) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        with contextlib.suppress(OSError, Exception):  # its connection was cut, or it was told that it is the end
            answer.result()
        until_s = time.monotonic() + 10
        while [line for line in served.left() if "probe" in line] and time.monotonic() < until_s:
            time.sleep(0.01)
        assert [line for line in served.left() if "probe" in line] == []
        if number == signal.SIGKILL:
            assert served.left()
        else:
            assert (served.left(), (tmp_path / "ready").exists()) == ([], False)
    if number == signal.SIGKILL:
        (tmp_path / "ready").unlink()
        with daemon(tmp_path, "--backend", "bwrap") as second:
            assert len(list((tmp_path / "tmp").iterdir())) == 1
        assert second.left() == []


def test_help_is_quick_and_names_every_option():
    argv = [sys.executable, "-m", "benchproof.sandboxd", "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert {"--listen", "--backend", "--plan", "--target", "--pool", "--state", "--token-file", "--ready-file"} <= set(
        done.stdout.split()
    )
    heavy = ("starlette", "uvicorn", "mcp", "asyncio")
    code = f"import sys, benchproof.sandboxd.__main__; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
