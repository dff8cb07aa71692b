"""The dashboard: what its pages say is what the runs say, whatever the runs, the URL or the time of asking."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import httpx2
import pytest
from starlette.testclient import TestClient

from benchproof.web import app, names
from runs import passed, write


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / "runs").mkdir(parents=True)
    return tmp_path / "home"


def client(home, **options):
    return TestClient(app.create(home, index=None, **options), raise_server_exceptions=True)


# ---- the server ----


def served(home, *options):
    ready = home / "ready.json"
    command = [sys.executable, "-m", "benchproof", "serve", "--home", str(home), "--listen", "127.0.0.1:0"]
    server = subprocess.Popen([*command, "--ready-file", str(ready), *options], stderr=subprocess.PIPE, text=True)
    while not ready.exists() and server.poll() is None:
        time.sleep(0.02)
    return server, ready


def test_the_verb_serves_until_it_is_told_to_end_and_then_ends_well(home):
    write(home, 0, passed(1.0))
    server, ready = served(home)
    told = json.loads(ready.read_text())
    assert told["pid"] == server.pid
    assert "20260101T000000Z-000000" in httpx2.get(told["url"] + "/").text
    server.send_signal(signal.SIGTERM)
    _, said = server.communicate(timeout=20)
    assert (server.returncode, ready.exists()) == (0, False), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--listen", "0.0.0.0:0"], "say --public"),
        (["--listen", "localhost"], "expected HOST:PORT"),
        (["--base-path", "bench"], "expected a path such as /bench"),
        (["--ready-file", "/nowhere/at/all"], "expected a folder to write it in"),
        (["--home", "/nowhere"], "no runs in"),
    ],
)
def test_what_cannot_be_served_is_one_line_with_the_way_out(home, options, words):
    command = [sys.executable, "-m", "benchproof", "serve", "--home", str(home), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert words in done.stderr


# ---- names and paths ----


@pytest.mark.parametrize(
    "name", ["a", "20260101T000000Z-1", "a/b", "..", "~", "~41", "é<script>", "%2e%2e/", ".hidden"]
)
def test_any_name_is_one_plain_part_of_a_path_and_comes_back(name):
    written = names.part(name)
    assert names.name(written) == name
    assert not {"/", "%", "<"} & set(written)
    assert not written.startswith(".")
