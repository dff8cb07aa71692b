"""What is seen while a run goes on: between invocations alone, trouble at once, a terminal that is left as it was."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from benchproof.cli import progress
from benchproof.errors import Interrupted
from benchproof.model import Failed, Invalid, Passed, Unsupported

GOOD = Passed(measurements=())
PLANNED = [(block, target, "ipc.pipe") for block in (-1, 0, 1) for target in ("host", "guest")]


class Terminal(io.StringIO):
    """A terminal of 79 columns, of which only the text is seen."""

    encoding = "utf-8"

    def isatty(self):
        return True

    @property
    def lines(self):
        """What each drawing put there."""
        text = re.sub(r"\x1b\[[0-9;]*[mK]", "", self.getvalue())
        return [line for line in re.split(r"[\r\n]+", text) if line]


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "LC_ALL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def watched(stream, outcomes, planned=PLANNED):
    with progress.Progress(stream) as found:
        found.planned(planned)
        for invocation, outcome in zip(planned, outcomes, strict=False):
            found.done(*invocation, outcome)
    return found


def test_the_line_says_what_is_running_now_how_much_is_done_and_how_it_went(terminal):
    watched(terminal, [GOOD, Unsupported(reason="no", missing=""), GOOD])
    assert "0/6  how long is not known yet  warm-up: host ipc.pipe  nothing yet" in terminal.lines[0]
    assert re.search(r" 2/6  \d+ s left  block 1: host ipc\.pipe  1 passed, 1 unsupported$", terminal.lines[2])
    assert max(map(len, terminal.lines)) <= 79


@pytest.mark.parametrize("kind", [Failed, Invalid])
def test_trouble_is_told_at_once_above_the_line_and_the_same_trouble_once(terminal, kind):
    word = kind.__name__.lower()
    bad = kind(violations=("3 of 4 bytes",)) if kind is Failed else kind(reason="3 of 4 bytes")
    watched(terminal, [GOOD, bad, GOOD, bad, GOOD, bad])
    told = [number for number, line in enumerate(terminal.lines) if line.startswith("benchproof: ")]
    assert [terminal.lines[number] for number in told] == [
        f"benchproof: {word}: guest ipc.pipe, warm-up: 3 of 4 bytes",
    ]
    assert "2/6" in terminal.lines[told[0] + 1]
    assert f"3 passed, 2 {word}" in terminal.lines[-1]


def test_nothing_of_ours_runs_between_two_drawings(terminal):
    before = threading.enumerate()
    with progress.Progress(terminal) as found:
        found.planned(PLANNED)
        drawn = terminal.getvalue()
        assert threading.enumerate() == before
        time.sleep(0.3)  # as an invocation that takes its time; a bar of a thread would have been drawn anew
        assert terminal.getvalue() == drawn


def test_a_flood_of_troubles_is_cut_and_says_so(terminal):
    watched(terminal, [Failed(violations=(str(n),)) for n in range(50)], planned=[(n, "t", "b") for n in range(60)])
    told = [line for line in terminal.lines if line.startswith("benchproof: ")]
    assert len(told) == 21
    assert told[-1] == "benchproof: more went wrong; all of it is in the report"


def test_hostile_words_of_a_target_do_not_reach_the_terminal(terminal):
    planned = [(0, "a\x1b[2Jb\n", "c"), (1, "a\x1b[2Jb\n", "c")]
    watched(terminal, [Failed(violations=("\x1b]0;gone\x07",))], planned=planned)
    assert "\x1b[2J" not in terminal.getvalue()
    assert "\x1b]" not in terminal.getvalue()


@pytest.mark.parametrize("words", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}])
def test_a_lesser_terminal_gets_what_it_can_show(terminal, monkeypatch, words):
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    watched(terminal, [GOOD] * 6)
    text = terminal.getvalue()
    assert ("\x1b" in text) == (words != {"TERM": "dumb"})
    assert ("\x1b[32m" in text) == ("LC_ALL" in words)
    assert text.isascii() == (words != {"NO_COLOR": "1"})


def test_into_a_file_there_are_plain_lines_and_the_last_one_has_all_counts():
    out = io.StringIO()
    watched(out, [GOOD, Failed(violations=("wrong",)), GOOD, GOOD, GOOD, GOOD])
    lines = out.getvalue().splitlines()
    assert lines[0] == "benchproof: 6 invocations to do"
    assert lines[1] == "benchproof: failed: guest ipc.pipe, warm-up: wrong"
    assert re.fullmatch(r"benchproof: block 2: 6 of 6 invocations, about 0 s left; 5 passed, 1 failed", lines[-1])


def test_each_case_is_reckoned_at_its_own_pace_and_a_new_one_at_that_of_its_target():
    pace = progress.Pace()
    pace.planned([(0, "guest", "boot"), (1, "guest", "boot"), (0, "guest", "pipe"), (0, "host", "x")])
    pace.took("guest", "boot", 10.0)
    assert pace.left_s() == 30.0
    pace.took("guest", "pipe", 2.0)
    assert pace.left_s() == 10.0 + 6.0
    pace.took("host", "x", 0.0)
    assert pace.left_s() == 10.0


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (150, "2 min"), (7260, "2 h 1 min")])
def test_time_is_said_as_people_say_it(seconds, words):
    assert progress._span(seconds) == words


@pytest.mark.parametrize("width", [1, 8, 20, 40, 80, 200])
def test_the_line_never_wraps(width):
    words = ["116/224", "8 s left", "block 3: bwrap ipc.pipe", "114 passed, 2 failed"]
    line = progress._fitted(words, 0.5, width)
    assert len(line) <= width
    assert width < 20 or "116/224" in line
    assert width < 80 or all(word in line for word in words)


def test_the_bar_is_as_long_at_the_end_as_at_the_beginning():
    words = ["116/224", "8 s left", "block 3: bwrap ipc.pipe", "114 passed, 2 failed"]
    lengths = {len(progress._fitted(words[:n], n / 4, 80).partition(" ")[0]) for n in (1, 2, 3, 4)}
    assert lengths == {10}


def test_who_interrupts_is_told_how_to_go_on_and_the_line_is_wiped(terminal, tmp_path):
    with contextlib.suppress(Interrupted), progress.Progress(terminal) as found:
        found.began(tmp_path / "run")
        found.planned(PLANNED)
        raise Interrupted(signal.SIGINT)
    assert terminal.lines[-1].endswith(f"go on with: benchproof run --resume {tmp_path / 'run'}")
    assert "\x1b[?25l" not in terminal.getvalue()


def test_an_interrupt_in_a_real_terminal_leaves_it_as_it_was_and_the_run_goes_on(tmp_path):
    (tmp_path / "plan.toml").write_text(
        "[targets.host]\n[suites.s]\nbenchmarks = ['syscall.getpid']\n[run]\nblocks = 30\nquick = true\n"
        "limits = {clock_step = 'any'}\n"
    )
    command = [sys.executable, "-m", "benchproof", "run", "--plan", "plan.toml", "--home", "home"]
    environment = {**os.environ, "TERM": "xterm"}
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        program = subprocess.Popen(
            command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)
        text = b""
        while b"block 2:" not in text:
            text += screen.read(1 << 16)
        program.send_signal(signal.SIGINT)
        try:
            while chunk := screen.read(1 << 16):
                text += chunk
        except OSError:  # the other end was closed
            pass
        assert program.wait(60) == 130
    last = text[text.index(b"what was recorded") :]
    assert b"--resume" in last
    assert b"\x1b[?" not in text
    (path,) = (tmp_path / "home" / "runs").iterdir()
    lines = (path / "results.jsonl").read_bytes().splitlines()
    assert 1 <= len(lines) < 30
    again = subprocess.run(
        [*command[:4], "--resume", "last", *command[-2:]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (told,) = [line for line in again.stderr.splitlines() if "on record" in line]
    warmups = (path / "warmups.jsonl").read_bytes().count(b"\n")
    assert told.startswith(f"benchproof: run {path.name} goes on; {warmups + len(lines)} results are on record")
    assert f"benchproof: {30 + 1 - warmups - len(lines)} invocations to do" in again.stderr
