"""The client inside of a sandbox: what servers may answer, and what is no answer."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

import pytest

from benchproof import process
from benchproof.benchmarks.guest.within import Within
from benchproof.errors import NotSupported, TargetFailed

OPENED = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-06-18"}})
CALLED = json.dumps(
    {"jsonrpc": "2.0", "id": 2, "result": {"content": [{"type": "text", "text": "x"}], "structuredContent": {"a": 1}}}
)


class Here:
    """An instance that is this machine."""

    def __init__(self, probe):
        self.probe = str(probe)
        self._supervisor = probe

    def run(self, argv, *, stdin=b"", timeout_s):
        return process.run(argv, supervisor=self._supervisor, stdin=stdin, timeout_s=timeout_s)


def plain(body, status="200 OK", more=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}".encode()


def chunked(*parts):
    chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in (*parts, ""))
    return f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}".encode()


@contextlib.contextmanager
def answering(*answers):
    """A server that gives these answers, one after another, and keeps what it was asked."""
    asked = []

    def serve(listener):
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            for each in answers:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                head, _, body = request.partition(b"\r\n\r\n")
                length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"Content-Length" in line)
                while len(body) < length:
                    body += connection.recv(65536)
                asked.append((head.decode(), body.decode()))
                for byte in [each] if len(each) > 2000 else [each[:40], each[40:]]:  # in pieces
                    connection.sendall(byte)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()

        class Service:
            mcp = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
            headers = {"x-token": "abc"}  # noqa: RUF012 - never changed

        try:
            yield Service(), asked
        finally:
            thread.join()


def ask(host_probe, *answers):
    with answering(*answers) as (service, asked):
        return Within(Here(host_probe.path), service, gateway="127.0.0.1", timeout_s=20).call("tool", {"b": 2}), asked


def test_a_session_is_opened_and_its_id_and_our_headers_go_with_every_request(host_probe):
    found, asked = ask(
        host_probe, plain(OPENED, more="Mcp-Session-Id: s1\r\n"), plain("", "202 Accepted"), plain(CALLED)
    )
    assert (found.document, found.text, found.error) == ({"a": 1}, "x", "")
    assert found.elapsed_ns > 0
    assert [json.loads(body)["method"] for _, body in asked] == [
        *("initialize", "notifications/initialized", "tools/call")
    ]
    assert json.loads(asked[2][1])["params"] == {"name": "tool", "arguments": {"b": 2}}
    assert ["Mcp-Session-Id: s1" in head for head, _ in asked] == [False, True, True]
    assert all("x-token: abc" in head for head, _ in asked)


@pytest.mark.parametrize(
    "answer",
    [
        chunked(CALLED),
        chunked(CALLED[:10], CALLED[10:]),
        chunked(f"event: message\ndata: {CALLED}\n\n"),
        plain(CALLED + " " * 100_000),
    ],
)
def test_answers_in_chunks_and_as_events_are_read(host_probe, answer):
    found, _ = ask(host_probe, plain(OPENED), plain("", "202 Accepted"), answer)
    assert found.document == {"a": 1}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (plain("<html>"), "no answer of MCP"),
        (plain("[]"), "no answer of MCP"),
        (plain('{"result": 1}'), "no answer of MCP"),
        (plain(json.dumps({"error": {"code": 1, "message": "no such tool"}})), "no such tool"),
        (plain("", "500 Oops"), "call of 'tool': status 500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", "cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nlonger", "longer than it said"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx", "too large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "cut off"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "begins with too much"),
        (b"220 ftp\r\n\r\n", "first line"),
        (b"", "ended the connection"),
    ],
)
def test_what_is_no_answer_fails_and_says_what_was_seen(host_probe, answer, words):
    with pytest.raises(TargetFailed, match=words):
        ask(host_probe, plain(OPENED), plain("", "202 Accepted"), answer)


def test_a_refusal_of_the_tool_is_an_error_in_the_answer(host_probe):
    refused = json.dumps({"result": {"content": [{"type": "text", "text": "not so"}], "isError": True}})
    found, _ = ask(host_probe, plain(OPENED), plain("", "202 Accepted"), plain(refused))
    assert (found.document, found.error) == ({}, "not so")


def test_where_nobody_listens_it_is_unsupported_and_says_how_to_get_it(host_probe):
    class Nobody:
        mcp = "http://127.0.0.1:9/mcp"
        headers = {}  # noqa: RUF012 - never changed

    with pytest.raises(NotSupported, match='network = "host"'):
        Within(Here(host_probe.path), Nobody(), gateway="127.0.0.1", timeout_s=20).call("tool", {})
