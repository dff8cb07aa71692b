"""A run that is sent: kept when it is what it claims to be, and nothing at all is left of any other."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from benchproof import report
from benchproof.errors import StoreError, UsageError
from benchproof.store import bundle, packed
from benchproof.web import arrival, sending
from benchproof.web.headers import UPLOAD as PATH
from benchproof.web.tokens import Tokens
from benchproof.web.uploads import Limits, Uploads
from commands import command
from test_bundle import complete, killed
from test_packed import HOSTILE
from websites import ask, files, packed_run, serving

RUN_ID = "20260101T000000Z-00abcd"
LIMITS = Limits(spare_bytes=0)


@pytest.fixture
def run(tmp_path):
    return complete(tmp_path / "measured" / "runs" / RUN_ID)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def token(home):
    return Tokens(home).create("ci", "upload", lasts=timedelta(days=1))


class Served:
    def __init__(self, home, url, token):
        self.home, self.url, self.token = home, url, token

    def post(self, body, **headers):
        known = {"Authorization": f"Bearer {self.token}", **headers}
        status, _, content = ask(self.url + PATH, method="POST", headers=known, body=body)
        return status, json.loads(content)


def application(home, limits=LIMITS, arrived=lambda: None):
    uploads = Uploads(home, Tokens(home), arrived=arrived, limits=limits)
    return Starlette(routes=[Route(PATH, uploads.endpoint, methods=["GET", "POST"])])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One for all tests that need no other limits."""
    home = tmp_path_factory.mktemp("served") / "home"
    with serving(application(home)) as url:
        yield home, url


@pytest.fixture
def served(server):
    home, url = server
    shutil.rmtree(home, ignore_errors=True)
    return Served(home, url, Tokens(home).create("ci", "upload", lasts=timedelta(days=1)))


def sealed_with(run, **changes):
    """A run that was ended, completed with a manifest that says something else."""
    loaded = bundle.load(run)
    loaded = msgspec.structs.replace(loaded, manifest=msgspec.structs.replace(loaded.manifest, **changes))
    finished = msgspec.structs.replace(loaded, manifest=msgspec.structs.replace(loaded.manifest, state="complete"))
    with contextlib.closing(bundle.Bundle.resume(loaded)) as out:
        out.seal(report.encoded(report.build(finished)))
    return run


def nothing_is_left(home):
    return not list(home.glob(f"{arrival.INCOMING}/*")) and not list(home.glob("runs/*"))


# ---- arrival ----


def test_a_run_that_is_sent_is_in_the_store_verified_and_the_same(served, run):
    status, answer = served.post(packed_run(run))
    assert (status, answer["status"], answer["run_id"]) == (201, "added", RUN_ID)
    assert answer["verdict"]["problems"] == []
    assert answer["verdict"]["checked"]["oracles"] == 4
    assert answer["path"] == f"/runs/{RUN_ID}"
    assert files(served.home / "runs" / RUN_ID) == files(run)
    assert not list((served.home / arrival.INCOMING).iterdir())


def test_the_same_run_again_is_no_error_and_another_of_its_name_is_a_conflict(served, run, tmp_path):
    served.post(packed_run(run))
    status, answer = served.post(packed_run(run))
    assert (status, answer["status"]) == (200, "there already")
    other = sealed_with(killed(tmp_path / "other" / RUN_ID), labels={"commit": "0" * 40})
    before = files(served.home / "runs" / RUN_ID)
    status, answer = served.post(packed_run(other))
    assert (status, answer["status"]) == (409, "refused")
    assert "with other content" in answer["error"]
    assert files(served.home / "runs" / RUN_ID) == before


def test_many_at_once_of_the_same_run_are_one_run(served, run):
    content, statuses = packed_run(run), []
    threads = [threading.Thread(target=lambda: statuses.append(served.post(content)[0])) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 503}
    assert not list((served.home / arrival.INCOMING).iterdir())


@pytest.mark.parametrize("name", ["results.jsonl", "report.json", "manifest.json", "logs/0000-stderr.txt"])
def test_a_run_with_one_flipped_byte_is_refused_with_the_verdict_and_nothing_is_left(name, served, run):
    content = bytearray((run / name).read_bytes())
    content[len(content) // 2] ^= 1
    (run / name).write_bytes(content)
    status, answer = served.post(packed_run(run))
    assert (status, answer["status"]) == (422, "refused")
    assert answer["error"]
    assert "benchproof verify" in answer["todo"]
    assert nothing_is_left(served.home)


def test_a_run_whose_figures_do_not_follow_from_its_results_is_refused(served, run):
    figures = json.loads((run / bundle.REPORT).read_bytes())
    figures["rows"][0]["cells"]["host"]["median"] = 1.0
    with contextlib.closing(bundle.Bundle.resume(bundle.load(run))) as out:
        out.seal(json.dumps(figures).encode())
    status, answer = served.post(packed_run(run))
    assert status == 422
    assert any("does not follow from the results" in each for each in answer["verdict"]["problems"])
    assert nothing_is_left(served.home)


def test_a_run_that_is_not_complete_is_refused_with_the_way_to_complete_it(served, tmp_path):
    status, answer = served.post(packed_run(killed(tmp_path / RUN_ID)))
    assert status == 422
    assert f"benchproof run --resume {RUN_ID}" in answer["error"]
    assert nothing_is_left(served.home)


@pytest.mark.parametrize("run_id", ["last", "../x", "20260101T000000Z-<b>", "99990101T000000Z-00abcd", "." * 30, ""])
def test_a_run_with_a_name_that_is_none_is_refused(run_id, served, tmp_path):
    run = complete(tmp_path / RUN_ID)
    text = (run / bundle.MANIFEST).read_text().replace(RUN_ID, run_id)
    (run / bundle.MANIFEST).write_text(text)
    status, answer = served.post(packed_run(run))
    assert status == 422
    assert "expected a run's name" in answer["error"] or "from the future" in answer["error"]
    assert nothing_is_left(served.home)


@pytest.mark.parametrize("name", ["up", "symbolic link", "cut", "nothing"])
def test_a_hostile_archive_that_is_sent_leaves_nothing(name, served):
    status, answer = served.post(HOSTILE[name][0])
    assert (status, answer["status"]) == (422, "refused")
    assert HOSTILE[name][1] in answer["error"]
    assert nothing_is_left(served.home)


def test_a_process_that_does_not_come_to_an_end_is_ended_and_refused(home, token, run):
    with serving(application(home, msgspec.structs.replace(LIMITS, verify_s=0.05))) as url:
        status, answer = Served(home, url, token).post(packed_run(run))
    assert (status, answer["status"]) == (422, "refused")
    assert "cannot be verified within 0.05 s" in answer["error"]
    assert nothing_is_left(home)


# ---- the door ----


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic {token}", "Bearer {read}", "bearer  {revoked}"])
def test_who_has_no_good_token_is_turned_away_before_the_body_is_read(header, served, run):
    tokens = Tokens(served.home)
    words = {
        name: tokens.create(name, scope, lasts=None) for name, scope in {"read": "read", "revoked": "upload"}.items()
    }
    tokens.revoke("revoked")
    given = header.format(token=served.token, **words)
    status, headers, content = ask(
        served.url + PATH, method="POST", headers={"Authorization": given, "Content-Length": "100000000"}
    )
    assert status == 401
    assert headers["WWW-Authenticate"] == "Bearer"
    assert "scope upload" in json.loads(content)["error"]
    assert not (served.home / arrival.INCOMING).exists()


def test_a_body_that_says_it_is_too_large_is_not_read(home, token):
    limits = msgspec.structs.replace(LIMITS, room=packed.Room(packed_bytes=1000))
    with serving(application(home, limits)) as url:
        status, answer = Served(home, url, token).post(None, **{"Content-Length": "1001"})
    assert (status, answer["status"]) == (413, "refused")
    assert nothing_is_left(home)


def test_a_body_that_does_not_say_how_large_it_is_is_cut_at_the_limit(home, token):
    limits = msgspec.structs.replace(LIMITS, room=packed.Room(packed_bytes=1000))
    piece = b"800\r\n" + bytes(0x800) + b"\r\n0\r\n\r\n"
    with serving(application(home, limits)) as url:
        status, answer = Served(home, url, token).post(piece, **{"Transfer-Encoding": "chunked"})
    assert (status, answer["status"]) == (413, "refused")
    assert nothing_is_left(home)


def test_a_body_that_does_not_come_is_not_waited_for(home, token):
    with serving(application(home, msgspec.structs.replace(LIMITS, chunk_s=0.1))) as url:
        status, answer = Served(home, url, token).post(None, **{"Content-Length": "1000"})
    assert (status, answer["status"]) == (408, "refused")
    assert nothing_is_left(home)


def test_a_disk_with_too_little_room_takes_no_run(home, token, run):
    with serving(application(home, msgspec.structs.replace(LIMITS, spare_bytes=1 << 60))) as url:
        status, answer = Served(home, url, token).post(packed_run(run))
    assert (status, answer["todo"]) == (507, "make room there")
    assert nothing_is_left(home)


def begun(served, run, count=1):
    """A connection on which half of a run was sent, so that `count` of them are open."""
    where, content = urlsplit(served.url), packed_run(run)
    connection = socket.create_connection((where.hostname, where.port))
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.token}\r\n"
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[: len(content) // 2])
    until(lambda: len(list(served.home.glob(f"{arrival.INCOMING}/*/{arrival.PACKED}"))) == count)
    return connection


def until(true):
    until_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_a_connection_that_is_cut_leaves_nothing(served, run):
    begun(served, run).close()
    until(lambda: nothing_is_left(served.home))
    assert served.post(packed_run(run))[0] == 201


def test_more_uploads_than_are_taken_at_once_are_told_to_come_again(served, run):
    with begun(served, run), begun(served, run, 2):
        status, answer = served.post(packed_run(run))
    assert (status, answer["todo"]) == (503, "come again in a minute")


def test_what_a_killed_server_left_is_removed_and_what_another_one_receives_is_not(home):
    dead = home / arrival.INCOMING / "dead"
    dead.mkdir(parents=True)
    (dead / arrival.PACKED).write_bytes(b"x")
    fresh = dead.with_name("fresh")
    fresh.mkdir()
    os.utime(dead, (0, 0))
    with arrival.staging(home) as first:
        os.utime(first, (0, 0))
        with arrival.staging(home):
            assert first.exists()
        assert fresh.exists()  # somebody may be about to lock it
        assert not dead.exists()
    assert list((home / arrival.INCOMING).iterdir()) == [fresh]


def test_a_folder_that_is_no_run_but_has_its_name_is_a_conflict(served, run):
    (served.home / "runs" / RUN_ID).mkdir(parents=True)
    status, answer = served.post(packed_run(run))
    assert (status, answer["status"]) == (409, "refused")
    assert not list((served.home / "runs" / RUN_ID).iterdir())


# ---- the verb ----


def upload(run, url, token_file, *words):
    return command("upload", run, "--to", url, "--token-file", token_file, *words)


@pytest.fixture
def token_file(served, tmp_path):
    path = tmp_path / "upload.token"
    path.write_text(served.token + "\n")
    return path


def test_the_verb_sends_a_run_and_says_what_became_of_it(served, run, token_file):
    done = upload(run, served.url, token_file)
    assert (done.returncode, done.stdout) == (0, f"{RUN_ID}: added\n")
    assert "as 'ci'" in done.stderr
    again = upload(run, served.url, token_file, "--json")
    assert json.loads(again.stdout)["status"] == "there already"
    assert files(served.home / "runs" / RUN_ID) == files(run)


def test_the_verb_says_on_one_line_why_a_run_was_refused(served, run, token_file):
    page = run / bundle.REPORT
    page.write_bytes(page.read_bytes() + b" ")
    done = upload(run, served.url, token_file)
    assert done.returncode == 1
    assert "is not what it claims to be: report.json" in done.stderr
    assert nothing_is_left(served.home)


def test_the_verb_says_that_a_token_is_not_good_before_it_sends_the_run(served, run, token_file):
    Tokens(served.home).revoke("ci")
    done = upload(run, served.url, token_file)
    assert done.returncode == 1
    assert "benchproof token create NAME --scope upload" in done.stderr
    assert "sending" not in done.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://x", "expected an address"),
        ("https://user:pass@x", "expected an address"),
        ("http://x:port", "--to"),
        ("http://bench.example.org", "everybody's"),
        ("http://[::1", "--to"),
    ],
)
def test_an_address_to_which_no_token_should_go_is_refused(url, words, run):
    with pytest.raises(UsageError, match=words):
        sending.send(run, url, "bp_x")


def test_a_server_that_is_not_there_or_is_another_one_is_one_line(served, run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreError, match="did not answer"):
        sending.send(run, f"http://127.0.0.1:{port}", "bp_x")
    with pytest.raises(StoreError, match="expected the answer of a dashboard, found status 404"):
        sending.send(run, f"{served.url}/elsewhere", "bp_x")


def test_a_redirect_is_not_followed_with_the_token(run):
    async def moved(scope, receive, send):
        seen.append(scope["path"])
        headers = [(b"location", b"https://elsewhere.example.org/")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    seen: list[str] = []
    with serving(moved) as url, pytest.raises(StoreError, match="found status 302"):
        sending.send(run, url, "bp_x")
    assert seen == [PATH]


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff", b"a\nb"])
def test_a_token_file_without_a_token_is_refused(content, tmp_path):
    path = Path(tmp_path / "t")
    path.write_bytes(content)
    with pytest.raises(UsageError, match="--token-file"):
        sending.token_in(path)
