"""The command line as its users and their scripts see it: exit statuses, data on standard output, what a process does.

`cli` starts a process; `command` does not, and is for what a verb says once that it starts was seen.
"""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import shutil
import subprocess
import sys

import msgspec
import pytest

import benchproof
from benchproof import laboratory
from benchproof.analysis.matrix import Report
from benchproof.benchmarks import BENCHMARKS
from benchproof.cli import _VERBS
from benchproof.doctor import Finding
from benchproof.reporters import FORMATS
from benchproof.store import bundle
from benchproof.targets import KINDS
from commands import command
from test_kernels import vmlinux

COMMAND = (sys.executable, "-m", "benchproof")
ANY_NOISE = "limits = {clock_step = 'any'}\n"  # these tests are not about figures
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "TERM"}}


def cli(*arguments, cwd, **more):
    options = {"capture_output": True, "env": ENVIRONMENT} | more
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, text=True, check=False, timeout=120, **options)


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder with one small run: two targets of one kind, so that there is something to compare."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "plan.toml").write_text(
        "[targets.host]\n[targets.again]\nkind = 'host'\n[suites.s]\nbenchmarks = ['syscall.getpid', 'ipc.pipe']\n"
        f"[run]\nblocks = 6\nquick = true\n{ANY_NOISE}"
    )
    done = cli("run", "--plan", "plan.toml", "--home", "home", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "home"


@pytest.fixture
def shown(home):
    """`benchproof report` of that run."""

    def show(*arguments, call=command, **more):
        return call("report", "last", *arguments, "--home", home, cwd=home, **({"env": ENVIRONMENT} | more))

    return show


def run_in(home):
    (path,) = (home / "runs").iterdir()
    return bundle.load(path)


# ---- help, and questions that are wrong ----


def test_the_version_is_that_of_the_package(tmp_path):
    done = cli("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"benchproof, version {benchproof.__version__}\n")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_verb_and_every_exit_status(tmp_path, flag):
    done = cli(flag, cwd=tmp_path)
    assert done.returncode == 0
    assert all(f"  {verb} " in done.stdout for verb in _VERBS)
    assert "Exit status: 0 good answer, 1 bad answer, 2 wrong question, 3 no answer" in done.stdout
    assert re.search(r"^ *benchproof run +measure what this machine can start$", done.stdout, re.MULTILINE)
    assert "\\b" not in done.stdout


NO_DOCUMENT = {"serve"}  # what they print is no answer, or is a format by itself


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_has_help_that_says_what_it_does(tmp_path, verb):
    done = cli(verb, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")
    assert ("--json" in done.stdout) == (verb not in NO_DOCUMENT)
    assert "\\b" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_no_command_at_all_shows_the_help(tmp_path):
    done = cli(cwd=tmp_path)
    assert done.returncode == 2
    assert (done.stdout + done.stderr).startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["unknown command 'rnu'", "did you mean 'run'"]),
        (["run", "--blcks", "3"], ["'--blcks'", "--blocks"]),
        (["--hepl"], ["'--hepl'", "--help"]),
        (["run", "--blocks", "x"], ["--blocks", "'x'", "integer"]),
        (["run", "--blocks", "0"], ["blocks", "expected 1 to 100000", "0"]),
        (["run", "--blocks", "-3"], ["blocks", "expected 1 to 100000", "-3"]),
        (["run", "-b", "syscall.getpdi"], ["unknown benchmark 'syscall.getpdi'", "did you mean 'syscall.getpid'"]),
        (["run", "-b", "primitiv"], ["unknown benchmark 'primitiv'"]),
        (["run", "--targets", "host,bwarp"], ["no target 'bwarp'", "did you mean 'bwrap'"]),
        (["run", "--plan", "no.toml"], ["no.toml", "No such file"]),
        (["run", "--resume", "nosuch"], ["no run is called 'nosuch'"]),
        (["run", "--resume", ""], ["no run is called ''"]),
        (["run", "--targets", "a\nb"], ["no target 'a"]),
        (["report", "nosuch"], ["no run is called 'nosuch'"]),
        (["report"], ["no run is called 'last'", "there is none; `benchproof run` makes one"]),
        (["verify", "nosuch"], ["no run is called 'nosuch'"]),
        (["list"], ["Missing argument", "benchmarks"]),
        (["list", "rnus"], ["'rnus'", "runs"]),
        (["doctor", "--plan", "no.toml"], ["no.toml", "No such file"]),
        (["doctor", "more"], ["more"]),
    ],
    ids=" ".join,
)
def test_a_wrong_question_is_one_line_and_exit_status_2_and_writes_nothing(tmp_path, arguments, words):
    ask = cli if len(arguments) == 1 else command  # some of them as a process
    done = ask(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("benchproof: ")
    assert done.stderr.removesuffix("\n").isprintable(), done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_with_those_that_are_known(shown):
    done = shown("--format", "marcdown")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"did you mean 'markdown'? known: {', '.join(sorted(FORMATS.own))}" in done.stderr


def test_the_help_of_report_names_every_format(shown):
    assert f"{','.join(FORMATS.own)}." in "".join(shown("--help").stdout.split())


def test_an_ambiguous_beginning_of_a_run_s_name_is_refused(tmp_path):
    for name in ("20260101", "20260102"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    done = command("report", "2026", "--home", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "2 runs begin with '2026'" in done.stderr


# ---- run ----


@pytest.fixture
def quick_run(tmp_path):
    """`benchproof run` of one question on the host; in a folder of its own."""
    (tmp_path / "work").mkdir()
    (tmp_path / "plan.toml").write_text(f"[targets.host]\n[run]\n{ANY_NOISE}")
    arguments = ("run", "--plan", tmp_path / "plan.toml", "-b", "syscall.getpid", "--blocks", "1", "--quick")

    def run(*more, call=command, **options):
        return call(*arguments, *more, cwd=tmp_path / "work", **options)

    return run


def test_run_prints_the_matrix_on_standard_output_and_talks_on_standard_error(tmp_path, quick_run):
    done = quick_run(call=cli)
    assert done.returncode == 0
    assert "1/1 passed" in done.stdout
    assert "syscall.getpid" in done.stdout
    assert all(line.startswith(("benchproof: ", "report: ", "evidence: ")) for line in done.stderr.splitlines())
    home = tmp_path / "work" / ".benchproof"
    run = run_in(home)
    assert (run.manifest.state, len(run.results), len(run.warmups)) == ("complete", 1, 1)
    page = home / f"{run.manifest.run_id}.md"
    assert page.read_text().startswith(f"# benchproof run {run.manifest.run_id}\n")
    assert page.with_suffix(".html").read_text().startswith("<!doctype html>\n<html lang=")


def test_run_json_prints_exactly_one_document_on_standard_output(tmp_path, quick_run):
    done = quick_run("--json", "--home", tmp_path / "elsewhere")
    assert done.returncode == 0
    report = msgspec.json.decode(done.stdout, type=Report)
    assert (report.passed, report.total, report.state) == (1, 1, "complete")
    assert report.run_id == run_in(tmp_path / "elsewhere").manifest.run_id


def test_the_home_folder_can_be_given_by_the_environment(tmp_path, quick_run):
    done = quick_run(env=ENVIRONMENT | {"BENCHPROOF_HOME": str(tmp_path / "work" / "mine")})
    assert done.returncode == 0
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["mine"]


def test_a_home_that_is_a_file_is_one_line_and_exit_status_1(tmp_path, quick_run):
    (tmp_path / "work" / "home").write_bytes(b"")
    done = quick_run("--home", "home")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("benchproof: cannot write to 'home/runs'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "flags", "quick", "blocks"),
    [
        ("quick = true\nblocks = 2", [], True, 2),
        ("quick = true\nblocks = 2", ["--full"], False, 2),
        ("blocks = 2", [], False, 2),
        ("blocks = 2", ["--quick", "--blocks", "1"], True, 1),
        ("blocks = 2", ["--blocks", "1"], False, 1),
    ],
)
def test_the_plan_s_word_counts_unless_an_option_says_otherwise(tmp_path, settings, flags, quick, blocks):
    item = "{name = 'syscall.getpid', samples = 2, warmups = 0, timeout = '1000 h'}"  # longer than the kernel can wait
    plan = f"[targets.host]\n[suites.s]\nbenchmarks = [{item}]\n[run]\nlimits = {{clock_step = '10 s'}}\n{settings}"
    (tmp_path / "plan.toml").write_text(plan)
    done = command("run", "--plan", "plan.toml", *flags, "--home", "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = run_in(tmp_path / "home")
    assert (found.manifest.plan["run"]["quick"], found.manifest.plan["run"]["blocks"]) == (quick, blocks)
    assert len(found.results) == blocks


def test_a_limit_of_microseconds_does_not_break_the_report_of_its_own_run(tmp_path):
    limits = "limits = {clock_step = '10 us', steal = '0.001 %'}\nretries = 0"
    suite = "[suites.s]\nbenchmarks = [{name = 'syscall.getpid', samples = 1}]"
    (tmp_path / "plan.toml").write_text(f"[targets.host]\n{suite}\n[run]\nblocks = 1\n{limits}")
    done = command("run", "--plan", "plan.toml", "--home", "home", cwd=tmp_path)
    assert done.returncode in {0, 3}, done.stderr  # 3: such a limit is met or not
    assert run_in(tmp_path / "home").manifest.state == "complete"


def test_a_target_that_is_not_there_is_no_answer_and_says_how_to_get_it(tmp_path):
    (tmp_path / "plan.toml").write_text("[targets.gvisor]\nrunsc = 'no-such-runsc'\n[run]\nblocks = 1")
    done = command("run", "--plan", "plan.toml", "--home", "home", cwd=tmp_path)
    assert done.returncode == 3
    assert "0/16 passed" in done.stdout
    assert "apt-get install runsc" in done.stdout


# ---- report ----


def test_report_csv_is_a_table_with_a_line_for_each_cell(shown):
    done = shown("--format", "csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert (done.returncode, done.stderr) == (0, "")
    assert {(row["metric"], row["target"]) for row in rows} == {
        (metric, target) for metric in ("syscall.getpid.latency", "ipc.pipe.throughput") for target in ("host", "again")
    }
    assert all(float(row["median"]) > 0 and row["status"] == "passed" for row in rows)
    assert [float(row["ratio"]) > 0 for row in rows if row["target"] == "again"] == [True, True]


@pytest.mark.parametrize("flag", [("--format", "json"), ("--json",)])
def test_report_json_is_the_report_that_the_run_was_sealed_with(home, shown, flag):
    done = shown(*flag)
    assert (done.returncode, done.stderr) == (0, "")
    sealed = (run_in(home).path / "report.json").read_bytes()
    assert msgspec.json.decode(done.stdout, type=Report) == msgspec.json.decode(sealed, type=Report)


def test_the_report_in_a_complete_run_says_that_it_is_complete(home):
    sealed = msgspec.json.decode((run_in(home).path / "report.json").read_bytes(), type=Report)
    assert (sealed.state, [text for text in sealed.warnings if "ended before" in text]) == ("complete", [])


def test_report_markdown_has_the_table_and_the_configuration(shown):
    done = shown("--format", "markdown")
    assert done.returncode == 0
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert table[0].startswith("| benchmark | what again times | status | unit | again | host |")
    assert [line.split("|")[1].strip() for line in table[2:4]] == ["syscall.getpid", "ipc.pipe"]
    assert "## Configuration" in done.stdout


@pytest.mark.parametrize("form", FORMATS.names())
def test_a_report_is_the_same_each_time_it_is_shown(shown, form):
    assert shown("--format", form).stdout == shown("--format", form, call=cli).stdout != ""  # hashes are others there


def test_a_run_is_found_by_folder_by_name_by_the_beginning_of_its_name_and_as_the_last(home):
    name = run_in(home).manifest.run_id
    told = {
        command("report", which, "--format", "csv", "--home", home, cwd=home).stdout
        for which in (home / "runs" / name, f"runs/{name}", name, name[:-3], "last")
    }
    assert len(told) == 1


# ---- verify, list, doctor ----


def test_verify_says_good_and_what_it_looked_at(home):
    text, document = (command("verify", *flags, "--home", home, cwd=home) for flags in ([], ["--json"]))
    assert (text.returncode, document.returncode) == (0, 0)
    assert "(complete): good; looked at" in text.stdout
    verdict = json.loads(document.stdout)
    assert (verdict["problems"], verdict["checked"]["oracles"], verdict["checked"]["figures"]) == (
        [],
        28 + 2 * 7,
        4,
    )  # each of two targets has seven smokes


def test_verify_of_what_is_no_run_is_a_bad_answer(tmp_path):
    (tmp_path / "runs" / "20260101").mkdir(parents=True)
    done = command("verify", "20260101", "--home", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "WRONG" in done.stdout


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("targets", KINDS.names()),
        ("benchmarks", BENCHMARKS.names()),
        (
            "plans",
            [
                "agent-chaos",
                "agent-scale",
                "agent",
                "default",
                "kernel-vs-kernel",
                "sandbox-gates",
                "service-gates",
                "smp-scaling",
            ],
        ),
    ],
)
def test_list_shows_every_name_with_a_sentence_about_it(tmp_path, what, expected):
    text, document = (command("list", what, *flags, cwd=tmp_path) for flags in ([], ["--json"]))
    assert (text.returncode, document.returncode) == (0, 0)
    rows = json.loads(document.stdout)
    assert [row["name"] for row in rows] == expected
    assert all(row["about"] for row in rows)
    assert [line.split()[0] for line in text.stdout.splitlines()] == expected


def test_list_runs_shows_good_runs_and_those_that_cannot_be_read(home, tmp_path):
    run = run_in(home)
    (tmp_path / "runs" / "broken").mkdir(parents=True)
    (tmp_path / "runs" / "file").write_bytes(b"")
    (tmp_path / "runs" / run.manifest.run_id).symlink_to(run.path)
    absurd = tmp_path / "runs" / "absurd"
    absurd.mkdir()
    for name in ("envelope.json", "results.jsonl", "warmups.jsonl"):
        (absurd / name).write_bytes((run.path / name).read_bytes())
    (absurd / "manifest.json").write_bytes(bundle.encoded(msgspec.structs.replace(run.manifest, plan={"targets": 5})))
    done = command("list", "runs", "--json", "--home", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    about = {row["name"]: row["about"] for row in json.loads(done.stdout)}
    assert about[run.manifest.run_id] == "complete, 24 results, targets host, again"
    assert about["broken"].startswith("unreadable: ")
    assert about["file"].startswith("unreadable: ")
    assert set(about) == {run.manifest.run_id, "broken", "file", "absurd"}


def test_list_runs_where_there_are_none_is_empty_and_makes_nothing(tmp_path):
    done = command("list", "runs", "--json", cwd=tmp_path)
    assert (done.returncode, json.loads(done.stdout), list(tmp_path.iterdir())) == (0, [], [])


def test_doctor_json_is_one_document_of_findings_and_missing_things_have_a_remedy(tmp_path):
    (tmp_path / "plan.toml").write_text("[targets.host]\n[targets.x]\nkind = 'gvisor'\nrunsc = 'no-such-runsc'\n")
    done = command("doctor", "--json", "--plan", "plan.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    found = {each.what: each for each in msgspec.json.decode(done.stdout, type=list[Finding])}
    assert {each.level for each in found.values()} <= {"ok", "warning", "missing", "bad"}
    assert found["target 'host'"].level == "ok"
    assert (found["target 'x'"].level, found["target 'x'"].remedy) == ("missing", "apt-get install runsc")
    assert {"load", "clock", "memory"} <= set(found)


@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="/dev/kvm cannot be opened")
def test_a_verdict_on_kvm_is_kept_for_later_calls(tmp_path):
    emulator = tmp_path / "bin" / "qemu-system-x86_64"
    emulator.parent.mkdir()
    emulator.write_text("#!/bin/sh\necho a machine that ends at once\n")
    emulator.chmod(0o755)
    shutil.copytree(laboratory.cache_folder() / "probes", tmp_path / "cache" / "benchproof" / "probes")
    (tmp_path / "kernel").write_bytes(vmlinux())
    (tmp_path / "plan.toml").write_text("[targets.guest]\nkind = 'qemu'\nkernel = 'kernel'\n")
    env = ENVIRONMENT | {"PATH": f"{emulator.parent}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for ask in (cli, command):
        done = ask("doctor", "--plan", "plan.toml", cwd=tmp_path, env=env)
        assert "bad      target 'guest': " in done.stdout, done.stderr
    assert len(list((tmp_path / "cache" / "benchproof" / "kvm").iterdir())) == 1


# ---- terminals and pipes ----


def on_a_terminal(*arguments, cwd, **environment):
    """Standard output of the command when it is a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        env = ENVIRONMENT | {"TERM": "xterm-256color"} | environment
        with subprocess.Popen([*COMMAND, *arguments], cwd=cwd, stdout=theirs, stderr=theirs, env=env):
            os.close(theirs)
            text = b""
            try:
                while chunk := screen.read(1 << 16):
                    text += chunk
            except OSError:  # the other end of a terminal was closed
                pass
    return text.decode()


def test_a_terminal_gets_colour_and_a_pipe_does_not(home, shown):
    assert "\x1b[" in on_a_terminal("report", "last", "--home", home, cwd=home)
    assert "\x1b" not in shown().stdout


def test_no_color_takes_the_colour_away(home):
    assert "\x1b" not in on_a_terminal("report", "last", "--home", home, cwd=home, NO_COLOR="1")


def test_a_run_on_a_terminal_ends_with_its_matrix(quick_run):
    text = quick_run(call=on_a_terminal)
    assert "1/1 passed" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("arguments", [("list", "benchmarks"), ("report", "last", "--format", "json"), ("--help",)])
def test_a_reader_that_has_left_is_no_reason_for_a_traceback(home, arguments):
    ours, theirs = os.pipe()
    os.close(ours)  # as `| head -1` does once it has its line
    try:
        env = ENVIRONMENT | {"BENCHPROOF_HOME": str(home)}
        done = cli(*arguments, cwd=home, env=env, capture_output=False, stdout=theirs, stderr=subprocess.PIPE)
    finally:
        os.close(theirs)
    assert done.stderr == ""
    assert done.returncode != 0


def test_head_gets_its_line_of_a_long_report(home):
    command = f"{sys.executable} -m benchproof report last --format json --home {home} | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_few_letters_is_no_reason_for_a_traceback(shown, encoding):
    done = shown(call=cli, env=ENVIRONMENT | {"PYTHONIOENCODING": encoding}, encoding="latin-1")
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
