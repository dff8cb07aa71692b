"""What a monitoring system is told: the newest verified figures, no other, in a form that strangers' parsers read."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner

from benchproof import monitoring
from benchproof.cli import benchproof
from benchproof.errors import UsageError
from benchproof.model import Failed, Invalid, Unsupported, Unverified
from benchproof.scrape import Page
from benchproof.store import newest
from benchproof.store.index import Index
from databases import new_database, postgresql, programs
from runs import envelope, history, passed, write
from test_gate_verb import LATENCY, a_run, noisy

HOSTILE = "a\"b\\c{x='1'} # \N{GREEK SMALL LETTER MU}"
FAILED = Failed(violations=("wrong sum",))
# the ABNF of OpenMetrics 1.0 for what we use of it
NAME = "[a-zA-Z_][a-zA-Z0-9_]*"
LABEL = rf'{NAME}="(?:[^\n"\\]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)")
ABOUT = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)")


def parsed(text):
    """Every sample as (name, labels) -> figure. Fails where a line is no OpenMetrics, or one that was there already."""
    assert text.endswith("# EOF\n")
    found, families, current = {}, [], ""
    for line in text.removesuffix("# EOF\n").removesuffix("\n").split("\n"):
        if about := ABOUT.fullmatch(line):
            kind, name, rest = about.groups()
            if kind == "TYPE":
                assert name not in families, "a family is in one piece"
                families.append(name)
                assert rest == "gauge"
            assert name == families[-1]
            assert kind != "UNIT" or name.endswith(f"_{rest}")
            current = name
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1] == current
            labels = re.findall(rf'({NAME})="((?:[^"\\]|\\.)*)"', sample[2] or "")
            plain = {name: re.sub(r"\\(.)", lambda it: {"n": "\n"}.get(it[1], it[1]), value) for name, value in labels}
            assert len(plain) == len(labels)
            key = (sample[1].removeprefix("benchproof_"), *sorted(plain.items()))
            assert key not in found
            found[key] = float(sample[3])
    return found


def told(home, url=None, **options):
    with Index(home, url) as index:
        index.update()
        return parsed(monitoring.exposition(index, **options))


def medians(found):
    return {dict(key[1:])["metric"]: value for key, value in found.items() if key[0] == "last_median"}


def left_out(found):
    return {dict(key[1:])["reason"]: value for key, value in found.items() if key[0] == "series_left_out" and value}


def test_the_newest_verified_figure_of_each_series_is_shown_with_its_time(tmp_path):
    history(tmp_path, (80, 3), sd=0)
    write(tmp_path, 3, passed(90, 91, 95), described=envelope(probe_compiler="gcc 13"))
    write(tmp_path, 4, passed(70), complete=False)
    found = told(tmp_path)
    labels = (
        ("benchmark", "syscall.getpid"),
        ("metric", "syscall.getpid.latency"),
        ("target", "linux"),
        ("unit", "ns"),
    )
    assert found["last_median", *labels] == 91
    fourth_of_january = 1767484800
    assert found["last_median_timestamp_seconds", *labels] == fourth_of_january
    assert found["last_run_timestamp_seconds",] == fourth_of_january
    assert found["last_run_cases", ("status", "passed"), ("target", "linux")] == 1


@pytest.mark.parametrize("outcome", [FAILED, Invalid(reason="noise"), Unsupported(reason="no such call")])
def test_what_has_no_figure_any_more_is_gone_and_counted_and_its_old_figure_is_not_shown(tmp_path, outcome):
    write(tmp_path, 0, passed(80))
    write(tmp_path, 1, [outcome])
    write(tmp_path, 2, passed(5, metric="other.latency"), benchmark="other")
    found = told(tmp_path)
    assert medians(found) == {"other.latency": 5}
    assert left_out(found) == {"lost": 1}


def test_one_wrong_answer_among_many_takes_the_gauge_away(tmp_path):
    write(tmp_path, 0, [*passed(80, 80), FAILED])
    found = told(tmp_path)
    assert medians(found) == {}
    assert found["last_run_cases", ("status", "failed"), ("target", "linux")] == 1


def test_what_no_new_run_has_is_found_in_the_rest_of_the_history_as_among_the_newest(tmp_path, monkeypatch):
    for number, branch in enumerate(("main", "main", "topic")):
        write(tmp_path, number, passed(number + 1.0, metric="gone"), benchmark="gone", labels={"branch": branch})
    write(tmp_path, 3, passed(4), described=envelope(probe_compiler="gcc 13"), labels={"branch": "main"})
    write(tmp_path, 4, passed(5), labels={"branch": "main"})
    among_the_newest = [told(tmp_path, branch=branch) for branch in ("", "main")]
    assert [medians(each)["gone"] for each in among_the_newest] == [3, 2]
    for looked_through in (0, 1, 2):
        monkeypatch.setattr(newest, "_LOOKED_THROUGH", looked_through)
        assert [told(tmp_path, branch=branch) for branch in ("", "main")] == among_the_newest


def test_the_points_of_a_metric_that_a_new_run_has_are_not_read(tmp_path, monkeypatch):
    history(tmp_path, (80, 3), sd=0)
    monkeypatch.setattr(
        newest, "_last_runs", lambda _connection, _branch, series: pytest.fail("it was") if series else ()
    )
    assert list(medians(told(tmp_path)).values()) == [80]


def test_what_was_imported_never_appears_as_a_figure_and_hides_none(tmp_path):
    write(tmp_path, 0, passed(80))
    (outcome,) = passed(3)
    write(tmp_path, 1, [Unverified(source="capsem", measurements=outcome.measurements)])
    found = told(tmp_path)
    assert medians(found) == {"syscall.getpid.latency": 80}
    assert found["last_run_cases", ("status", "unverified"), ("target", "linux")] == 1


def test_hostile_names_are_text_and_nothing_else(tmp_path):
    for number in range(2):
        names = {"target": HOSTILE, "benchmark": HOSTILE, "parameters": {HOSTILE: HOSTILE + str(number)}}
        write(tmp_path, number, passed(1, metric=HOSTILE), **names)
    keys = [dict(key[1:]) for key in told(tmp_path) if key[0] == "last_median"]
    assert all(key["benchmark"] == key["metric"] == key["target"] == HOSTILE for key in keys)
    assert [json.loads(key["parameters"]) for key in keys] == [{HOSTILE: HOSTILE + "0"}, {HOSTILE: HOSTILE + "1"}]


def test_the_parser_of_the_tests_sees_what_is_not_escaped(tmp_path, monkeypatch):
    write(tmp_path, 0, passed(1, metric=HOSTILE))
    monkeypatch.setattr(monitoring, "_escaped", lambda text: text)
    with pytest.raises(AssertionError):
        told(tmp_path)


def test_a_foreign_parser_reads_the_same(tmp_path):
    openmetrics = pytest.importorskip("prometheus_client.openmetrics.parser")
    prometheus = pytest.importorskip("prometheus_client.parser")
    write(tmp_path, 0, passed(1e-9, metric=HOSTILE), target=HOSTILE)
    write(tmp_path, 1, passed(12345678901234.5))
    with Index(tmp_path) as index:
        index.update()
        text = monitoring.exposition(index)
    ours = parsed(text)
    for parser in (openmetrics, prometheus):
        samples = [each for family in parser.text_string_to_metric_families(text) for each in family.samples]
        theirs = {(each.name.removeprefix("benchproof_"), *sorted(each.labels.items())): each.value for each in samples}
        assert theirs == ours


def test_cases_of_one_benchmark_are_told_apart_by_the_parameters_that_differ_and_one_alone_needs_none(tmp_path):
    write(tmp_path, 0, passed(1), parameters={"size": 1, "warmups": 10})
    assert not [key for key in told(tmp_path) if "parameters" in dict(key[1:])]
    write(tmp_path, 1, passed(2), parameters={"size": 2, "warmups": 10})
    found = told(tmp_path)
    assert {dict(key[1:])["parameters"]: value for key, value in found.items() if key[0] == "last_median"} == {
        '{"size":1}': 1,
        '{"size":2}': 2,
    }


def test_what_was_made_slower_on_purpose_is_told_even_alone(tmp_path):
    write(tmp_path, 0, passed(1), parameters={"size": 1, "inject": 1e-6})
    (key,) = [dict(key[1:]) for key in told(tmp_path) if key[0] == "last_median"]
    assert key["parameters"] == '{"inject":1e-6}'


def test_a_branch_is_asked_for_to_the_letter(tmp_path):
    for number, branch in enumerate(("main", "Main", 'm"ain')):
        write(tmp_path, number, passed(number + 1.0), labels={"branch": branch})
    assert {branch: list(medians(told(tmp_path, branch=branch)).values()) for branch in ("main", "Main", 'm"ain')} == {
        "main": [1],
        "Main": [2],
        'm"ain': [3],
    }
    assert medians(told(tmp_path, branch="mai")) == {}


def test_their_number_and_their_names_are_bounded_and_what_is_left_out_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(monitoring, "MOST_SERIES", 2)
    for number in range(4):
        write(tmp_path, number, passed(number + 1.0, metric=f"m{number}"))
    write(tmp_path, 4, passed(1.0, metric="m" * (monitoring.LONGEST_LABEL + 1)))
    found = told(tmp_path)
    assert medians(found) == {"m2": 3, "m3": 4}
    assert left_out(found) == {"limit": 2, "name": 1}


def test_the_verdicts_of_the_gates_are_counted_from_the_sealed_report_alone(tmp_path):
    gates = {LATENCY: {"statistic": "median", "limit": "< 50 ns"}}
    path = a_run(tmp_path, "20261120T000000Z-000001", gates=gates, host={LATENCY: noisy()})
    key = ("last_run_gates", ("verdict", "not met"))
    assert told(tmp_path)[key] == 1
    report = path / "report.json"
    report.write_bytes(report.read_bytes().replace(b'"not met"', b'"met"    '))
    assert not [key for key in told(tmp_path) if key[0] == "last_run_gates"]


@pytest.mark.skipif(programs() is None, reason="no PostgreSQL here")
def test_a_team_in_postgresql_is_told_the_same(tmp_path):
    for number, branch in enumerate(("main", "Main")):
        write(tmp_path, number, passed(number + 1.0), labels={"branch": branch})
    with postgresql() as server:
        url = new_database(server, "monitoring")
        assert told(tmp_path, url) == told(tmp_path)
        assert told(tmp_path, url, branch="main") == told(tmp_path, branch="main")


# ---- the verb ----


def call(home, *words):
    done = CliRunner().invoke(benchproof, ["metrics", *words, "--home", str(home)], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout


def test_a_branch_that_no_run_is_of_is_said(tmp_path):
    write(tmp_path, 0, passed(1.0))
    done = CliRunner().invoke(
        benchproof, ["metrics", "--branch", "mian", "--home", str(tmp_path)], standalone_mode=False
    )
    assert "no run is of branch 'mian'" in done.stderr
    assert "benchproof_last_median{" not in done.stdout


def test_the_textfile_is_replaced_whole_and_may_be_read_by_others(tmp_path):
    write(tmp_path, 0, passed(80))
    file = tmp_path / "collector" / "benchproof.prom"
    for _ in range(2):
        assert call(tmp_path, "--textfile", str(file)) == (0, "")
    assert medians(parsed(file.read_text())) == {"syscall.getpid.latency": 80}
    assert file.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_without_an_option_the_text_is_printed_and_json_says_the_same(tmp_path):
    write(tmp_path, 0, passed(80))
    _, text = call(tmp_path)
    assert medians(parsed(text)) == {"syscall.getpid.latency": 80}
    _, document = call(tmp_path, "--json")
    assert json.loads(document)[0]["samples"][0]["value"] == 80


@pytest.mark.parametrize(
    "words",
    [
        ("--textfile", "f", "--otlp", "http://h"),
        ("--json", "--otlp", "http://h"),
        ("--listen", "nonsense"),
        ("--listen", "0.0.0.0:0"),
    ],
)
def test_what_makes_no_sense_is_a_wrong_question(tmp_path, words):
    write(tmp_path, 0, passed(80))
    with pytest.raises(UsageError):
        call(tmp_path, *words)


def fetched(url):
    """(status, content type, text)."""
    try:
        answer = urllib.request.urlopen(url, timeout=30)  # noqa: S310 - of a server of ours
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


def test_the_endpoint_serves_one_page_and_shows_what_came_since(tmp_path):
    write(tmp_path, 0, passed(80))
    command = [sys.executable, "-m", "benchproof", "metrics", "--listen", "127.0.0.1:0", "--home", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            url = server.stderr.readline().split()[-1]
            status, content_type, text = fetched(url)
            assert (status, content_type) == (200, monitoring.CONTENT_TYPE)
            assert medians(parsed(text)) == {"syscall.getpid.latency": 80}
            write(tmp_path, 1, passed(90))
            assert medians(parsed(fetched(url)[2])) == {"syscall.getpid.latency": 90}
            assert fetched(url.replace("/metrics", "/../../etc/passwd"))[0] == 404
        finally:
            server.terminate()
            server.wait(30)


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_index_that_cannot_be_read_is_no_page_and_no_end_of_the_server():
    def made():
        raise UsageError("no runs")

    with serving(Page("127.0.0.1:0", made, content_type=monitoring.CONTENT_TYPE)) as page:
        for _ in range(2):
            assert fetched(page.url) == (503, "text/plain; charset=utf-8", "no runs\n")
        with pytest.raises(UsageError, match="cannot listen"):
            Page(f"127.0.0.1:{page.server_port}", made, content_type="")
