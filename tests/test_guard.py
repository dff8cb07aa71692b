"""The door of the dashboard: who may ask, what may be asked, where a path leads, behind a proxy and in a team too."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urljoin

import pytest

from benchproof.benchmarks.guest.origins import free_port
from benchproof.web import app
from benchproof.web.headers import POLICY, REPORT_POLICY, UPLOAD, Door, Guarded
from benchproof.web.pages import PAGES
from benchproof.web.tokens import Tokens
from databases import new_database, postgresql, programs
from test_bundle import complete
from websites import ask, packed_run, serving

RUN_ID = "20260101T000000Z-000000"
needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    complete(home / "runs" / RUN_ID)
    (home / "secret.txt").write_text("SECRET")
    return home


def guarded(home, door=Door(), *, readers=None, index=None):  # noqa: B008
    made = app.create(home, index=index, uploads=Tokens(home), base_path=door.base_path)
    return Guarded(made, door, readers)


@pytest.fixture(scope="module")
def url(home):
    with serving(guarded(home)) as url:
        yield url


_SERIES = "?target=host&benchmark=syscall.getpid&metric=syscall.getpid.latency"
_ASKS = {"/runs/{run}/lines": "?n=1", "/report": f"?run={RUN_ID}", "/trend": _SERIES}  # what a page needs


def paths():
    """Every page of the table, with the run that there is."""
    for path in PAGES:
        yield path.replace("{run}", RUN_ID).replace("{path:path}", "results.jsonl") + _ASKS.get(path, "")


# ---- headers ----


@pytest.mark.parametrize("path", [*paths(), "/static/style.css", "/nowhere", "/runs/none", f"/runs/{RUN_ID}/x"])
def test_every_answer_says_what_a_browser_may_do_with_it(url, path):
    status, headers, _ = ask(url + path)
    assert status == (404 if "/none" in path or path.endswith(("/x", "nowhere")) else 200)
    assert headers["Content-Security-Policy"] in {POLICY, REPORT_POLICY}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == ("max-age=3600" if path.endswith(".css") else "no-store")
    assert "Server" not in headers


def test_no_policy_lets_a_script_of_a_page_run():
    for policy in (POLICY, REPORT_POLICY):
        rules = {name: text for name, _, text in (rule.strip().partition(" ") for rule in policy.split(";"))}
        assert rules["default-src"] == "'none'"
        assert "unsafe" not in rules.get("script-src", "")
        assert "allow-scripts" not in rules.get("sandbox", "")
        assert rules["base-uri"] == rules["frame-ancestors"] == "'none'"


def test_pages_hold_no_inline_script_or_style(url):
    for path in paths():
        _, headers, content = ask(url + path)
        if headers["Content-Type"].startswith("text/html") and headers["Content-Security-Policy"] == POLICY:
            assert not re.search(rb"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", content), path


# ---- what may be asked ----


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_nothing_but_reading_is_allowed(url, method):
    for path in paths():
        status, headers, _ = ask(url + path, method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert ask(url + UPLOAD, method=method)[0] == (401 if method == "POST" else 405)


@pytest.mark.parametrize("headers", [{"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}])
def test_a_question_with_a_body_is_refused_before_the_body_is_read(url, headers):
    assert ask(url + "/", headers=headers)[0] == 413


@pytest.mark.parametrize(
    "host", ["evil.example.org", "127.0.0.1.evil.example.org", "localhost.evil", "", "[::1", "10.0.0.1"]
)
def test_a_web_page_that_gives_its_own_name_our_address_reads_nothing(url, host):
    status, _, content = ask(url + "/", headers={"Host": host})
    assert status == 421
    assert b"--allow-host" in content


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:80", "LOCALHOST"])
def test_names_of_this_host_are_good(url, host):
    assert ask(url + "/", headers={"Host": host})[0] == 200


# ---- who may ask ----


def test_with_readers_only_a_token_of_scope_read_opens_pages(tmp_path):
    complete(tmp_path / "runs" / RUN_ID)
    tokens = Tokens(tmp_path)
    scopes = {"a": "read", "b": "upload", "c": "read"}
    read, send, gone = (tokens.create(name, scope, lasts=timedelta(days=1)) for name, scope in scopes.items())
    tokens.revoke("c")
    with serving(guarded(tmp_path, readers=tokens)) as url:
        for path in [*paths(), "/static/style.css"]:
            for header, status in {
                f"Bearer {read}": 200,
                basic(f"anyone:{read}"): 200,
                f"Bearer {send}": 401,
                f"Bearer {gone}": 401,
                basic("anyone:"): 401,
                basic(read): 401,
                "Basic !!": 401,
                "": 401,
            }.items():
                found, headers, _ = ask(url + path, headers={"Authorization": header})
                assert found == (200 if path == "/healthz" else status), (path, header)
                assert "basic" in headers.get("WWW-Authenticate", "basic").lower()
        assert ask(url + UPLOAD, headers={"Authorization": f"Bearer {read}"})[0] == 401
        assert ask(url + UPLOAD, headers={"Authorization": f"Bearer {send}"})[0] == 200
        (tmp_path / "tokens.json").write_text("{")
        assert ask(url + "/", headers={"Authorization": f"Bearer {read}"})[0] == 503


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


# ---- where a path leads ----

UP = (
    "..",
    "%2e%2e",
    "%2E.",
    "%252e%252e",
    "..%2f..",
    "..%5c..",
    "..\\..",
    "....//",
    "%c0%ae%c0%ae",
    "~2e~2e",
    "..;",
    "%00",
    "~00",
)


@pytest.mark.parametrize("up", UP)
def test_no_path_leads_out_of_the_store(url, home, up):
    (home / "runs" / "link").symlink_to("/etc")
    try:
        for base in (
            "/",
            "/static/",
            "/runs/",
            f"/runs/{RUN_ID}/",
            f"/runs/{RUN_ID}/",
            f"/runs/{RUN_ID}/logs/",
        ):
            for deep in (1, 2, 3, 6, 9):
                for goal in ("etc/passwd", "secret.txt", "tokens.json"):
                    status, _, content = ask(f"{url}{base}{'/'.join([up] * deep)}/{goal}")
                    assert status in {400, 404}, (base, up)
                    assert b"SECRET" not in content
                    assert b"root:" not in content
    finally:
        (home / "runs" / "link").unlink()


@pytest.mark.parametrize(
    "goal", ["/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "~2fetc~2fpasswd", "link/passwd", "logs/out", "."]
)
def test_no_name_of_a_file_leads_out_of_its_run(url, home, goal):
    run = home / "runs" / RUN_ID
    (run / "link").symlink_to("/etc")
    (run / "logs" / "out").symlink_to(home / "secret.txt")
    try:
        status, _, content = ask(f"{url}/runs/{RUN_ID}/{goal}")
    finally:
        (run / "link").unlink()
        (run / "logs" / "out").unlink()
    assert status in {400, 404}
    assert b"root:" not in content
    assert b"SECRET" not in content


def test_what_is_no_url_at_all_is_refused_and_the_server_goes_on(url):
    for path in (
        "/" + "a" * 100_000,
        "/?q=" + "%" * 5000,
        "/runs/%ff%fe",
        "/?page=" + "9" * 400,
        "/?page=-1",
        "/?q=%00",
    ):
        assert ask(url + path)[0] < 500, path[:20]
    assert ask(url + "/healthz")[0] == 200


# ---- an upload is on the pages ----


def test_a_run_that_was_sent_is_on_the_next_page(tmp_path):
    token = Tokens(tmp_path / "home").create("ci", "upload", lasts=None)
    (tmp_path / "home" / "runs").mkdir()
    run = complete(tmp_path / "measured" / "20260102T000000Z-00abcd")
    with serving(guarded(tmp_path / "home")) as url:
        headers = {"Authorization": f"Bearer {token}"}
        status, _, content = ask(url + UPLOAD, method="POST", headers=headers, body=packed_run(run))
        assert status == 201
        assert run.name in ask(url + "/")[2].decode()
        assert ask(url + json.loads(content)["path"])[0] == 200


# ---- the verb, a proxy, a team ----


@contextlib.contextmanager
def server(home, *options):
    """`benchproof serve`; yields its address."""
    ready = home / f"ready-{time.monotonic_ns()}.json"
    command = [sys.executable, "-m", "benchproof", "serve", "--home", home, "--listen", "127.0.0.1:0"]
    with subprocess.Popen([*command, "--ready-file", ready, *options], stderr=subprocess.PIPE) as running:
        try:
            until_s = time.monotonic() + 60
            while not ready.exists():
                assert running.poll() is None, running.stderr.read()
                assert time.monotonic() < until_s
                time.sleep(0.02)
            yield json.loads(ready.read_text())["url"]
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=30)


def test_a_server_with_a_token_needs_no_run_to_begin_with_and_readers_can_be_asked_for_tokens(tmp_path):
    text = Tokens(tmp_path).create("me", "read", lasts=None)
    with server(tmp_path, "--readers", "token", "--allow-host", "bench.example.org") as url:
        assert ask(url + "/")[0] == 401
        headers = {"Authorization": f"Bearer {text}"}
        assert ask(url + "/", headers=headers)[0] == 200
        assert ask(url + "/", headers={**headers, "Host": "bench.example.org"})[0] == 200
        assert ask(url + "/", headers={**headers, "Host": "other.example.org"})[0] == 421


NGINX = """
daemon off; worker_processes 1; {user} pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off; client_max_body_size 100m;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port};
        location /kept/ {{ proxy_pass {kept}; proxy_set_header Host bench.example.org; }}
        location /taken/off/ {{ proxy_pass {taken}/; proxy_set_header Host bench.example.org; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder, *, kept, taken):
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, user=user, kept=kept, taken=taken))
    command = ["nginx", "-c", folder / "nginx.conf", "-e", "stderr", "-p", folder]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        try:
            until_s = time.monotonic() + 30
            while True:
                assert running.poll() is None, running.stderr.read()
                with contextlib.suppress(OSError):
                    ask(f"http://127.0.0.1:{port}/")
                    break
                assert time.monotonic() < until_s
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.communicate(timeout=30)


@needs_nginx
def test_behind_nginx_every_link_leads_back_through_it_whether_it_takes_the_prefix_off_or_not(tmp_path):
    home = tmp_path / "home"
    complete(home / "runs" / RUN_ID)
    token = Tokens(home).create("ci", "upload", lasts=None)
    run = complete(tmp_path / "measured" / "20260102T000000Z-00abcd")
    hosts = ("bench.example.org",)
    with (
        serving(guarded(home, Door(hosts=hosts, base_path="/kept"))) as kept,
        serving(guarded(home, Door(hosts=hosts, base_path="/taken/off"))) as taken,
        nginx(tmp_path, kept=kept, taken=taken) as proxy,
    ):
        for base in ("/kept", "/taken/off"):
            seen, new = set(), [f"{base}/"]
            while new and len(seen) < 60:
                path = new.pop()
                seen.add(path)
                status, headers, content = ask(proxy + path)
                assert status == 200 or "/compare?" in path, path  # of one target, with the form for another
                if headers["Content-Type"].startswith("text/html"):
                    links = re.findall(r'(?:href|src|action)="([^"#]+)', content.decode())
                    paths = {urljoin(path, link.replace("&amp;", "&")) for link in links}
                    assert [each for each in paths if not each.startswith(f"{base}/")] == [], path
                    new += paths - seen - set(new)
            assert f"{base}/runs/{RUN_ID}" in seen
            headers = {"Authorization": f"Bearer {token}"}
            status, _, content = ask(proxy + base + UPLOAD, method="POST", headers=headers, body=packed_run(run))
            assert status == (201 if base == "/kept" else 200)
            assert json.loads(content)["path"].startswith(f"{base}/runs/")
        for forged in ("X-Forwarded-Prefix", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"):
            _, _, content = ask(f"{proxy}/kept/", headers={forged: "//evil.example.org"})
            assert b"evil" not in content


@pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed")
def test_a_run_that_is_sent_to_one_server_of_a_team_is_seen_on_the_others(tmp_path):
    shared, apart = tmp_path / "shared", tmp_path / "apart"
    for home in (shared, apart):
        (home / "runs").mkdir(parents=True)
    tokens = {home: Tokens(home).create("ci", "upload", lasts=None) for home in (shared, apart)}
    runs = [complete(tmp_path / "measured" / f"2026010{day}T000000Z-00abcd") for day in (2, 3)]
    with postgresql() as cluster:
        index = ("--index", new_database(cluster, "team"))
        with server(shared, *index) as one, server(shared, *index) as two, server(apart, *index) as three:
            for url, home, run in ((one, shared, runs[0]), (three, apart, runs[1])):
                headers = {"Authorization": f"Bearer {tokens[home]}"}
                assert ask(url + UPLOAD, method="POST", headers=headers, body=packed_run(run))[0] == 201
            for url in (one, two, three):
                content = ask(url + "/")[2].decode()
                assert all(run.name in content for run in runs)
            assert "report.json" in ask(f"{two}/runs/{runs[0].name}")[2].decode()
            assert "another home" in ask(f"{three}/runs/{runs[0].name}")[2].decode()


def test_the_documentation_names_the_policy_as_it_is():
    page = (Path(__file__).parent.parent / "docs" / "uploads.md").read_text()
    assert POLICY in " ".join(page.split())
