"""Help that can be believed: every example is a question that is understood, and the Tab key knows the rest."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import click
import pytest

from benchproof.benchmarks import BENCHMARKS
from benchproof.cli import _PARTS, _VERBS, COMPLETING, benchproof, complete
from benchproof.cli.completion_ import command as completion
from benchproof.document import plans, policies
from benchproof.importers import FORMATS as IMPORTED
from benchproof.reporters import FORMATS
from test_gate_verb import a_run, noisy

SPACES = re.compile(r" {2,}")


def loaded(verb):
    return benchproof.get_command(click.Context(benchproof), verb)


def examples(verb):
    """The command lines of a verb's help, without what is said about each."""
    _, _, shown = (loaded(verb).epilog or "").partition("Examples:\n")
    return [SPACES.split(line.strip(), maxsplit=1)[0] for line in shown.splitlines() if line.strip()]


def calls(line):
    """The arguments of each call of ours in a line for a shell."""
    words = shlex.split(re.split(r" [|>] ", line)[0].replace(" && ", " ; "))
    for some in " ".join(map(shlex.quote, words)).split(" ';' "):
        name, *arguments = shlex.split(some)
        if name == "benchproof":
            yield arguments


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_teaches_by_examples_and_each_of_them_is_understood(verb):
    found = examples(verb)
    assert len(found) > 1, f"benchproof {verb} --help has {len(found)} examples"
    for line in found:
        for arguments in calls(line):
            understood(benchproof, arguments)


def understood(group, arguments):
    """Raises click's complaint where an option or an argument is not what the command takes."""
    with click.Context(group, info_name="benchproof") as above:
        name, found, rest = group.resolve_command(above, list(arguments))
        with found.make_context(name, rest, parent=above) as context:
            if isinstance(found, click.Group):
                understood(found, [*context._protected_args, *context.args])


def test_an_example_with_an_option_that_is_none_would_be_found():
    for line in ("benchproof run --blcks 3", "benchproof list rnus", "benchproof report a b", "benchproof rnu"):
        with pytest.raises((click.UsageError, benchproof_error())):
            understood(benchproof, next(calls(line)))


def benchproof_error():
    from benchproof.errors import BenchproofError  # noqa: PLC0415

    return BenchproofError


@pytest.mark.parametrize(
    "words", [("help", "report"), ("report", "--help"), ("help", "token", "create"), ("help",), ("help", "help")]
)
def test_help_is_a_word_as_well_as_an_option(words, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    flag = [*[word for word in words if word not in {"help", "--help"}], "--help"]
    assert done.stdout == run(*flag, cwd=tmp_path).stdout


def test_help_of_a_verb_that_is_none_names_the_nearest(tmp_path):
    done = run("help", "rnu", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'run'" in done.stderr


def test_every_verb_stands_in_one_part_of_the_help_and_no_part_has_another():
    placed = [verb for verbs in _PARTS.values() for verb in verbs]
    assert set(placed) <= set(_VERBS)
    assert len(placed) == len(set(placed))


# ---- completion ----


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchproof", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A folder with two runs, a plan, and `benchproof` on the path."""
    folder = tmp_path_factory.mktemp("shell")
    for name in ("20260101T000000Z-aaaaaa", "20260202T000000Z-bbbbbb"):
        a_run(folder / ".benchproof", name, mine={"syscall.getpid": noisy()}, other={"syscall.getpid": noisy()})
    (folder / ".benchproof" / "runs" / "2026\n$(touch hostile)").mkdir()
    (folder / "my.toml").write_text("[targets.linux]\nkind = 'host'\n[targets.lima]\nkind = 'host'\n")
    program = folder / "bin" / "benchproof"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m benchproof "$@"\n')
    program.chmod(0o755)
    return folder


ASKED = [
    ("re", ["report"]),
    ("report 20260", ["20260202T000000Z-bbbbbb", "20260101T000000Z-aaaaaa"]),
    ("report la", ["last"]),
    ("report last --form", ["--format"]),
    ("report --format cs", ["csv"]),
    ("run --plan kernel-vs", ["kernel-vs-kernel"]),
    ("run --plan my", ["my.toml"]),
    ("run --plan my.toml --targets li", ["linux", "lima"]),
    ("run --plan my.toml --targets linux,lim", ["linux,lima"]),
    ("run -b syscall.get", ["syscall.getpid"]),
    ("run --resume 20260202", ["20260202T000000Z-bbbbbb"]),
    ("compare last --targets mine,", ["mine,mine", "mine,other"]),
    ("compare last --vary sys", ["system"]),
    ("list ru", ["runs"]),
    ("import --format hyper", ["hyperfine"]),
    ("gate --policy agent-b", ["agent-bands"]),
    ("report nothing-of-that-name", []),
    ("report --home /no/such/home 2026", []),
]


def test_bash_completes_what_is_there(scene):
    script = ["source <(benchproof completion bash)"]
    for line, _ in ASKED:
        words = " ".join(map(shlex.quote, ["benchproof", *line.split()]))
        script += [
            f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()",
            '_benchproof_completion benchproof; echo "${COMPREPLY[*]}"',
        ]
    environment = os.environ | {"PATH": f"{scene / 'bin'}:{os.environ['PATH']}"}
    environment.pop("BENCHPROOF_HOME", None)
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(script)],
        cwd=scene,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    assert [line.split() for line in done.stdout.splitlines()] == [expected for _, expected in ASKED]
    assert not (scene / "hostile").exists()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_are_answered_in_their_own_way(scene, shell):
    asked = {"COMP_WORDS": "benchproof report la", "COMP_CWORD": "2" if shell == "zsh" else "la"}
    done = run(cwd=scene, **{COMPLETING: f"{shell}_complete"}, **asked)
    assert done.returncode == 0, done.stderr
    assert re.split(r"[\n,]", done.stdout)[:2] == ["plain", "last"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_what_that_shell_reads(scene, shell):
    script = run("completion", shell, cwd=scene).stdout
    assert f"{COMPLETING}={shell}_complete" in script
    assert json.loads(run("completion", shell, "--json", cwd=scene).stdout)["script"].strip() == script.strip()
    if shutil.which(shell):
        (scene / "script").write_text(script)
        subprocess.run([shell, "-n", "script"], cwd=scene, check=True, timeout=60)


def test_every_parameter_that_is_taught_exists():
    taught = {(verb, each.name) for verb in _VERBS for each in loaded(verb).params}
    names = {name for _, name in taught}
    assert [key for key in complete._OFFERED if key not in taught and not (key[0] == "" and key[1] in names)] == []


def test_every_run_plan_and_policy_that_a_verb_takes_is_completed():
    wanted = {"run", "runs", "resume", "plan_file", "policy_file", "benchmarks"}
    asked = {(verb, each.name) for verb in _VERBS for each in loaded(verb).params if each.name in wanted}
    assert [key for key in asked if key not in complete._OFFERED and ("", key[1]) not in complete._OFFERED] == []


def test_the_tab_key_imports_no_verb_and_nothing_heavy(scene):
    code = (
        "import sys, os; os.environ.update(COMP_WORDS='benchproof r', COMP_CWORD='1', "
        + COMPLETING
        + "='bash_complete')\n"
        "from benchproof.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in ('rich', 'msgspec', 'asyncio', 'benchproof.cli.run_') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=scene, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["plain,run", "plain,report", "[]"]


def test_what_is_offered_is_what_there_is():
    context = click.Context(completion)
    assert set(complete._plans(context)) >= set(plans())
    assert set(complete._policies(context)) >= set(policies())
    assert complete._formats(context) == FORMATS.names()
    assert complete._imported_formats(context) == IMPORTED.names()
    assert set(complete._benchmarks(context)) >= set(BENCHMARKS.names())
