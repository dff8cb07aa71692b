"""Whatever letters a stream has and however it ends: no exception, no lost word, no document that is none any more."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from benchproof import letters
from benchproof.cli import output
from test_gate_verb import a_run, noisy

ASCII = {"PYTHONIOENCODING": "ascii"}
LATIN = {"PYTHONIOENCODING": "latin-1"}
OLD = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX"}


def written(text, encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    letters.prepare(stream)
    stream.write(text)
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("ascii", "5 +-3 --|o| .@ caf\\u00e9"), ("latin-1", "5 ±3 --|o| .@ café"), ("utf-8", "5 ±3 ──│●│ ▁█ café")],
)
def test_what_cannot_be_written_looks_alike_or_is_escaped(encoding, expected):
    assert written("5 ±3 ──│●│ ▁█ café", encoding) == expected


def test_a_document_stays_one_in_ascii():
    said = {"note": "±5 % “café” \U0001f600 ─"}
    read = json.loads(written(json.dumps(said, ensure_ascii=False), "ascii"))
    assert read == {"note": "+-5 % “café” \U0001f600 -"}


def test_every_look_alike_is_ascii_that_neither_ends_a_string_nor_begins_markup():
    assert all(
        text.isascii() and text.isprintable() and not set(text) & set('"\\[]') for text in letters.LOOKALIKES.values()
    )
    assert all(len(text) == 1 for name, text in letters.LOOKALIKES.items() if name not in "±…")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-encoding", "utf-8"])
def test_plain_text_can_be_written_where_it_was_made_for(encoding):
    text = letters.plain("─●┊ ±", encoding)
    assert (text == "─●┊ ±") == (encoding == "utf-8")
    assert letters.knows(encoding, text)


# ---- the command line as a whole ----


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run whose names have letters that few encodings have."""
    folder = tmp_path_factory.mktemp("letters") / "home"
    a_run(folder, "20260101T000000Z-aaaaaa", **{"café µ 日本": {"syscall.getpid": noisy()}})
    return folder


def call(*arguments, cwd, **more):
    environment = {name: value for name, value in os.environ.items() if name not in {"TERM", "LC_ALL", "NO_COLOR"}}
    options = {"capture_output": True} | more
    options["env"] = environment | options.get("env", {})
    return subprocess.run([sys.executable, "-m", "benchproof", *arguments], cwd=cwd, check=False, timeout=60, **options)


ENCODINGS = {"ascii": ASCII, "posix": OLD, "latin-1": LATIN}
FORMS = ("terminal", "json", "csv", "markdown")
ELSEWHERE = {"posix": ("json",), "latin-1": ("json", "terminal")}  # in ASCII each form; it is one stream for all


@pytest.mark.parametrize(
    ("environment", "form"),
    [
        pytest.param(
            environment,
            form,
            id=f"{name}-{form}",
            marks=() if form in ELSEWHERE.get(name, FORMS) else pytest.mark.soak,
        )
        for name, environment in ENCODINGS.items()
        for form in FORMS
    ],
)
def test_a_report_is_written_in_the_letters_that_there_are(home, environment, form):
    done = call("report", "last", "--format", form, "--home", home, cwd=home, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("latin-1")
    assert text.isascii() == (environment != LATIN)
    assert "\\u65e5" in text
    if form == "json":
        assert "日本" in json.dumps(json.loads(text), ensure_ascii=False)


def test_a_complaint_about_a_foreign_word_is_written_in_ascii(home):
    done = call("report", "日本", "--home", home, cwd=home, env=ASCII)
    assert (done.returncode, done.stderr.isascii()) == (2, True)
    assert b"no run is called '\\u65e5\\u672c'" in done.stderr


def test_who_asks_for_the_locale_of_c_sees_no_other_letters_of_ours(home):
    assert b"\xe2\x94\x80" in call("report", "--home", home, cwd=home).stdout
    assert b"\xe2\x94\x80" not in call("report", "--home", home, cwd=home, env={"LC_ALL": "C"}).stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list", "benchmarks"], ["report"], ["report", "--json"], ["run", "-h"]]
)
def test_a_reader_that_left_ends_us_as_the_signal_would(home, arguments):
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        environment = {"BENCHPROOF_HOME": str(home)}
        done = call(*arguments, cwd=home, env=environment, capture_output=False, stdout=theirs, stderr=subprocess.PIPE)
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_no_reason_for_a_traceback_and_takes_no_file_s_place(home, closed):
    ours = f"'{sys.executable}' -m benchproof"
    command = f"{ours} report last --home '{home}' {closed}; echo $? >status; {ours} list runs --home '{home}'"
    done = subprocess.run(["sh", "-c", command], cwd=home, capture_output=True, text=True, check=True, timeout=60)
    assert (home / "status").read_text() == "0\n"
    assert ("complete, 12 results" in done.stdout, done.stderr) == (True, "")


# ---- colour and width ----


def test_colour_that_was_asked_for_comes_through_a_pipe_and_no_other_does(home):
    assert b"\x1b[" in call("report", "--home", home, cwd=home, env={"FORCE_COLOR": "1"}).stdout
    assert b"\x1b[" not in call("report", "--home", home, cwd=home).stdout
    assert b"\x1b[" not in call("report", "--format", "csv", "--home", home, cwd=home, env={"FORCE_COLOR": "1"}).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"CLICOLOR": "0"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ({"TERM": "dumb", "CLICOLOR_FORCE": "0"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_colour_is_where_it_is_wanted(monkeypatch, words, expected, is_terminal):
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    forced = words.get("FORCE_COLOR") == "1" and not words.get("NO_COLOR")
    assert output.in_colour(stream) == (expected if is_terminal else forced)
