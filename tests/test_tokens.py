"""Tokens: shown once, kept as hashes, of one scope, with an end, revocable, whoever asks at the same time."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from benchproof.errors import StoreError, UsageError
from benchproof.web.tokens import FILE, Tokens

DAY = timedelta(days=1)


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(tmp_path, clock):
    return Tokens(tmp_path / "home", clock)


def file_of(tmp_path):
    return tmp_path / "home" / FILE


def test_a_token_opens_its_own_scope_and_no_other(tokens):
    text = tokens.create("ci", "upload", lasts=DAY)
    assert tokens.admit(text, "upload").name == "ci"
    assert tokens.admit(text, "read") is None


def test_what_is_kept_is_a_hash_in_a_file_for_its_owner_alone(tokens, tmp_path):
    text = tokens.create("ci", "upload", lasts=DAY)
    assert len(text) >= 43  # 256 bits
    assert text.encode() not in file_of(tmp_path).read_bytes()
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "bp_", "bp_" + "A" * 43, "\udce4", "ci", "x" * 100_000])
def test_what_is_no_token_opens_nothing(tokens, text):
    tokens.create("ci", "upload", lasts=DAY)
    assert tokens.admit(text, "upload") is None


def test_a_hash_from_the_file_opens_nothing(tokens):
    tokens.create("ci", "upload", lasts=DAY)
    assert tokens.admit(tokens.all()[0].sha256, "upload") is None


def test_a_token_opens_nothing_from_its_last_second_on(tokens, clock):
    text = tokens.create("ci", "upload", lasts=DAY)
    clock.now += DAY - timedelta(seconds=1)
    assert tokens.admit(text, "upload")
    clock.now += timedelta(seconds=1)
    assert tokens.admit(text, "upload") is None


def test_a_token_without_an_end_stays(tokens, clock):
    text = tokens.create("ci", "upload", lasts=None)
    clock.now += 10_000 * DAY
    assert tokens.admit(text, "upload")


def test_a_revoked_token_opens_nothing_and_its_name_stays_taken(tokens, clock):
    text = tokens.create("ci", "upload", lasts=DAY)
    revoked = tokens.revoke("ci").revoked
    assert tokens.admit(text, "upload") is None
    clock.now += DAY
    assert tokens.revoke("ci").revoked == revoked
    with pytest.raises(UsageError, match="already, or was"):
        tokens.create("ci", "read", lasts=DAY)


def test_use_is_noted_once_a_minute(tokens, clock, tmp_path):
    text = tokens.create("ci", "read", lasts=DAY)
    assert tokens.all()[0].last_used is None
    tokens.admit(text, "read")
    written = file_of(tmp_path).stat().st_ino
    clock.now += timedelta(seconds=59)
    tokens.admit(text, "read")
    assert file_of(tmp_path).stat().st_ino == written
    clock.now += timedelta(seconds=1)
    tokens.admit(text, "read")
    assert tokens.all()[0].last_used == clock.now


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "a" * 64, "<b>", "a\n"])
def test_a_name_that_would_not_do_in_a_list_is_refused(tokens, name):
    with pytest.raises(UsageError, match="expected a name"):
        tokens.create(name, "upload", lasts=DAY)


def test_a_file_that_others_can_read_is_refused_with_the_remedy(tokens, tmp_path):
    text = tokens.create("ci", "upload", lasts=DAY)
    file_of(tmp_path).chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        tokens.admit(text, "upload")


def test_a_link_a_pipe_or_rubbish_in_place_of_the_file_is_refused(tokens, tmp_path):
    tokens.create("ci", "upload", lasts=DAY)
    path = file_of(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        tokens.all()
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(StoreError):
        tokens.all()
    path.unlink()
    path.touch(0o600)
    for content in (b"", b"{", b'{"tokens": [{}]}', b"\xff"):
        path.write_bytes(content)
        with pytest.raises(StoreError, match="damaged"):
            tokens.all()


def test_many_at_once_lose_no_token(tokens):
    threads = [threading.Thread(target=tokens.create, args=(f"t{n}", "read"), kwargs={"lasts": DAY}) for n in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {each.name for each in tokens.all()} == {f"t{n}" for n in range(16)}


# ---- the verb ----


def token(home, *words):
    command = [sys.executable, "-m", "benchproof", "token", *words, "--home", home]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_verb_prints_the_token_alone_then_lists_and_revokes_it(tmp_path):
    made = token(tmp_path, "create", "ci", "--scope", "upload", "--expires", "12h")
    text = made.stdout.strip()
    assert made.returncode == 0
    assert Tokens(tmp_path).admit(text, "upload")
    assert text not in made.stderr
    (row,) = json.loads(token(tmp_path, "list", "--json").stdout)
    assert (row["name"], row["scope"], row["state"]) == ("ci", "upload", "valid")
    assert token(tmp_path, "revoke", "ci").returncode == 0
    assert "revoked" in token(tmp_path, "list").stdout
    assert Tokens(tmp_path).admit(text, "upload") is None


def test_the_verb_says_what_it_cannot_do(tmp_path):
    asked = {
        "expected days such as 90d": ["create", "ci", "--scope", "upload", "--expires", "soon"],
        "no token is called 'ci'": ["revoke", "ci"],
        "is not one of": ["create", "ci", "--scope", "everything"],
    }
    for words, command in asked.items():
        done = token(tmp_path, *command)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
