"""`benchproof trend` and `benchproof index`, from folders of runs to what a user reads and a script decides by."""

from __future__ import annotations

import json
import random

import pytest
from click.testing import CliRunner

from benchproof.analysis.trend import LEAST_POINTS
from benchproof.cli import benchproof
from benchproof.errors import UsageError
from benchproof.model import Unverified
from runs import envelope, history, passed, together, write


def call(*words, home):
    """(exit status, standard output, standard error)."""
    done = CliRunner().invoke(benchproof, [*words, "--home", str(home)], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout, done.stderr


@pytest.fixture(scope="module")
def worsened(tmp_path_factory):
    """10 runs of another compiler, then 50 in which the 36th came with a kernel that is 8 % slower."""
    home = tmp_path_factory.mktemp("worsened")
    history(home, (80, 10), described=envelope(probe_compiler="gcc 11"))
    draw = random.Random("worsened")
    for number in range(10, 60):
        slow = number >= 45
        noise = 1 + 0.01 * draw.gauss(0, 1)
        both = together(
            passed(82 * noise * (1.08 if slow else 1)),
            passed(2e9 * noise, metric="memory.throughput", unit="bytes/s", better="higher"),
        )
        write(home, number, both, described=envelope(system_kernel="6.12.0" if slow else "6.1.0"))
    return home


def test_a_regression_is_shown_with_its_runs_commits_and_kernels_and_sets_the_exit_status(worsened):
    status, text, _ = call("trend", home=worsened)
    assert status == 1
    lines = [line.strip() for line in text.splitlines()]
    (row,) = [line for line in lines if "syscall.getpid.latency" in line]
    assert row.split() == ["linux", "syscall.getpid.latency", "50", "WORSE"]
    assert "probe.compiler: gcc 11 -> gcc 12" in lines
    assert f"between 20260214T000000Z-00002c ({'0' * 12}) and 20260215T000000Z-00002d ({'0' * 12})" in lines
    assert "system kernel: 6.1.0 -> 6.12.0" in lines
    assert "2 series: 1 steady, 1 worse" in lines


def test_one_metric_alone_may_be_asked_for(worsened):
    status, text, _ = call("trend", "memory.throughput", "--target", "linux", "--branch", "main", home=worsened)
    assert status == 0
    assert "syscall.getpid.latency" not in text


def test_the_json_document_says_the_same(worsened):
    status, text, _ = call("trend", "--json", home=worsened)
    document = json.loads(text)
    assert document["exit_status"] == status == 1
    (found,) = [each for each in document["trends"] if each["metric"] == "syscall.getpid.latency"]
    (change,) = found["stretches"][-1]["changes"]
    assert (change["direction"], change["state"], change["points"]) == ("worse", "confirmed", 15)
    assert change["after"]["commit"] == f"{45:040x}"[:12]


def test_a_least_change_may_be_stated(worsened):
    assert call("trend", "--least", "20 %", home=worsened)[0] == 0
    with pytest.raises(UsageError, match="--least: expected an amount"):
        call("trend", "--least", "much", home=worsened)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("syscall.getpd",), "did you mean 'syscall.getpid'"),
        (("--target", "lunix"), "did you mean 'linux'"),
        (("--branch", "mian"), "did you mean 'main'"),
    ],
)
def test_a_name_that_no_run_has_is_a_wrong_question(worsened, words, answer):
    with pytest.raises(UsageError) as caught:
        call("trend", *words, home=worsened)
    assert answer in str(caught.value)


def test_without_runs_there_is_a_way_to_get_them(tmp_path):
    with pytest.raises(UsageError, match="`benchproof run` makes one"):
        call("trend", home=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_short_history_is_no_answer(tmp_path):
    history(tmp_path, (80, 4))
    status, text, _ = call("trend", home=tmp_path)
    assert status == 3
    assert f"undecided: 4 runs, change points need {LEAST_POINTS}" in text


def test_the_figure_of_every_run_can_be_read_and_three_runs_within_3_ms_are_no_regression(tmp_path):
    for day, value_ms in enumerate((110.20, 112.15, 109.80)):
        write(tmp_path, day, passed(value_ms * 1e6, metric="spawn.latency"), labels={"version": f"week-{day}"})
    status, text, _ = call("trend", "spawn.latency", "--points", home=tmp_path)
    assert status == 3
    assert [line.split()[0] for line in text.splitlines() if " ms " in line] == ["110.2", "112.2", "109.8"]
    assert "112.2 ms  20260102T000000Z-000001 (week-1)" in text
    assert "worse" not in text


def test_imported_runs_have_a_trend_and_are_flagged(tmp_path):
    draw = random.Random("imported")
    for number in range(36):
        value = (100 if number < 20 else 130) * (1 + 0.02 * draw.gauss(0, 1))
        (outcome,) = passed(value)
        labels = {"version": f"1.3.{number}"}
        write(tmp_path, number, [Unverified(source="capsem", measurements=outcome.measurements)], labels=labels)
    status, text, _ = call("trend", home=tmp_path)
    assert status == 1
    assert "36 of 36 runs were imported and not verified" in text
    assert "(1.3.19) and 20260121T000000Z-000014 (1.3.20)" in text


def test_a_damaged_run_is_named_and_the_trend_is_of_the_others(tmp_path):
    paths = history(tmp_path, (80, 4))
    (paths[2] / "manifest.json").write_text("{")
    _, text, talk = call("trend", home=tmp_path)
    assert "undecided: 3 runs" in text
    assert len([line for line in talk.splitlines() if "left out" in line and paths[2].name in line]) == 1


def test_the_index_is_made_anew_with_one_command(tmp_path):
    paths = history(tmp_path, (80, 4))
    assert call("index", "update", home=tmp_path)[:2] == (0, "4 runs: 4 added, 0 removed, 0 left out\n")
    (tmp_path / "index.sqlite").write_bytes(b"gone" * 2000)
    (paths[0] / "results.jsonl").write_bytes(b"")
    status, text, _ = call("index", "rebuild", home=tmp_path)
    assert status == 1
    assert text.splitlines()[-1] == "3 runs: 3 added, 0 removed, 1 left out"


def test_a_moved_boundary_is_said_on_both_metrics(tmp_path):
    draw = random.Random("boundary")
    for number in range(60):
        moved = 20 * (number >= 30)
        parts = {"boot.kernel": 100 - moved, "boot.agent": 100 + moved}
        outcomes = [passed(level * (1 + 0.01 * draw.gauss(0, 1)), metric=name) for name, level in parts.items()]
        write(tmp_path, number, together(*outcomes))
    _, text, _ = call("trend", home=tmp_path)
    assert text.count("moved boundary: boot.agent went up, boot.kernel went down, their sum did not change") == 2
