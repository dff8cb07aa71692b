"""The dashboard: what its pages say is what the runs say, whatever the runs, the URL or the time of asking."""

from __future__ import annotations

import gc
import html
import json
import os
import re
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from benchproof.errors import StoreError
from benchproof.model import Failed, Unsupported
from benchproof.store import bundle, listings
from benchproof.store.index import Index
from benchproof.web import app
from benchproof.web.pages import PAGES, files
from runs import envelope, history, passed, write
from test_gate_verb import a_run
from visitors import client, figures, shown


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / "runs").mkdir(parents=True)
    return tmp_path / "home"


# ---- pages that list ----


def test_the_first_page_lists_the_newest_run_first_with_what_it_is_of(home):
    write(home, 0, passed(1.0))
    write(home, 1, [Failed(violations=("wrong",))], labels={"branch": "next", "commit": "abc"}, complete=False)
    _, newest, oldest = figures(client(home).get("/"), "runs")
    assert newest[1:] == ["2026-01-02 00:00", "running", "0/1", "✗ failed", "", "linux", "next", "abc"]
    assert oldest[3:5] == ["1/1", ""]


def test_every_filter_is_in_the_url_and_kept_by_the_links_to_other_pages(home):
    for number in range(51):
        write(home, number, passed(1.0), labels={"branch": "a&b"})
    browser = client(home)
    first = browser.get("/", params={"branch": "a&b", "since": "2026"})
    (link,) = re.findall(r'rel="next" href="([^"]*)"', first.text)
    assert len(figures(first, "runs")) == 51
    assert len(figures(browser.get(html.unescape(link)), "runs")) == 2
    assert 'name="branch" value="a&amp;b"' in first.text


@pytest.mark.parametrize(
    "path", ["/?page=0", "/?page=x", "/?since=x", "/?status=good", "/?q=%00", "/trend?from=x", "/?q=" + "a" * 3000]
)
def test_a_question_that_makes_no_sense_is_a_page_that_says_so(home, path):
    found = client(home).get(path)
    assert found.status_code == 400
    assert "expected" in found.text


@pytest.mark.parametrize("path", [path for path in PAGES if "{" not in path and path != "/report"])
def test_every_page_of_an_empty_home_is_there(home, path):
    assert client(home).get(path).status_code == 200


def test_a_run_that_ends_while_the_server_runs_is_on_the_next_page(home, monkeypatch):
    monkeypatch.setattr("benchproof.web.site.REFRESH_S", 0.0)
    browser = client(home)
    assert "No run is like that" in shown(browser.get("/"))
    write(home, 0, passed(1.0))
    until_s = time.monotonic() + 20
    while "20260101T000000Z" not in browser.get("/").text:
        assert time.monotonic() < until_s


def test_a_trend_is_judged_anew_where_the_newest_run_is_another_one_in_its_place(home):
    for number, value in enumerate((80.0, 81.0, 82.0)):
        path = write(home, number, passed(value))
    site = app.create(home, index=None).state.site

    def newest():
        (found,) = site.judged()
        return found.newest.points[-1].value

    assert newest() == 82
    shutil.rmtree(path)
    write(home, 2, passed(160.0))
    site.refresh()
    assert newest() == 160


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_file_of_which_nobody_stays_to_read_the_beginning_is_closed(home):
    path = write(home, 0, passed(1.0))
    site = app.create(home, index=None).state.site
    asked = Request({"type": "http", "path_params": {"run": path.name, "path": bundle.RESULTS}})
    files.page(site, asked)
    gc.collect()
    descriptors = Path("/proc/self/fd").iterdir()
    assert [each for each in descriptors if each.exists() and each.samefile(path / bundle.RESULTS)] == []


def test_a_run_that_goes_while_its_trend_is_shown_is_left_out_of_the_page(home, monkeypatch):
    gone, stays, _ = [write(home, number, passed(80.0 + number)).name for number in range(3)]
    known = listings.times

    def told(index, run_ids):
        return {name: at for name, at in known(index, run_ids).items() if name != gone}

    monkeypatch.setattr(listings, "times", told)
    names = {"target": "linux", "benchmark": "syscall.getpid", "metric": "syscall.getpid.latency"}
    page = client(home).get("/trend", params=names)
    assert f'"/runs/{stays}"' in page.text
    assert f'"/runs/{gone}"' not in page.text


def test_an_index_that_cannot_be_brought_up_to_date_is_said_on_every_page_until_it_can(home, monkeypatch):
    monkeypatch.setattr("benchproof.web.site.REFRESH_S", 0.0)
    monkeypatch.setattr("benchproof.web.site._PATIENCE_S", 20.0)
    write(home, 0, passed(1.0))
    browser = client(home)
    assert "up to date" not in browser.get("/").text

    def refused(*_):
        raise StoreError("the disk is <full>")

    with monkeypatch.context() as broken:
        broken.setattr(Index, "update", refused)
        for path in ("/", "/trends", "/gates"):
            assert "could not be brought up to date: the disk is &lt;full&gt;" in browser.get(path).text
        assert "left out: no run to believe" not in browser.get("/").text
        assert len(figures(browser.get("/"), "runs")) == 2
    assert "up to date" not in browser.get("/").text


def test_a_folder_that_is_no_run_to_believe_is_named_and_left_out(home):
    path = write(home, 0, passed(1.0))
    (path / "manifest.json").write_bytes(b"{}")
    assert "1 left out" in shown(client(home).get("/"))


def test_coverage_says_what_was_asked_of_whom_and_why_there_is_no_answer(home):
    write(home, 0, passed(1.0), target="a")
    write(home, 1, [Unsupported(reason="no KVM")], target="b", benchmark="ipc.pipe")
    assert figures(client(home).get("/coverage"), "coverage")[1:] == [
        ["ipc.pipe", "never asked", "\N{EN DASH} 0/1 unsupported , 2026-01-02 no KVM"],
        ["syscall.getpid", "✓ 1/1 passed , 2026-01-01", "never asked"],
    ]


def test_a_calibration_that_cannot_be_read_is_a_line(home):
    (home / "calibrations").mkdir()
    (home / "calibrations" / "x.json").write_bytes(b"[")
    assert "is no calibration" in shown(client(home).get("/floors"))


# ---- one run ----


def test_the_page_of_a_run_has_its_matrix_and_every_file_behind_it(home):
    a_run(home, "one", host={"syscall.getpid": [100.0] * 6}, linux={"syscall.getpid": [200.0] * 6})
    browser = client(home)
    page = browser.get("/runs/one")
    assert figures(page, "matrix")[1][2:4] == ["200.0", "100.0"]
    assert "slower" in figures(page, "matrix")[1][4]
    links = [html.unescape(each) for each in re.findall(r'href="(/runs/one/[^"#]*)"', page.text)]
    for link in links:
        assert browser.get(link).status_code == 200
    for name in ("manifest.json", "envelope.json", "results.jsonl", "report.json"):
        assert browser.get(f"/runs/one/{name}").content == (home / "runs" / "one" / name).read_bytes()
        assert f"/runs/one/{name}" in links


def test_every_figure_leads_to_the_lines_behind_it(home):
    a_run(home, "one", host={"syscall.getpid": [100.0, 101.5]}, linux={"syscall.getpid": [200.0, 201.5]})
    browser = client(home)
    (link, *_) = re.findall(r'class="figure" href="([^"]*)"', browser.get("/runs/one").text)
    text = shown(browser.get(html.unescape(link)))
    raw = (home / "runs" / "one" / "results.jsonl").read_text().splitlines()
    for number in link.partition("n=")[2].split("%2C"):
        assert json.loads(raw[int(number) - 1])["target"] == "linux"
        assert f"Line {number}: syscall.getpid on linux" in text
    assert "201.5" in text


@pytest.mark.parametrize(("query", "status"), [("", 200), ("n=0", 400), ("n=x", 400), ("n=1,,2", 400), ("n=99", 404)])
def test_only_lines_that_are_there_are_shown(home, query, status):
    a_run(home, "one", host={"syscall.getpid": [100.0]})
    assert client(home).get(f"/runs/one/lines?{query}").status_code == status


def test_the_whole_report_is_a_page_whose_links_to_evidence_work_here(home):
    a_run(home, "one", host={"syscall.getpid": [100.0] * 6})
    browser = client(home)
    page = browser.get("/report?run=one")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert 'href="runs/one/results.jsonl' in page.text
    assert browser.get("/report?run=two").status_code == 404


def test_a_run_that_is_still_written_is_shown_as_far_as_it_is(home):
    path = a_run(home, "one", complete=False, host={"syscall.getpid": [100.0] * 2})
    browser = client(home)
    assert "the run was ended before its last block" in shown(browser.get("/runs/one"))
    with (path / "results.jsonl").open("ab") as file:
        file.write(b'{"torn')
    assert browser.get("/runs/one").status_code == 200


@pytest.mark.parametrize("what", ["gone", "manifest", "results", "fifo"])
def test_a_run_that_vanished_or_broke_after_it_was_listed_is_not_found_and_why(home, what):
    path = a_run(home, "one", host={"syscall.getpid": [100.0]})
    browser = client(home)
    assert browser.get("/runs/one").status_code == 200
    match what:
        case "gone":
            shutil.rmtree(path)
        case "fifo":
            (path / "results.jsonl").unlink()
            os.mkfifo(path / "results.jsonl")
        case name:
            file = next(path.glob(f"{name}.*"))
            file.write_bytes(file.read_bytes().replace(b"100", b"101", 1)[:-3])
    found = browser.get("/runs/one")
    assert found.status_code == 404
    assert "run " in found.text


def test_a_run_whose_plan_makes_no_sense_is_a_line_and_no_error(home):
    write(home, 0, passed(1.0))
    found = client(home).get("/runs/20260101T000000Z-000000")
    assert found.status_code == 404
    assert "cannot be shown" in found.text


def test_a_run_of_another_home_is_told_as_far_as_the_index_knows_it(home, tmp_path):
    other = tmp_path / "other"
    write(other, 0, passed(1.0))
    url = f"sqlite:///{tmp_path}/team.sqlite"
    theirs, ours = (TestClient(app.create(each, index=url)) for each in (other, home))
    theirs.get("/")
    assert "It lies in another home" in shown(ours.get("/runs/20260101T000000Z-000000"))
    assert ours.get("/runs/20260101T000000Z-000000/manifest.json").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "logs/..%2fmanifest.json",
        "..%2f..%2fsecret",
        "%2e%2e/%2e%2e/secret",
        "/etc/passwd",
        "logs",
        "",
        "link",
        "deep/link/secret",
    ],
)
def test_no_path_leads_out_of_a_run(home, path):
    run = a_run(home, "one", host={"syscall.getpid": [1.0]})
    (home / "secret").write_text("secret")
    (run / "link").symlink_to(home / "secret")
    (run / "deep").mkdir()
    (run / "deep" / "link").symlink_to(home)
    found = client(home).get(f"/runs/one/{path}")
    assert found.status_code == 404
    assert "root:" not in found.text


# ---- comparing ----


def two(home):
    """The same target in two runs, once twice as slow."""
    for run, factor in (("base", 1), ("new", 2)):
        a_run(home, run, host={"syscall.getpid": [factor * (100.0 + n / 100) for n in range(8)]})
    return client(home)


def test_two_runs_are_compared_metric_by_metric(home):
    (row,) = figures(two(home).get("/compare?base=base&new=new"), "versus")[1:]
    assert row[2:4] == ["100.0", "200.1"]
    assert row[5] == "▼ slower"


def test_what_differs_undeclared_is_incomparable_with_the_facts(home):
    for run, compiler in (("base", "gcc 12"), ("new", "gcc 13")):
        facts = {"host": envelope(probe_compiler=compiler).sections}
        a_run(home, run, facts=facts, host={"syscall.getpid": [100.0] * 8})
    page = client(home).get("/compare?base=base&new=new")
    assert figures(page, "versus")[1][5] == "≠ incomparable"
    assert "probe.compiler: gcc 12 against gcc 13" in shown(page)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 200, "Base run"),
        ("base=base", 400, "nothing to compare"),
        ("base=nope", 404, "the index has no run"),
        ("base=base&new=new&base_target=host", 400, "expected two names"),
        ("base=base&new=new&base_target=host&new_target=x", 400, "has no target"),
        ("base=base&new=new&vary=moon", 400, "unknown facet"),
        ("base=base&new=new&margin=much", 400, "margin"),
    ],
)
def test_a_comparison_that_makes_no_sense_says_what_there_is(home, query, status, words):
    found = two(home).get(f"/compare?{query}")
    assert found.status_code == status
    assert words in found.text


# ---- trends ----

TREND = "/trend?target=linux&benchmark=syscall.getpid&metric=syscall.getpid.latency"


def test_a_trend_has_a_chart_a_change_and_a_row_for_every_point(home):
    history(home, (100, 30), (150, 10))
    browser = client(home)
    (row,) = figures(browser.get("/trends"), "trends")[1:]
    assert [row[0], row[1], *row[3:6]] == ["syscall.getpid.latency", "linux", "40", "1", "WORSE"]
    page = browser.get(TREND)
    (change,) = re.findall(r'<li class="worse">(.*?)</li>', page.text, re.DOTALL)
    assert "worse +49.3%" in change
    assert "20260130T000000Z-00001d" in change
    assert len(figures(page, "points")) == 41
    assert page.text.count('<a href="/runs/', page.text.index("<figure"), page.text.index("</figure>")) == 40


def test_the_list_of_trends_is_in_order_and_tells_cases_apart_by_the_parameters_that_differ(home):
    write(home, 0, passed(1.0, metric="b.latency"), benchmark="b", target="z", parameters={"budget": 2})
    write(home, 1, passed(1.0, metric="a.latency"), benchmark="a", target="z", parameters={"budget": 2})
    path = write(
        home, 2, passed(1.0, metric="b.latency"), benchmark="b", target="host", parameters={"budget": 2}, complete=False
    )
    out = bundle.Bundle.resume(bundle.load(path))
    (first,) = bundle.load(path).results
    for size in ("1 KiB", "2 KiB"):
        out.append(msgspec.structs.replace(first, parameters={"budget": 2, "size": size}))
    out.seal(b"{}")
    browser = client(home)
    page = browser.get("/trends")
    assert [row[:2] for row in figures(page, "trends")[1:]] == [
        ["a.latency", "z"],
        ["b.latency", "host"],
        ["b.latency size=1 KiB", "host"],
        ["b.latency size=2 KiB", "host"],
        ["b.latency", "z"],
    ]
    assert "budget" not in shown(page)


def test_the_list_of_trends_of_a_branch_counts_those_of_the_branch(home):
    write(home, 0, passed(1.0))
    write(home, 1, passed(1.0, metric="a.latency"), benchmark="a", labels={"branch": "other"})
    browser = client(home)
    assert "1 metric" in shown(browser.get("/trends?branch=other"))
    assert "0 metrics" in shown(browser.get("/trends?branch=none"))


def test_a_window_shows_a_part_and_changes_no_verdict(home):
    history(home, (100, 30), (150, 10))
    page = client(home).get(f"{TREND}&from=2026-01-28&to=2026-02-02")
    assert [row[0][:10] for row in figures(page, "points")[1:]] == [
        "2026-02-02",
        "2026-02-01",
        "2026-01-31",
        "2026-01-30",
        "2026-01-29",
        "2026-01-28",
    ]
    assert "WORSE" in shown(page)
    assert "worse +49.3%" in shown(page)
    assert "No run is between" in shown(client(home).get(f"{TREND}&from=2027"))


def test_another_machine_is_another_epoch_with_the_facts_that_differ(home):
    history(home, (100, 3))
    history(home, (50, 3), start=3, described=envelope(host_cpu="B CPU"))
    text = shown(client(home).get(TREND))
    assert "host.cpu: A CPU -> B CPU" in text


def test_a_trend_that_was_looked_at_shows_the_run_that_ended_since(home):
    history(home, (100, 2))
    last = write(home, 2, passed(100.0), complete=False)
    browser = client(home)
    assert len(figures(browser.get(TREND), "points")) == 3
    bundle.Bundle.resume(bundle.load(last)).seal(b"{}")
    browser.app.state.site.refresh()
    assert len(figures(browser.get(TREND), "points")) == 4


def test_a_trend_that_is_not_there_is_not_found(home):
    write(home, 0, passed(1.0))
    assert client(home).get(TREND.replace("linux", "x")).status_code == 404
