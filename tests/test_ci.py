"""`benchproof ci`: what is due, two sides of one run, the verdict, and what the reader of a pull request sees."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import msgspec
import pytest

from benchproof import checkouts, plan, policy, report, reruns
from benchproof.analysis.compare import exactly
from benchproof.cli import bisect_, ci_, gate_, run_, trend_, upload_
from benchproof.continuous import changes, judging, measuring, sides
from benchproof.continuous.building import BuildFailed, build
from benchproof.continuous.sides import Side
from benchproof.errors import UsageError
from benchproof.model import Failed, Unsupported
from benchproof.policy import Policy
from benchproof.reporters import FORMATS, comment
from benchproof.store import bundle
from commands import command
from histories import ENVIRONMENT, asked, commit, git, repository, worktrees
from test_gate_verb import a_run, noisy

SIDES = (Side(name="base", folder="/b"), Side(name="head", folder="/h"))
MINE = {"kind": "command", "command": ["{checkout}/run", "{argv}"]}


# ---- what is due ----

RULES = {
    "suites": {"mine": {"benchmarks": ["fork.fork", "fork.image_size", "syscall.getpid", "lifecycle.exec"]}},
    "rerun": [
        {"benchmarks": ["fork.*"], "paths": ["src/image.rs", "src/fork/**"], "why": "fork and image code"},
        {"benchmarks": ["lifecycle.exec"], "paths": ["src/boot/**"]},
    ],
}


def due(files: list[str] | None, **more) -> set[str]:
    """The benchmarks that are measured where these files changed."""

    def matching(patterns):
        return [each for each in files or [] if any(re.match(p.replace("**", ".*"), each) for p in patterns)]

    found = reruns.choices(RULES, (), where="plan", changed=None if files is None else matching, **more)
    return {each.name for each in found if each.due}


def test_a_benchmark_is_measured_where_a_path_of_its_rule_changed_and_skipped_where_none_did():
    assert due(["src/boot/a.rs"]) == {"syscall.getpid", "lifecycle.exec"}
    assert due(["src/image.rs"]) == due(["src/fork/a/b.rs"]) == {"fork.fork", "fork.image_size", "syscall.getpid"}
    assert due(["README.md"]) == {"syscall.getpid"}


def test_where_nobody_knows_what_changed_and_for_a_release_everything_is_measured():
    everything = due(None)
    assert everything == {"fork.fork", "fork.image_size", "syscall.getpid", "lifecycle.exec"}
    assert due(["README.md"], everything="a release is cut") == everything


def test_paths_of_the_command_line_are_those_of_what_no_rule_names():
    assert due(["README.md"], paths=("src/**",)) == set()
    assert due(["src/other.rs"], paths=("src/**",)) == {"syscall.getpid"}


def test_a_file_that_is_called_like_a_command_of_the_terminal_is_told_on_one_line():
    found = reruns.choices(RULES, ("fork.fork",), where="plan", changed=lambda _: ["a\x1b[31m\n::error::b"])
    assert [each.why for each in found] == ["changed: a?[31m ::error::b (fork and image code)"]


@pytest.mark.parametrize(
    ("environment", "said", "everything"),
    [
        ({}, False, ""),
        ({}, True, "a release is cut"),
        ({"GITHUB_REF_TYPE": "tag"}, False, "a release is cut"),
        ({"CI_COMMIT_TAG": "v1"}, False, "a release is cut"),
        ({"GITHUB_REF_TYPE": "branch"}, False, ""),
    ],
)
def test_a_tag_is_a_release(environment, said, everything):
    assert changes.release(environment, said=said) == everything


@pytest.mark.parametrize(
    ("rerun", "words"),
    [
        ({}, "rerun: expected tables written"),
        ([{"benchmarks": ["fork"]}], "rerun 1: paths: expected a list of at least one"),
        ([{"benchmarks": ["frok"], "paths": ["a"]}], "unknown benchmark 'frok'; known: "),
        ([{"benchmarks": ["fork.*"], "paths": ["a"], "path": 1}], "unknown key 'path'"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_the_plan_is_read(rerun, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        plan.parse({"targets": {"host": {}}, "rerun": rerun}, where="plan")


def test_a_plan_with_rules_can_be_run_and_narrowed(tmp_path):
    document = {"targets": {"host": {}}, **RULES}
    whole = plan.parse(document, where="plan")
    narrowed = plan.parse(plan.only(document, targets=(), benchmarks=("syscall.getpid",)), where="plan")
    assert {case.name for case in narrowed.cases} == {"syscall.getpid"} < {case.name for case in whole.cases}


# ---- commits ----


@pytest.fixture
def project(tmp_path) -> tuple[Path, list[str]]:
    """A program that a commit makes slower; main has gone on since the branch left it."""
    folder = repository(tmp_path / "project")
    base = commit(folder, "base", run='#!/bin/sh\nexec "$@"\n', README="a", src__vm__a="1")
    git(folder, "checkout", "-q", "-b", "change")
    head = commit(folder, "head", run='#!/bin/sh\n# a change\nexec "$@"\n', src__vm__deep__b="2")
    git(folder, "mv", "README", "READ ME")
    renamed = commit(folder, "renamed")
    git(folder, "checkout", "-q", "main")
    ahead = commit(folder, "ahead", src__other="3")
    git(folder, "checkout", "-q", "change")
    return folder, [base, head, renamed, ahead]


def test_the_base_is_where_the_head_left_its_branch(project):
    folder, (base, _, renamed, _) = project
    change = changes.of(checkouts.around(folder), "main", "HEAD", {})
    assert (change.base, change.head) == (base, renamed)


@pytest.mark.parametrize(
    ("environment", "number"),
    [({}, 1), ({"CI_MERGE_REQUEST_DIFF_BASE_SHA": "main"}, 0)],
)
def test_a_base_that_nobody_named_is_that_of_the_request_or_the_commit_before(project, environment, number):
    folder, commits = project
    assert changes.of(checkouts.around(folder), "", "HEAD", environment).base == commits[number]


def test_a_base_that_the_clone_has_not_is_a_wrong_question_with_the_remedy(project):
    with pytest.raises(UsageError, match=r"--base: expected a commit of .*origin/main.*fetch-depth: 0"):
        changes.of(checkouts.around(project[0]), "", "HEAD", {"GITHUB_BASE_REF": "main"})


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("src/vm/**", ("src/vm/deep/b",)),
        ("src/vm", ("src/vm/deep/b",)),
        ("src/*", ()),
        ("**/b", ("src/vm/deep/b",)),
        ("READ*", ("READ ME", "README")),
        ("src/other", ()),
        (":(exclude)run", ()),
    ],
)
def test_patterns_mean_files_of_the_change_alone_by_both_names(project, pattern, files):
    folder, _ = project
    change = changes.of(checkouts.around(folder), "main", "HEAD", {})
    assert change.files([pattern]) == files


def test_a_checkout_is_gone_afterwards_also_one_that_a_killed_process_left(project):
    folder, (base, head, *_) = project
    here = checkouts.around(folder)
    left = here.checked_out(base, "test")
    place = left.__enter__()
    with pytest.raises(UsageError, match="another benchproof has a checkout"), here.checked_out(head, "test"):
        pass
    left.gen.close()
    place.mkdir(parents=True)
    (place / "stale").touch()
    with here.checked_out(head, "test") as again:
        assert again == place
        assert sorted(each.name for each in again.iterdir()) == [".git", "README", "run", "src"]
    assert not place.parent.exists()
    assert worktrees(folder) == []


def test_a_checkout_runs_no_hook_of_the_repository(project, tmp_path):
    folder, (base, *_) = project
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    with checkouts.around(folder).checked_out(base, "test"):
        pass
    assert not (tmp_path / "ran").exists()


# ---- the build ----


def test_a_build_sees_its_folder_and_leaves_its_log(tmp_path, host_probe):
    words = 'pwd; echo "$BENCHPROOF_CHECKOUT" >&2'
    build(words, tmp_path, supervisor=host_probe.path, timeout_s=60, log=tmp_path / "logs" / "x")
    assert (tmp_path / "logs" / "x").read_text() == f"{tmp_path}\n{tmp_path}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [("echo compiling; echo no such header >&2; false; true", "exit status 1: no such header"), ("sleep 60", "0.2 s")],
)
def test_a_build_that_fails_or_hangs_says_so_in_its_own_words(tmp_path, host_probe, words, said):
    with pytest.raises(BuildFailed, match=said):
        build(
            words, tmp_path, supervisor=host_probe.path, timeout_s=0.2 if "sleep" in words else 60, log=tmp_path / "x"
        )


def test_what_a_build_leaves_among_temporary_files_goes_with_it(tmp_path, host_probe, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BuildFailed):
        build("mktemp; mktemp; exit 1", tmp_path, supervisor=host_probe.path, timeout_s=60, log=tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert f"{tmp_path}/benchproof-build-" in (tmp_path / "x").read_text()


# ---- two sides ----


def two(document, base=SIDES[0], head=SIDES[1]):
    return sides.two_sided(document, base, head, "plan")


def test_one_target_becomes_base_and_head_and_the_second_refers_to_the_first():
    found = two({"targets": {"mine": MINE}})
    assert found.document["targets"] == {
        "base": {"kind": "command", "command": ["/b/run", "{argv}"], "reference": "base"},
        "head": {"kind": "command", "command": ["/h/run", "{argv}"], "reference": "base"},
    }
    parsed = plan.parse(found.document, where="plan")
    assert parsed.references == {"base": "base", "head": "base"}


def test_what_would_be_the_same_on_both_sides_is_left_out():
    found = two({"targets": {"mine": MINE, "host": {}}})
    assert (list(found.document["targets"]), found.left_out) == (["base", "head"], ("host",))


def test_a_matrix_becomes_two_groups_that_gates_may_name():
    mine = MINE | {"command": ["{checkout}/{profile}", "{argv}"], "matrix": {"profile": ["slow", "fast"]}}
    gates = {
        "syscall.getpid": {"statistic": "ratio", "limit": "< 1.1", "target": "mine"},
        "syscall.stat": {"must_pass": True, "target": "mine/fast"},
    }
    suites = {"s": {"benchmarks": ["syscall.getpid", "syscall.stat"]}}
    found = two({"targets": {"mine": mine}, "suites": suites, "gates": gates})
    assert list(found.document["targets"]) == ["base/mine/slow", "head/mine/slow", "base/mine/fast", "head/mine/fast"]
    parsed = plan.parse(found.document, where="plan")
    assert [gate.target for gate in parsed.gates] == ["head/mine/slow", "head/mine/fast", "head/mine/fast"]


def test_a_setting_is_read_as_in_a_plan_and_goes_to_the_targets_that_know_it():
    given = [
        sides.setting(each, "--head-set") for each in ("kernel=a b", "vcpus=2", 'memory="64 MiB"', "options=['-x']")
    ]
    assert given == [("kernel", "a b"), ("vcpus", 2), ("memory", "64 MiB"), ("options", ["-x"])]
    head = Side(name="head", settings={"kernel": "new"})
    found = two({"targets": {"host": {}, "linux": {"kind": "qemu"}}}, Side(name="base"), head)
    assert found.left_out == ("host",)
    assert found.document["targets"]["head"]["kernel"] == "new"


@pytest.mark.parametrize(
    ("document", "head", "words"),
    [
        ({"targets": {"mine": 3}}, SIDES[1], "targets.mine: expected a table, found 3"),
        ({"targets": {"host": {}}}, SIDES[1], "base and head are the same for every target (host)"),
        ({"targets": {"host": {}}}, Side(name="head", settings={"cpsu": 1}), "no target has a setting 'cpsu'"),
    ],
)
def test_sides_that_do_not_differ_and_unknown_settings_are_refused(document, head, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        two(document, head=head)


def test_gates_are_of_the_head_and_ratios_are_to_the_base():
    gates = {
        "a": {"statistic": "ratio", "limit": "< 1.1", "baseline": "branch:main"},
        "b": {"must_pass": True, "target": "mine"},
        "c": {"must_pass": True, "target": "host"},
        "d.latency": {"must_pass": True},
        "e": {"must_pass": True, "target": "typo"},
    }
    assert sides.gates_on_heads(gates, {"mine": "head"}, ("host", "d")) == {
        "a": {"statistic": "ratio", "limit": "< 1.1", "baseline": "reference", "target": "head"},
        "b": {"must_pass": True, "target": "head"},
        "e": {"must_pass": True, "target": "typo"},
    }


def test_the_project_s_own_tests_run_in_the_checkout_of_each_side():
    found = two({"targets": {"mine": MINE}, "smokes": {"unit": {"command": ["{checkout}/test"]}}})
    assert found.document["smokes"] == {
        "unit (base)": {"command": ["/b/test"], "targets": ["base"]},
        "unit (head)": {"command": ["/h/test"], "targets": ["head"]},
    }


# ---- the verdict ----

RATIO = {"syscall.getpid": {"statistic": "ratio", "limit": "< 1.1"}}
GOOD = noisy(100.0)


def measured(home, *, gates=None, **targets):
    """A sealed run of two systems, `base` and `head`, by the figures of each benchmark."""
    facts = {name: {"machine": {"execution": "native"}, "system": {"kind": "host", "at": name}} for name in targets}
    return bundle.load_sealed(a_run(home, "20260101T000000Z-000001", facts=facts, gates=gates, **targets))


def getpid(home, head, *, base=GOOD, gates=None):
    return measured(home, gates=gates, base={"syscall.getpid": base}, head={"syscall.getpid": head})


def status(run, policy_gates=None, *, gone=()):
    if policy_gates is None:
        return judging.status(report.build(run))
    stated = Policy(name="policy", baseline="branch:main", gates=policy_gates)
    return judging.status(judging.judged(run, stated, {"mine": "head"}, gone=gone))


WRONG = Failed(violations=("wrong answer",))
NONE = Unsupported(reason="it has no such call")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (noisy(100.0, seed=2), 0),
        (noisy(90.0, seed=2), 0),
        (noisy(110.0, seed=2), 1),
        (noisy(102.0, seed=2, cv=0.05), 3),
        ([*noisy(100.0, n=11), WRONG], 1),
        ([NONE] * 12, 1),
    ],
    ids=["same", "faster", "slower", "undecided", "wrong", "lost"],
)
def test_without_gates_nothing_may_be_slower_wrong_or_lost(tmp_path, head, expected):
    assert status(getpid(tmp_path, head)) == expected


def test_what_the_base_gets_wrong_is_no_fault_of_the_head_but_no_answer_either(tmp_path):
    assert status(getpid(tmp_path, GOOD, base=[WRONG] * 12)) == 3


@pytest.mark.parametrize(
    ("level", "expected"), [(105.0, 0), (120.0, 1), (110.0, 3)], ids=["within", "beyond", "on the limit"]
)
def test_a_policy_decides_alone_where_there_is_one(tmp_path, level, expected):
    assert status(getpid(tmp_path, noisy(level, seed=2)), RATIO) == expected


@pytest.mark.parametrize(("mode", "expected"), [("gate", 1), ("review", 0), ("off", 0)])
def test_each_benchmark_may_be_gated_reviewed_or_off(tmp_path, mode, expected):
    run = measured(
        tmp_path,
        base={"syscall.getpid": GOOD, "syscall.stat": GOOD},
        head={"syscall.getpid": noisy(150.0), "syscall.stat": GOOD},
    )
    gates = {"syscall.getpid": RATIO["syscall.getpid"] | {"mode": mode}, "syscall.stat": {"must_pass": True}}
    assert status(run, gates) == expected


def test_a_wrong_answer_is_bad_whatever_the_gates_say(tmp_path):
    assert status(getpid(tmp_path, [WRONG] * 12), {"syscall.getpid": {"must_pass": True, "mode": "off"}}) == 1


def test_a_gated_benchmark_that_was_skipped_has_not_disappeared(tmp_path):
    gates = RATIO | {"syscall.stat": {"must_pass": True}}
    assert status(getpid(tmp_path, GOOD), gates) == 1
    assert status(getpid(tmp_path, GOOD), gates, gone=("syscall.stat",)) == 0


@pytest.mark.parametrize(("more", "expected"), [(1.0, 0), (-50.0, 0), (2.1, 1)])
def test_one_instruction_more_is_a_fact_and_beyond_the_margin_a_regression(tmp_path, more, expected):
    run = getpid(tmp_path, GOOD)
    found = report.build(run)
    (row,) = found.rows
    cell = msgspec.structs.replace(row.cells["head"], comparison=exactly(100.0, 100.0 + more, "lower"))
    row = msgspec.structs.replace(row, cells=row.cells | {"head": cell})
    assert judging.status(msgspec.structs.replace(found, rows=(row,))) == expected


# ---- the comment ----


def test_the_comment_says_first_what_became_slower_and_folds_what_did_not(tmp_path):
    run = measured(
        tmp_path,
        gates=RATIO,
        base={"syscall.getpid": GOOD, "syscall.stat": GOOD, "lifecycle.provision": GOOD},
        head={"syscall.getpid": noisy(130.0), "syscall.stat": GOOD, "lifecycle.provision": [NONE] * 12},
    )
    text = FORMATS.load("comment")(report.build(run))
    assert text.startswith(comment.MARK)
    slower, fold = text.index("| slower |"), text.index("<details>")
    assert slower < fold < text.index("syscall.stat")
    assert "lifecycle.provision" in text[:fold]
    assert "it has no such call" in text
    assert "NOT MET" in text
    assert text.count("<details>") == text.count("</details>") == 1


HOSTILE = "@everyone <img src=x> [x](https://evil.example) | `a` <!-- -->"


def test_a_hostile_text_calls_nobody_and_leads_nowhere(tmp_path):
    text = comment.render(report.build(getpid(tmp_path, [Unsupported(reason=HOSTILE)] * 12)))
    shown = text.removeprefix(comment.MARK)
    assert "everyone" in shown
    assert not re.search(r"@everyone|<img|https://|(?<!\\)\[x|<!--", shown)


def test_a_comment_fits_into_the_place_that_there_is_for_one(tmp_path):
    found = report.build(getpid(tmp_path, noisy(130.0)))
    rows = tuple(
        msgspec.structs.replace(
            found.rows[0],
            benchmark=f"{'a.long.name.' * 40}{n}",
            metric=f"{'a.long.name.' * 40}{n}.latency",
        )
        for n in range(150)
    )
    slower = found.rows[0].cells["head"]
    for head in (slower, msgspec.structs.replace(slower, comparison=exactly(1.0, 1.0, "lower"))):
        many = [msgspec.structs.replace(row, cells=row.cells | {"head": head}) for row in rows]
        text = comment.render(msgspec.structs.replace(found, rows=tuple(many)))
        assert len(text) < 65_536
        assert "more lines are in the report of the run" in text
        assert text.count("<details>") == text.count("</details>")


# ---- the verb, on a real machine ----

PLAN = """
[targets.host]
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
[[rerun]]
benchmarks = ["mine"]
paths = ["run"]
why = "the wrapper"
"""
BUILD = "chmod +x run; test ! -e broken"


FIXED = ("ci", "--plan", "../plan.toml", "--home", "../home")


def quickly(project, *words):
    """What measures nothing needs no process of its own."""
    (project[0].parent / "plan.toml").write_text(PLAN)
    return asked(project[0], *FIXED, *words)


def ci(project, *words, **environment):
    folder = project[0]
    (folder.parent / "plan.toml").write_text(PLAN)
    return command(*FIXED, *words, cwd=folder, env=ENVIRONMENT | environment)


def test_base_and_head_are_built_and_measured_in_one_run_and_the_summary_is_written(project, tmp_path):
    folder, (base, _, renamed, _) = project
    outputs = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "GITHUB_OUTPUT": str(tmp_path / "outputs")}
    done = ci(project, "--base", "main", "--build", BUILD, "--comment", "../comment.md", "--json", **outputs)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    run = bundle.load_sealed(tmp_path / "home" / "runs" / found["run_id"])
    assert {key: run.manifest.labels[key] for key in ("commit", "base")} == {"commit": renamed, "base": base}
    assert set(run.target_envelopes) == {"base", "head"}
    assert run.target_envelopes["base"] != run.target_envelopes["head"]
    assert [each["verdict"] for each in found["report"]["gates"]] == ["met"]
    assert (tmp_path / "summary.md").read_text() == (tmp_path / "comment.md").read_text()
    written = dict(line.split("=", 1) for line in (tmp_path / "outputs").read_text().splitlines())
    assert written == {"status": "0", "run": found["run_id"], "bundle": found["bundle"]}
    assert worktrees(folder) == []
    assert git(folder, "status", "--porcelain") == ""


def test_a_head_that_breaks_what_is_measured_is_a_bad_answer(project):
    folder, (base, *_) = project
    commit(folder, "worse", run="#!/bin/sh\nexit 0\n")
    assert ci(project, "--base", base, "--build", BUILD).returncode == 1


def test_a_head_that_does_not_build_is_a_bad_answer_and_a_base_that_does_not_is_none(project, tmp_path):
    folder, _ = project
    broken = commit(folder, "broken", broken="")
    done = ci(project, "--base", "main", "--build", BUILD, "--comment", "../comment.md")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"head ({broken[:12]}): the build ended with exit status 1" in done.stderr
    assert "nothing was measured" in (tmp_path / "comment.md").read_text()
    commit(folder, "mended", run='#!/bin/sh\nexec "$@"\n#\n')
    git(folder, "rm", "-q", "broken")
    git(folder, "commit", "-q", "-m", "mended")
    done = ci(project, "--base", broken, "--build", BUILD)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"base ({broken[:12]}): the build" in done.stderr


def test_a_change_of_nothing_that_is_measured_measures_nothing_and_says_so(project, tmp_path):
    folder, (*_, renamed, _) = project
    commit(folder, "words", README="b")
    found = quickly(project, "--base", renamed, "--build", "exit 9", "--comment", "../comment.md")
    assert found == (0, "syscall.getpid  skipped   nothing changed in run\n", "")
    assert "nothing to measure" in (tmp_path / "comment.md").read_text()
    assert not (tmp_path / "home").exists()


def test_an_interrupted_build_ends_with_all_that_it_started_and_leaves_no_checkout(project, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    waiting = f"echo $$ > {tmp_path}/pid; mv {tmp_path}/pid {tmp_path}/started; sleep 600"
    words = [sys.executable, "-m", "benchproof", *FIXED, "--base", "main", "--build", waiting]
    with subprocess.Popen(words, cwd=project[0], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as running:
        while not (tmp_path / "started").exists() and running.poll() is None:
            time.sleep(0.01)
        running.terminate()
        _, complaint = running.communicate(timeout=60)
    assert running.returncode == 143, complaint
    assert not Path("/proc", (tmp_path / "started").read_text().strip()).exists()
    assert worktrees(project[0]) == []


def test_list_says_what_would_be_measured_and_why_and_builds_nothing(project, tmp_path):
    found = quickly(project, "--base", "main", "--build", "exit 9", "--list")
    assert found == (0, "syscall.getpid  measured  changed: run (the wrapper)\n", "")
    _, shown, _ = quickly(project, "--base", "HEAD", "--release", "--list", "--json")
    assert json.loads(shown) == [{"name": "syscall.getpid", "due": True, "why": "a release is cut"}]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--base-dir", "."], "--base-dir and --head-dir: expected both"),
        (["--build", "true", "--build-timeout", "soon"], "--build-timeout: expected"),
        (["--base", "nothing", "--build", "true"], "--base: expected a commit"),
        (["--head-set", "kernel"], "--head-set: expected KEY=VALUE"),
        (["--exact", "--base", "main", "--build", "exit 9"], "--exact: expected a target that can count"),
        (["--blocks", "0", "--base", "main", "--build", "exit 9"], "blocks: expected 1 to 100000"),
        (["--base-set", "cpus=0", "--targets", "host", "--head-set", "cpus=x", "--base", "main"], "cpus"),
        (["--policy", "none.toml"], "none.toml"),
    ],
)
def test_a_wrong_question_of_ci_is_exit_status_2(project, words, said):
    status, shown, complaint = quickly(project, *words)
    assert (status, shown) == (2, "")
    assert said in complaint


def test_what_is_built_already_needs_no_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN)
    request = measuring.Request(folders=("/b", "/h"))
    found = measuring.asked(tmp_path / "plan.toml", (), (), request, {})
    assert (found.change, found.choices[0].due, found.choices[0].why) == (None, True, "what changed is not known")
    with pytest.raises(UsageError, match="git rev-parse"):
        measuring.asked(tmp_path / "plan.toml", (), (), measuring.Request(build="make"), {})


# ---- the page ----

PAGE = (Path(__file__).parent.parent / "docs" / "ci.md").read_text()


def fence(kind: str) -> str:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return found


def test_the_plan_and_the_policy_of_the_page_make_sense_together(tmp_path):
    (tmp_path / "ci.toml").write_text(fence("toml policy"))
    found = two(tomllib.loads(fence("toml")) | {"gates": policy.load(tmp_path / "ci.toml").gates})
    parsed = plan.parse(found.document, where="plan", recorded=True)
    assert [(gate.target, gate.mode) for gate in parsed.gates] == [("head", "gate"), ("head", "review")]


@pytest.mark.parametrize(
    ("file", "families"),
    [
        ("capsem-core/src/image.rs", {"fork"}),
        ("capsem-core/src/lib.rs", {"fork"}),
        ("capsem-core/src/session/maintenance.rs", {"fork"}),
        ("capsem-service/src/a.rs", {"fork", "lifecycle"}),
        ("capsem-process/src/a.rs", {"fork", "lifecycle"}),
        ("capsem-core/src/vm/boot.rs", {"lifecycle"}),
        ("capsem-init/a.rs", {"lifecycle"}),
        ("README.md", set()),
    ],
)
def test_fork_and_life_cycle_are_rerun_when_what_they_measure_changes_and_for_a_release(tmp_path, file, families):
    folder = repository(tmp_path)
    commit(folder, "base", a="1")
    commit(folder, "head", **{file.replace("/", "__"): "2"})
    change = changes.of(checkouts.around(folder), "HEAD~1", "HEAD", {})
    suites = {"s": {"benchmarks": ["fork.fork", "lifecycle.exec", "lifecycle.delete"]}}
    document = tomllib.loads(fence("toml rerun")) | {"suites": suites}

    def due(everything=""):
        found = reruns.choices(document, (), where="page", changed=change.files, everything=everything)
        return {each.name.partition(".")[0] for each in found if each.due}

    assert due() == families
    assert due("a release is cut") == {"fork", "lifecycle"}


def test_the_links_and_the_options_of_the_page_exist():
    folder = Path(__file__).parent.parent / "docs"
    assert not [link for link in re.findall(r"\]\(([^)]+)\)", PAGE) if not (folder / link).exists()]
    known = {
        name
        for each in (ci_, bisect_, upload_, run_, gate_, trend_)
        for param in each.command.params
        for name in param.opts
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) <= known
