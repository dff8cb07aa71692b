"""Who has to know is told once that something became worse, once that it is good again, and of noise never."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from benchproof.alerts import check, rules, state
from benchproof.cli import benchproof
from benchproof.errors import StoreError, UsageError
from benchproof.model import Failed
from benchproof.store.index import Index
from receivers import receiver
from runs import START, history, passed, write
from test_gate_verb import LATENCY, THROUGHPUT, a_run, noisy

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "a secret of the two of us"  # noqa: S105 - of this file
WORSE = '[rules.slower]\nworse = "5 %"\n'
GATED = {LATENCY: {"statistic": "median", "limit": "< 50 ns"}}
FIRST, SECOND = "20261120T000000Z-000001", "20261121T000000Z-000002"


@pytest.fixture
def team(monkeypatch):
    monkeypatch.setenv("BP_SECRET", SECRET)
    with receiver() as server:
        yield server


def stated(tmp_path, text, *servers):
    """The rules, with a signed webhook for each server."""
    tables = [
        f'[channels.team{n}]\nwebhook = "{each.url}"\nsecret = {{ env = "BP_SECRET" }}\n'
        for n, each in enumerate(servers)
    ]
    path = tmp_path / "alerts.toml"
    path.write_text("".join([*text.partition("[rules")[:1], *tables, *text.partition("[rules")[1:]]))
    return path


def checked(path, home, *, now=NOW, dry_run=False):
    return check.check(rules.load(path), home=home, index=None, now=now, dry_run=dry_run, say=lambda _: None)


def events(server):
    """What it was told, message by message."""
    return [[each["event"] for each in json.loads(body)["events"]] for _, _, body in server.requests]


def states(found):
    return [(each.rule, each.state) for each in found.findings]


@pytest.fixture(scope="module")
def slower(tmp_path_factory):
    """30 runs, then 10 that are 8 % slower."""
    home = tmp_path_factory.mktemp("slower")
    history(home, (80, 30), (80 * 1.08, 10))
    with Index(home) as index:
        index.update()
    return home


@pytest.fixture
def home(slower, tmp_path):
    return shutil.copytree(slower, tmp_path / "home")


# ---- what is bad ----


@pytest.mark.parametrize(
    ("worse", "found"), [("5 %", "bad"), ("7.8 %", "undecided"), ("8.3 %", "undecided"), ("12 %", "good")]
)
def test_a_trend_alarms_only_if_the_whole_interval_of_the_change_is_beyond_the_threshold(home, tmp_path, worse, found):
    result = checked(stated(tmp_path, f'[rules.slower]\nworse = "{worse}"\n'), home)
    assert states(result) == [("slower", found)]
    assert result.exit_status == {"bad": 1, "undecided": 3, "good": 0}[found]


def test_the_message_says_by_how_much_how_sure_and_since_which_run(home, tmp_path):
    (found,) = checked(stated(tmp_path, WORSE), home).findings
    assert "worse than the best level (" in found.text
    assert "on this level since run 20260131T000000Z-00001e (000000000000)" in found.text


def test_levels_that_ended_before_a_date_are_accepted_as_gone(home, tmp_path):
    after = f"{START + timedelta(days=35):%Y-%m-%d}"
    assert states(checked(stated(tmp_path, f'{WORSE}since = "{after}"\n'), home)) == [("slower", "good")]
    before = f"{START + timedelta(days=25):%Y-%m-%d}"
    assert states(checked(stated(tmp_path, f'{WORSE}since = "{before}"\n'), home)) == [("slower", "bad")]


def test_small_steps_that_add_up_alarm_though_each_of_them_is_within_the_threshold(tmp_path):
    home = tmp_path / "home"
    history(home, (80, 10), (83.2, 10), (86.5, 10), sd=0.003)
    path = stated(tmp_path, '[rules.creep]\nworse = "6 %"\n')
    assert states(checked(path, home)) == [("creep", "bad")]


def test_one_wild_run_and_a_short_history_alarm_nobody(tmp_path):
    home = tmp_path / "home"
    history(home, (80, 8))
    path = stated(tmp_path, WORSE)
    assert states(checked(path, home)) == [("slower", "undecided")]
    history(home, (80, 21), start=8)
    write(home, 29, passed(800))
    assert states(checked(path, home)) == [("slower", "good")]


def test_a_baseline_is_judged_as_gates_are_and_a_lost_metric_is_bad(tmp_path):
    home = tmp_path / "home"
    labels = {"branch": "main"}
    a_run(home, FIRST, labels=labels, host={LATENCY: noisy(), THROUGHPUT: noisy(2e9)})
    a_run(home, SECOND, host={LATENCY: noisy(150, seed=2)})
    path = stated(tmp_path, '[rules.main]\nworse = "10 %"\nagainst = "branch:main"\n')
    found = {each.subject.metric: each for each in checked(path, home).findings}
    assert [found[f"{name}"].state for name in ("syscall.getpid.latency", "ipc.pipe.throughput")] == ["bad", "bad"]
    assert "limit < 1.1" in found["syscall.getpid.latency"].text
    assert "has it" in found["ipc.pipe.throughput"].text


def test_what_may_be_drift_between_two_runs_is_undecided_and_what_is_better_is_good(tmp_path):
    home = tmp_path / "home"
    a_run(home, FIRST, labels={"tag": "v1"}, host={LATENCY: noisy(), THROUGHPUT: noisy(2e9)})
    a_run(home, SECOND, host={LATENCY: noisy(112, seed=2), THROUGHPUT: noisy(9e9)})
    path = stated(tmp_path, '[rules.v1]\nworse = "10 %"\nagainst = "tag:v1"\n')
    found = {each.subject.metric: each.state for each in checked(path, home).findings}
    assert found == {"syscall.getpid.latency": "undecided", "ipc.pipe.throughput": "good"}


def test_a_gate_of_the_plan_that_is_not_met_is_bad_and_runs_without_gates_are_passed_over(tmp_path):
    home = tmp_path / "home"
    a_run(home, FIRST, gates=GATED, host={LATENCY: noisy()})
    a_run(home, SECOND, host={LATENCY: noisy()})
    found = checked(stated(tmp_path, '[rules.gates]\ngates = "plan"\n'), home)
    assert states(found) == [("gates", "bad")]
    assert "NOT MET: syscall.getpid of host" in found.findings[0].text
    assert FIRST in found.findings[0].text


def test_a_run_in_which_everything_failed_is_judged_by_a_policy(tmp_path):
    home = tmp_path / "home"
    a_run(home, FIRST, host={LATENCY: [Failed(violations=("wrong sum",))] * 3})
    (tmp_path / "policy.toml").write_text(f'[gates."{LATENCY}"]\nmust_pass = true\n')
    assert states(checked(stated(tmp_path, '[rules.gates]\ngates = "policy.toml"\n'), home)) == [("gates", "bad")]


@pytest.mark.parametrize(("hours", "found"), [(23.9, "good"), (24.1, "bad")])
def test_no_verified_figure_for_too_long_is_bad_and_a_failed_run_is_none(tmp_path, hours, found):
    home = tmp_path / "home"
    write(home, 0, passed(80))
    write(home, 1, [Failed(violations=("wrong sum",))])
    path = stated(tmp_path, '[rules.nightly]\nno_run_for = "24 h"\n')
    assert states(checked(path, home, now=START + timedelta(hours=hours))) == [("nightly", found)]


def test_a_rule_whose_names_match_nothing_is_undecided_and_hides_no_other(home, tmp_path):
    found = checked(stated(tmp_path, '[rules.typo]\nbenchmark = "syscal.*"\nworse = "5 %"\n' + WORSE), home)
    assert states(found) == [("typo", "undecided"), ("slower", "bad")]
    assert "nothing matches benchmark 'syscal.*'" in found.findings[0].text
    assert found.undecided == ("typo",)
    branch = stated(tmp_path, '[rules.typo]\nbranch = "mian"\nworse = "5 %"\n')
    assert "did you mean 'main'" in checked(branch, home).findings[0].text
    name = stated(tmp_path, '[rules.typo]\nbenchmark = "syscall.getpd"\nworse = "5 %"\n')
    assert "did you mean 'syscall.getpid'" in checked(name, home).findings[0].text


# ---- who is told, and how often ----


def test_the_same_trouble_is_told_once_then_after_the_reminder_and_its_end_once(home, tmp_path, team):
    path = stated(tmp_path, f'reminder = "24 h"\n{WORSE}', team)
    for hours in (0, 1, 23):
        assert checked(path, home, now=NOW + timedelta(hours=hours)).exit_status == 1
    assert events(team) == [["opened"]]
    for hours in (24, 25):
        checked(path, home, now=NOW + timedelta(hours=hours))
    assert events(team) == [["opened"], ["reminder"]]
    history(home, (80, 6), start=40)
    for hours in (26, 27):
        assert checked(path, home, now=NOW + timedelta(hours=hours)).exit_status == 0
    assert events(team) == [["opened"], ["reminder"], ["recovered"]]
    assert state.load(home).incidents == ()
    told = [json.loads(body)["events"][0] for _, _, body in team.requests]
    assert len({each["id"] for each in told}) == 3
    assert told[2]["since"] == "2026-11-21T12:00:00+00:00"
    assert told[2]["ended"] == "2026-11-22T14:00:00+00:00"


def test_what_is_undecided_opens_nothing_and_ends_nothing(home, tmp_path, team):
    checked(stated(tmp_path, WORSE, team), home)
    unsure = stated(tmp_path, WORSE.replace("5 %", "7.8 %"), team)
    found = checked(unsure, home)
    assert states(found) == [("slower", "undecided")]
    assert found.exit_status == 1
    assert events(team) == [["opened"]]


def test_a_channel_that_is_dead_hears_it_next_time_and_the_others_hear_it_once(home, tmp_path, team):
    with receiver() as other:
        path = stated(tmp_path, WORSE, team, other)
        other.status = 503
        found = checked(path, home)
        assert [each.problem for each in found.deliveries] == [
            "",
            "channel 'team1': the receiver answered 503",
        ]
        other.status = 200
        assert not any(each.problem for each in checked(path, home).deliveries)
        assert events(team) == [["opened"]]
        assert events(other) == [["opened"], ["opened"]]
        first, again = (json.loads(body)["events"][0]["id"] for _, _, body in other.requests)
        assert first == again, "whoever heard it all the same can tell"


def test_who_could_not_be_told_is_exit_status_3_even_if_all_is_good_again(home, tmp_path, team):
    path = stated(tmp_path, WORSE, team)
    team.status = 500
    checked(path, home)
    history(home, (80, 6), start=40)
    assert checked(path, home).exit_status == 3
    team.status = 200
    assert checked(path, home).exit_status == 0
    assert events(team) == [["opened"], ["recovered"], ["recovered"]]
    assert state.load(home).incidents == ()


def test_trouble_that_comes_back_before_its_end_was_heard_is_not_told_twice(home, tmp_path, team):
    path = stated(tmp_path, WORSE, team)
    good = stated(tmp_path / "home", WORSE.replace("5 %", "20 %"), team)
    checked(path, home)
    team.status = 500
    checked(good, home)
    team.status = 200
    checked(path, home)
    assert events(team) == [["opened"], ["recovered"]]
    checked(good, home)
    assert events(team)[2:] == [["recovered"]]
    checked(path, home)
    assert events(team)[3:] == [["opened"]]


def test_checks_at_the_same_time_tell_it_once(home, tmp_path, team):
    path = stated(tmp_path, WORSE, team)
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(checked(path, home).exit_status)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert statuses == [1] * 4
    assert events(team) == [["opened"]]


def test_a_rule_in_review_is_told_and_never_changes_the_exit_status_and_one_that_is_off_is_forgotten(
    home, tmp_path, team
):
    assert checked(stated(tmp_path, f'{WORSE}mode = "review"\n', team), home).exit_status == 0
    assert events(team) == [["opened"]]
    assert checked(stated(tmp_path, f'{WORSE}mode = "off"\n', team), home).exit_status == 0
    assert state.load(home).incidents == ()


def test_a_rule_tells_only_its_own_channels(home, tmp_path, team):
    with receiver() as other:
        checked(stated(tmp_path, f'{WORSE}channels = ["team1"]\n', team, other), home)
        assert (events(team), events(other)) == ([], [["opened"]])


def test_a_dry_run_tells_nobody_and_writes_nothing(home, tmp_path, team):
    found = checked(stated(tmp_path, WORSE, team), home, dry_run=True)
    assert [(each.channel, each.events) for each in found.deliveries] == [
        ("team0", (("opened", "syscall.getpid.latency of linux"),))
    ]
    assert team.requests == []
    assert not [name for name in (state.STATE, state.LOCK) if (home / name).exists()]


# ---- the file in between ----


@pytest.mark.parametrize("content", [b"{", b'{"format": 9}', b'{"incidents": 1}', b"\xff"])
def test_a_state_that_is_not_ours_is_refused_and_not_begun_anew(home, tmp_path, team, content):
    (home / state.STATE).write_bytes(content)
    with pytest.raises(StoreError, match="move it away"):
        checked(stated(tmp_path, WORSE, team), home)
    assert team.requests == []


def test_no_link_is_followed_to_the_state_or_its_lock(home, tmp_path):
    for name in (state.LOCK, state.STATE):
        (home / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match=name):
            checked(stated(tmp_path, WORSE), home)
        (home / name).unlink()
    assert not (tmp_path / "elsewhere").exists()


# ---- the verb and its rules ----


def call(*words):
    done = CliRunner().invoke(benchproof, ["alert", *map(str, words)], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout, done.stderr


def test_the_verb_says_what_is_open_who_was_told_and_exits_with_1(home, tmp_path, team):
    path = stated(tmp_path, WORSE, team)
    status, text, talk = call("--rules", path, "--home", home)
    assert status == 1
    assert text.startswith("OPEN slower: syscall.getpid.latency of linux: +")
    assert text.endswith("slower: 1 bad\n")
    assert "channel 'team0' was told: opened syscall.getpid.latency of linux" in talk
    status, text, _ = call("--rules", path, "--home", home, "--json")
    document = json.loads(text)
    assert document["exit_status"] == status == 1
    assert document["open"][0]["told"]["team0"]["event"] == "opened"


def test_a_test_message_shows_which_channels_work(home, tmp_path, team):
    path = stated(tmp_path, WORSE, team)
    assert call("--rules", path, "--test") == (0, "team0: works\n", "")
    team.status = 404
    assert call("--rules", path, "--test")[:2] == (3, "team0: channel 'team0': the receiver answered 404\n")
    with pytest.raises(UsageError, match="found both"):
        call("--rules", path, "--test", "--dry-run")


def test_without_rules_or_runs_there_is_a_way_to_get_them(tmp_path):
    with pytest.raises(UsageError, match=r"docs/alerts.md shows one"):
        rules.load(tmp_path / "alerts.toml")
    with pytest.raises(UsageError, match="`benchproof run` makes one"):
        checked(stated(tmp_path, WORSE), tmp_path / "nowhere")
