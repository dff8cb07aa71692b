"""Baselines: the newest complete, verified run of what was named, or one line that says what there is."""

from __future__ import annotations

import pytest

from benchproof.baselines import baseline, is_spec
from benchproof.errors import UsageError
from benchproof.model import Failed, Unverified
from runs import passed, write


@pytest.fixture
def home(tmp_path):
    """Days 0 to 6; day 6 is on another branch."""
    home = tmp_path / "home"
    labels = [{"branch": "main", "commit": f"abc{day}"} for day in range(6)] + [{"branch": "topic", "commit": "xyz"}]
    labels[1]["tag"] = "v1"
    for day, each in enumerate(labels):
        write(home, day, passed(1.0), labels=each, run_id=f"day{day}")
    return home


def named(spec, home, **options):
    return baseline(spec, home=home, **options).name


@pytest.mark.parametrize(
    ("spec", "run"),
    [
        ("last", "day6"),
        ("branch:main", "day5"),
        ("branch:topic", "day6"),
        ("commit:abc2", "day2"),
        ("commit:xy", "day6"),
        ("tag:v1", "day1"),
        ("run:day3", "day3"),
    ],
)
def test_a_baseline_is_named_by_what_it_measured(home, spec, run):
    assert is_spec(spec)
    assert named(spec, home) == run


def test_the_newest_run_of_a_commit_is_its_baseline(home):
    write(home, 9, passed(1.0), labels={"commit": "abc2"}, run_id="again")
    assert named("commit:abc2", home) == "again"


def test_a_run_is_not_its_own_baseline(home):
    assert named("branch:main", home, but_not="day5") == "day4"


@pytest.mark.parametrize(
    ("outcomes", "options"),
    [
        (passed(1.0), {"complete": False}),
        ([Failed(violations=("wrong",))], {}),
        ([Unverified(source="capsem", measurements=passed(1.0)[0].measurements)], {}),
        (passed(1.0), {"labels": {"branch": "main", "commit": "abc9", "dirty": "yes"}}),
    ],
)
def test_what_is_incomplete_wrong_imported_or_of_changed_files_is_never_a_baseline(home, outcomes, options):
    write(home, 9, outcomes, **({"labels": {"branch": "main", "commit": "abc9"}} | options))
    assert named("branch:main", home) == "day5"
    with pytest.raises(UsageError, match="no run is a baseline 'commit:abc9': 1 would be, but"):
        named("commit:abc9", home)


def test_a_damaged_run_is_never_a_baseline(home):
    (home / "runs" / "day6" / "results.jsonl").write_bytes(b"")
    assert named("last", home) == "day5"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("branch:mian", "known, the newest first: topic, main"),
        ("tag:v2", "known, the newest first: v1"),
        ("run:nope", "`benchproof list runs`"),
        ("commit:abc", "is the beginning of 6 names: abc0, abc1"),
        ("run:day", "is the beginning of 7 names"),
        ("branch:", "expected a baseline such as"),
        ("main", "expected a baseline such as"),
    ],
)
def test_what_names_no_run_or_several_is_one_line_that_says_what_there_is(home, spec, words):
    with pytest.raises(UsageError) as caught:
        named(spec, home)
    assert words in str(caught.value)


def test_a_home_without_runs_says_so(tmp_path):
    with pytest.raises(UsageError, match="no runs in"):
        named("last", tmp_path)


def test_a_folder_or_an_id_is_no_spec():
    assert not any(map(is_spec, ("20261120", "./runs/x", "lastly")))
