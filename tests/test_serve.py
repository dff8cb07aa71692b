"""The server of the dashboard as it is started, and what no name, path or proxy may do to its pages."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import httpx2
import pytest

from benchproof.errors import UsageError
from benchproof.model import Failed
from benchproof.web import app, names
from benchproof.web.pages import PAGES
from runs import passed, write
from test_gate_verb import a_run
from visitors import client, shown

EVIL = "<script>alert(1)</script>\"'&{{7*7}}"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / "runs").mkdir(parents=True)
    return tmp_path / "home"


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
        (["--base-path", "//elsewhere.example.org"], "expected a path such as /bench"),
        (["--base-path", "/a/../b"], "expected a path such as /bench"),
        (["--ready-file", "/nowhere/at/all"], "expected a folder to write it in"),
        (["--home", "/nowhere"], "no runs in"),
    ],
)
def test_what_cannot_be_served_is_one_line_with_the_way_out(home, options, words):
    command = [sys.executable, "-m", "benchproof", "serve", "--home", str(home), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert words in done.stderr


# ---- hostile names, paths, proxies ----


def test_names_of_a_run_are_text_on_every_page(home):
    labels = {"branch": EVIL, "commit": EVIL, EVIL: EVIL}
    write(home, 0, passed(1.0, metric=EVIL), labels=labels, target=EVIL, benchmark=EVIL, run_id="evil")
    write(home, 1, [Failed(violations=(EVIL,))], labels=labels, target=EVIL, benchmark=EVIL)
    browser = client(home)
    query = {"target": EVIL, "benchmark": EVIL, "metric": EVIL, "branch": EVIL}
    for path in (*PAGES, "/runs/evil", "/runs/~3Cscript~3E"):
        found = browser.get(path, params=query if "{" not in path else None)
        if found.headers["content-type"].startswith("text/html"):
            assert "<script>alert" not in found.text, path
    assert EVIL in shown(browser.get("/trend", params=query))


def test_a_character_that_turns_the_writing_is_shown_as_its_escape(home):
    write(home, 0, passed(1.0), labels={"branch": "a\u202eb"})
    assert "\u202e" not in client(home).get("/").text


@pytest.mark.parametrize("prefix", ["", "/bench"])
def test_behind_a_proxy_every_link_has_the_prefix_whether_the_proxy_takes_it_off_or_not(home, prefix):
    a_run(home, "one", host={"syscall.getpid": [1.0]})
    found = client(home, base_path="/bench/").get(f"{prefix}/runs/one")
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', found.text)
    assert links
    assert all(link.startswith("/bench/") for link in links)


def test_a_home_without_runs_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="`benchproof run` makes one"):
        app.create(tmp_path, index=None)


# ---- names ----


@pytest.mark.parametrize(
    "name", ["a", "20260101T000000Z-1", "a/b", "..", "~", "~41", "é<script>", "%2e%2e/", ".hidden"]
)
def test_any_name_is_one_plain_part_of_a_path_and_comes_back(name):
    written = names.part(name)
    assert names.name(written) == name
    assert not {"/", "%", "<"} & set(written)
    assert not written.startswith(".")
