"""What people copy into their CI: it is YAML, its scripts run, and no input of theirs is ever run as a script."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchproof.cli import ci_, upload_
from benchproof.store import bundle
from histories import ENVIRONMENT, commit, git, repository

CI = Path(__file__).parent.parent / "ci"
EXAMPLES = sorted((CI / "examples").glob("github-*.yml"))
PLAN = """
[targets.mine]
kind = "command"
command = ["{checkout}/run", "{argv}"]
[suites.mine]
benchmarks = ["syscall.getpid"]
[run]
blocks = 1
quick = true
limits = { clock_step = "any" }
[gates."syscall.getpid"]
must_pass = true
"""


class _Loader(yaml.SafeLoader):
    """With GitLab's `!reference`."""


_Loader.add_constructor("!reference", lambda loader, node: tuple(loader.construct_sequence(node)))


def read(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(), _Loader)  # noqa: S506 - a safe loader with one more tag


ACTION = read(CI / "github" / "action.yml")
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}


def scripts() -> list[tuple[str, str, str]]:
    """Every script: where it stands, its shell, its text."""
    found = [("action", "bash", step["run"]) for step in ACTION["runs"]["steps"] if "run" in step]
    for path in EXAMPLES:
        steps = [step for job in read(path)["jobs"].values() for step in job["steps"]]
        found += [(path.name, "bash", step["run"]) for step in steps if "run" in step]
    for path in (CI / "gitlab" / "benchproof.yml", CI / "examples" / "gitlab-ci.yml"):
        jobs = [job for job in read(path).values() if isinstance(job, dict)]
        lines = [line for job in jobs for key in ("before_script", "script") for line in job.get(key, ())]
        found += [(path.name, "sh", line) for line in lines if isinstance(line, str)]
    return found


@pytest.mark.parametrize(("where", "shell", "text"), scripts())
def test_every_script_is_one_and_nothing_is_pasted_into_it(where, shell, text):
    assert "${{" not in text, where
    assert "$[[" not in text, where
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), where


def test_a_script_with_an_input_pasted_into_it_would_be_noticed():
    with pytest.raises(AssertionError):
        test_every_script_is_one_and_nothing_is_pasted_into_it("here", "bash", "echo ${{ inputs.plan }}")


def test_every_input_of_the_action_is_used_and_every_one_that_is_used_exists():
    text = (CI / "github" / "action.yml").read_text()
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])


def test_every_variable_of_a_script_of_the_action_is_set_beside_it_and_used():
    for name, step in STEPS.items():
        used = set(re.findall(r"\$\{?(BP_\w+)", step.get("run", "")))
        assert used == {each for each in step.get("env", {}) if each.startswith("BP_")}, name


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_gives_the_action_what_it_takes_and_all_that_it_needs(path):
    steps = [step for job in read(path)["jobs"].values() for step in job["steps"]]
    ours = [step for step in steps if "benchproof/ci/github" in step.get("uses", "")]
    required = {name for name, about in ACTION["inputs"].items() if about.get("required")}
    assert ours
    for step in ours:
        assert required <= set(step["with"]) <= set(ACTION["inputs"])
    fetched = [step for step in steps if step.get("uses", "").startswith("actions/checkout") and "with" in step]
    assert [step["with"]["fetch-depth"] for step in fetched] == [0] * len(ours)


# ---- what the examples promise ----


def test_profiles_are_checked_in_parallel_each_with_its_target_and_lint_and_format_stand_apart():
    jobs = read(CI / "examples" / "github-kernel-profiles.yml")["jobs"]
    specs = {
        "fortress": "x64-unwind.json",
        "balanced": "x64-unwind.json",
        "performance": "x64.json",
        "ludicrous": "x64.json",
    }
    for name in ("check", "measure"):
        strategy = jobs[name]["strategy"]
        assert strategy["fail-fast"] is False
        assert {each["profile"]: each["spec"] for each in strategy["matrix"]["include"]} == specs
    assert 'cargo check --package kernel --target "targets/$SPEC"' in jobs["check"]["steps"][-1]["run"]
    assert "needs" not in jobs["lint"]
    assert "clippy" in jobs["lint"]["steps"][-1]["run"]
    assert "profile-balanced" in jobs["lint"]["steps"][-1]["run"]
    assert "needs" not in jobs["format"]


def test_the_quick_job_never_blocks_and_the_nightly_one_is_at_midnight():
    quick = read(CI / "examples" / "github-quick.yml")["jobs"]["quick"]
    assert quick["continue-on-error"] is True
    assert quick["steps"][-1]["with"]["quick"] == "true"
    nightly = read(CI / "examples" / "github-nightly.yml")
    assert nightly[True]["schedule"] == [{"cron": "0 0 * * *"}]  # YAML reads `on` as a truth


def test_the_table_of_cron_has_one_line_that_a_shell_takes():
    (line,) = [each for each in (CI / "cron" / "crontab").read_text().splitlines() if each.startswith("0 ")]
    *when, user, command = line.split(" ", 6)
    assert (when, user) == (["0", "0", "*", "*", "*"], "benchproof")
    assert "%" not in command  # cron would make a line break of it
    assert subprocess.run(["sh", "-n"], input=command, text=True, check=False).returncode == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_understands_the_units_and_the_calendar(tmp_path):
    units = [shutil.copy(CI / "cron" / f"benchproof.{kind}", tmp_path) for kind in ("service", "timer")]
    service = Path(units[0])
    service.write_text(service.read_text().replace("/usr/local/bin/benchproof", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "benchproof" in line]
    assert said == []
    (calendar,) = re.findall(r"OnCalendar=(.*)", Path(units[1]).read_text())
    subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


# ---- the scripts, run ----


@pytest.fixture
def runner(tmp_path):
    """A runner of GitHub's: its folders and files, programs that a test puts in its path, and steps by their names."""
    bin_folder = tmp_path / "bin"
    temp = tmp_path / "temp"
    for each in (bin_folder, temp):
        each.mkdir()

    class Runner:
        def program(self, name: str, text: str) -> None:
            (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin_folder / name).chmod(stat.S_IRWXU)

        def step(self, name: str, *, cwd: Path = tmp_path, **given: str) -> subprocess.CompletedProcess[str]:
            step = STEPS[name]
            inputs = {key: str(about.get("default", "")) for key, about in ACTION["inputs"].items()}
            variables = {
                key: inputs.get(match[1], "") if (match := re.search(r"inputs\.([\w-]+)", text)) else ""
                for key, text in step.get("env", {}).items()
            }
            assert set(given) <= set(variables)
            files = {"GITHUB_OUTPUT": "output", "GITHUB_PATH": "path", "GITHUB_STEP_SUMMARY": "summary"}
            return subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],  # as GitHub does it
                cwd=cwd,
                env=ENVIRONMENT
                | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "RUNNER_TEMP": str(temp)}
                | {"GITHUB_ACTION_PATH": str(CI / "github"), "GITHUB_REPOSITORY": "owner/project"}
                | {key: str(tmp_path / file) for key, file in files.items()}
                | variables
                | given,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )

        def output(self) -> dict[str, str]:
            return dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())

        def told(self, name: str) -> list[str]:
            """The words that a program was started with; `recorder` writes them."""
            return (tmp_path / name).read_text().splitlines()

        def recorder(self, name: str, status: int = 0) -> None:
            self.program(name, f"printf '%s\\n' \"$@\" >> {tmp_path}/{name}.words; exit {status}")

    Runner.temp, Runner.folder = temp, tmp_path
    return Runner()


def test_the_measuring_step_measures_a_project_and_says_what_came_of_it(runner):
    runner.program("benchproof", f'exec {sys.executable} -m benchproof "$@"')
    project = repository(runner.folder / "project")
    base = commit(project, "base", run='#!/bin/sh\nexec "$@"\n')
    commit(project, "head", run='#!/bin/sh\n# more\nexec "$@"\n', bench_dot_toml=PLAN)
    done = runner.step(
        "Measure base and head in turn", cwd=project, BP_PLAN="bench.toml", BP_BUILD="chmod +x run", BP_BASE=base
    )
    assert done.returncode == 0, done.stderr
    output = runner.output()
    assert output["status"] == "0"
    assert bundle.load_sealed(project / output["bundle"]).manifest.run_id == output["run"]
    summary = (runner.folder / "summary").read_text()
    assert summary == (runner.temp / "benchproof.md").read_text()
    assert "benchproof:" in summary
    assert (runner.temp / "benchproof.xml").read_text().startswith("<?xml")
    assert "::notice" in done.stderr
    assert git(project, "status", "--porcelain") == "?? .benchproof/"


def test_the_measuring_step_gives_every_input_as_one_word_and_runs_none(runner):
    runner.recorder("benchproof", status=3)
    evil = "$(touch pwned) `touch pwned` \"; touch pwned; ' --exact"
    names = ["PLAN", "BUILD", "BASE", "HEAD", "TARGETS", "PATHS", "POLICY", "HOME"]
    done = runner.step(
        "Measure base and head in turn",
        **{f"BP_{name}": evil for name in names},
        BP_BASE_SET="kernel=a b\n\nvcpus=1",
        BP_HEAD_SET=evil,
        BP_EXACT="true",
        BP_QUICK="true; touch pwned",
    )
    assert (done.returncode, runner.output()) == (0, {"status": "3"})
    words = runner.told("benchproof.words")
    assert [word for word in words if evil not in word] == [
        "ci",
        "--github",
        f"--comment={runner.temp}/benchproof.md",
        f"--junit={runner.temp}/benchproof.xml",
        "--base-set=kernel=a b",
        "--base-set=vcpus=1",
        "--exact",
    ]
    assert sorted(word for word in words if evil in word) == sorted(
        f"--{name.lower()}={evil}" for name in [*names, "HEAD-SET"]
    )
    assert not list(runner.folder.rglob("pwned"))


@pytest.mark.parametrize("status", ["0", "1", "2", "3"])
def test_the_verdict_is_the_status_of_the_step_that_measured(runner, status):
    assert runner.step("Verdict", BP_STATUS=status).returncode == int(status)


def test_the_installing_step_takes_the_source_that_the_action_came_with(runner):
    pip = "printf '#!/bin/sh\\necho \"$@\" > %s/pip\\n' $RUNNER_TEMP > $3/bin/pip && chmod +x $3/bin/pip"
    runner.program("python3", f"mkdir -p $3/bin && {pip}")
    assert runner.step("Install benchproof").returncode == 0
    source = (runner.temp / "pip").read_text().split()[-1]
    assert (Path(source) / "pyproject.toml").is_file()
    assert runner.told("path") == [f"{runner.temp}/benchproof/bin"]


COMMENT = "Write the summary as a comment"
ISSUES = "repos/owner/project/issues"


@pytest.mark.parametrize(
    ("known", "method", "where"), [("", "POST", f"{ISSUES}/7/comments"), ("42", "PATCH", f"{ISSUES}/comments/42")]
)
def test_the_comment_is_written_once_and_then_changed(runner, known, method, where):
    listing = f"case \"$*\" in *paginate*) printf '%s' '{known}';; esac"
    runner.program("gh", f"printf '%s\\n' \"$@\" >> {runner.folder}/gh.words; {listing}")
    (runner.temp / "benchproof.md").write_text("text")
    assert runner.step(COMMENT, BP_NUMBER="7").returncode == 0
    assert runner.told("gh.words")[-4:] == [method, where, "-F", f"body=@{runner.temp}/benchproof.md"]


def test_a_comment_that_cannot_be_written_is_a_warning_and_no_failure(runner):
    runner.recorder("gh", status=1)
    (runner.temp / "benchproof.md").write_text("text")
    done = runner.step(COMMENT, BP_NUMBER="7")
    assert done.returncode == 0
    assert done.stdout.startswith("::warning title=benchproof::no comment could be written")


def test_without_a_summary_there_is_no_comment(runner):
    runner.recorder("gh")
    assert runner.step(COMMENT, BP_NUMBER="7").returncode == 0
    assert not (runner.folder / "gh.words").exists()


@pytest.mark.parametrize(("status", "said"), [(0, ""), (1, "::warning title=benchproof::the bundle was not taken")])
def test_the_token_is_in_a_file_for_its_owner_alone_and_gone_afterwards(runner, status, said):
    runner.program(
        "benchproof",
        f'for word; do case "$word" in --token-file=*) file="${{word#*=}}";; esac; done\n'
        f'stat -c %a "$file" > {runner.folder}/mode; cat "$file" > {runner.folder}/token; exit {status}',
    )
    given = {"BP_TO": "https://x", "BP_TOKEN": "t$(id)", "BP_BUNDLE": "b"}
    done = runner.step("Send the bundle to the dashboard", **given)
    assert (done.returncode, done.stdout[: len(said)]) == (0, said)
    assert runner.told("mode") == ["600"]
    assert runner.told("token") == ["t$(id)"]
    assert not (runner.temp / "benchproof.token").exists()


def test_the_words_that_the_templates_use_are_options_of_the_verbs():
    known = {name for each in (ci_, upload_) for option in each.command.params for name in option.opts}
    for _, _, text in scripts():
        if "benchproof" in text:
            used = set(re.findall(r"(?<![\w-])(--[a-z-]+)(?==|\b)", text)) | {
                f"--{name}" for name in re.findall(r"given ([a-z-]+) ", text)
            }
            assert used - {"--quiet", "--paginate", "--jq", "--silent", "--method"} <= known


def test_the_gitlab_job_gives_what_its_variables_say_and_ends_as_benchproof_does(tmp_path):
    job = read(CI / "gitlab" / "benchproof.yml")[".benchproof"]
    program = tmp_path / "benchproof"
    program.write_text(f'#!/bin/sh\nprintf \'%s\\n\' "$@" >> {tmp_path}/words\n[ "$1" = upload ] || exit 3\n')
    program.chmod(stat.S_IRWXU)
    (tmp_path / ".benchproof" / "runs").mkdir(parents=True)
    given = {
        "BENCHPROOF_BUILD": "$(touch pwned); touch pwned",
        "BENCHPROOF_EXACT": "true",
        "BENCHPROOF_UPLOAD_TO": "https://x",
    }
    done = subprocess.run(
        ["sh", "-ec", "\n".join(job["script"])],
        cwd=tmp_path,
        env=ENVIRONMENT | job["variables"] | given | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "words").read_text().splitlines() == [
        "ci",
        "--plan=bench.toml",
        "--comment=benchproof.md",
        "--junit=benchproof.xml",
        "--build=$(touch pwned); touch pwned",
        "--exact",
        "upload",
        "last",
        "--to=https://x",
    ]
    assert not (tmp_path / "pwned").exists()
    assert job["variables"]["GIT_DEPTH"] == "0"
    assert job["artifacts"]["when"] == "always"
