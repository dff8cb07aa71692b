"""Labels: whoever speaks of the source speaks for all of it, and git is read and never written."""

from __future__ import annotations

import os
import subprocess

import pytest

from benchproof import labels
from benchproof.errors import UsageError


def git(folder, *words):
    names = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = os.environ | names | {"GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, check=True, text=True, env=environment)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def collected(folder, *given, **environment):
    return labels.collect(given, folder=folder, environment=environment)


def test_a_git_folder_says_commit_and_branch(repository):
    assert collected(repository) == {"commit": git(repository, "rev-parse", "HEAD"), "branch": "main"}


def test_a_tag_is_said_if_it_is_the_only_one(repository):
    git(repository, "tag", "v1")
    assert collected(repository)["tag"] == "v1"
    git(repository, "tag", "v2")
    assert "tag" not in collected(repository)


def test_a_changed_file_makes_it_dirty_and_a_new_one_does_not(repository):
    (repository / "new").write_text("x")
    assert "dirty" not in collected(repository)
    (repository / "file").write_text("two")
    assert collected(repository)["dirty"] == "yes"


def test_a_detached_head_is_of_no_branch(repository):
    git(repository, "checkout", "-q", "--detach")
    assert collected(repository).keys() == {"commit"}


def test_a_folder_without_git_or_without_a_commit_says_nothing(tmp_path):
    assert collected(tmp_path) == {}
    git(tmp_path, "init", "-q")
    assert collected(tmp_path) == {}


def test_git_is_only_read(repository):
    (repository / "file").write_text("one")  # as committed, with a new time: git would like to refresh its index
    before = {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")}
    collected(repository)
    assert {path: path.stat().st_mtime_ns for path in (repository / ".git").rglob("*")} == before


def test_no_program_that_a_folder_names_is_started(repository):
    program = repository / "program"
    program.write_text(f"#!/bin/sh\ntouch {repository}/started\n")
    program.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))
    assert "commit" in collected(repository)
    assert not (repository / "started").exists()


@pytest.mark.parametrize("given", ["commit=abc", "branch=b", "tag=t"])
def test_who_says_one_of_commit_branch_and_tag_speaks_for_all(repository, given):
    name, _, text = given.partition("=")
    assert collected(repository, given, GITHUB_SHA="f" * 40) == {name: text}


def test_an_empty_commit_turns_it_off(repository):
    assert collected(repository, "commit=", "machine=lab") == {"machine": "lab"}


def test_another_label_does_not(repository):
    assert collected(repository, "machine=lab").keys() == {"machine", "commit", "branch"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"GITHUB_SHA": "abc", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch"},
            {"commit": "abc", "branch": "main"},
        ),
        ({"GITHUB_SHA": "abc", "GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"}, {"commit": "abc", "tag": "v1"}),
        (
            {"GITHUB_SHA": "abc", "GITHUB_REF_NAME": "7/merge", "GITHUB_HEAD_REF": "topic"},
            {"commit": "abc", "branch": "topic"},
        ),
        ({"CI_COMMIT_SHA": "abc", "CI_COMMIT_BRANCH": "main"}, {"commit": "abc", "branch": "main"}),
        ({"CI_COMMIT_SHA": "abc", "CI_COMMIT_TAG": "v1"}, {"commit": "abc", "tag": "v1"}),
        (
            {"CI_COMMIT_SHA": "abc", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic"},
            {"commit": "abc", "branch": "topic"},
        ),
    ],
)
def test_ci_knows_what_it_runs_better_than_the_folder(repository, environment, expected):
    assert collected(repository, **environment) == expected


@pytest.mark.parametrize("given", ["commit", "=x", "a b=x", "x=" + "y" * 201, "x=a\nb", "-x=y"])
def test_a_label_that_is_none_is_refused(tmp_path, given):
    with pytest.raises(UsageError, match="--label: expected"):
        collected(tmp_path, given)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, ""),
        ({"commit": "0123456789abcdef"}, "0123456789ab"),
        ({"commit": "release-of-the-day"}, "release-of-the-day"),
        ({"commit": "abc", "dirty": "yes"}, "abc-dirty"),
        ({"tag": "v1", "version": "7"}, "v1"),
        ({"version": "1.3.178"}, "1.3.178"),
        ({"dirty": "yes"}, ""),
    ],
)
def test_what_was_measured_has_one_short_name(given, word):
    assert labels.named(given) == word
