"""The commit at which a count changed: found among those that build, by real builds of a real kernel and by figures."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from benchproof import checkouts
from benchproof.cli import bisect_
from benchproof.continuous.searching import Found, NoEndError, Step, search
from benchproof.errors import UsageError
from benchproof.store import bundle
from histories import asked, commit, git, repository, worktrees

EXAMPLE = Path(__file__).parent.parent / "examples" / "bare-metal"
NEEDED = [each for each in ("make", "cc", "qemu-system-x86_64", "git") if not shutil.which(each)]
PLAN = """
[targets.mine]
kind = "kernel"
image = "{checkout}/kernel.elf"
arguments = "bp.run=syscall.getpid bp.samples=2"  # nothing else, also when it is asked what it is
ends = "debug-exit"
[suites.own]
benchmarks = ["syscall.getpid"]
[run]
quick = true
"""
LINK = (
    "cc -static -no-pie -nostdlib -Wl,--build-id=none,-z,max-page-size=4096,-z,noexecstack,--no-warn-rwx-segments "
    "-T {objects}/link.ld -o kernel.elf entry.o $(ls {objects}/*.o | grep -v entry.o)"
)


# ---- by figures ----


def found_in(values: list[float | None], threshold: float = 0.0) -> Found:
    """The search over commits `c0`, `c1`, ... that have these figures; None: it does not build."""

    def measure(name: str) -> Step:
        value = values[int(name[1:])]
        return Step(commit=name, value=value, trouble="" if value is not None else "does not build")

    return search([f"c{number}" for number in range(len(values))], measure, threshold=threshold)


@pytest.mark.parametrize("change", range(1, 40))
def test_the_commit_is_found_wherever_it_is_with_few_measurements(change):
    found = found_in([100.0] * change + [103.0] * (40 - change))
    assert found.culprits == (f"c{change}",)
    assert len(found.steps) <= 8
    assert found.share == 1.0


def test_where_the_ends_do_not_differ_there_is_no_commit_and_nothing_more_is_measured():
    found = found_in([100.0, 500.0, 100.0])
    assert (found.culprits, found.share, len(found.steps)) == ((), None, 2)


def test_ends_within_the_threshold_do_not_differ():
    assert found_in([100.0, 101.0], threshold=0.01).culprits == ()
    assert found_in([100.0, 101.1], threshold=0.01).culprits == ("c1",)


def test_a_change_for_the_better_is_found_too():
    assert found_in([100.0, 100.0, 90.0]).culprits == ("c2",)


def test_of_two_changes_one_is_found_and_how_much_of_the_difference_it_is():
    found = found_in([100.0, 101.0, 101.0, 101.0, 110.0, 110.0])
    assert found.culprits == ("c4",)
    assert found.share == pytest.approx(0.9)


def test_commits_without_a_figure_are_passed_over():
    found = found_in([1.0, None, 1.0, None, None, 2.0, None, 2.0])
    assert found.culprits == ("c3", "c4", "c5")
    assert [step.commit for step in found.steps if step.value is None] == ["c3", "c4"]


def test_commits_without_a_figure_that_are_far_from_the_change_cost_no_answer():
    assert found_in([1.0, None, 1.0, 1.0, 2.0, 2.0, None, 2.0]).culprits == ("c4",)


@pytest.mark.parametrize(("values", "end"), [([None, 1.0], "good"), ([1.0, None], "bad")])
def test_an_end_that_cannot_be_measured_is_no_answer_and_says_which(values, end):
    with pytest.raises(NoEndError, match=f"the {end} end, c[01], was not measured: does not build"):
        found_in(values)


# ---- by commits ----


def test_a_good_commit_that_is_no_ancestor_is_refused(tmp_path):
    folder = repository(tmp_path)
    first = commit(folder, "one", a="1")
    git(folder, "checkout", "-q", "-b", "other")
    aside = commit(folder, "aside", b="1")
    git(folder, "checkout", "-q", "main")
    last = commit(folder, "two", a="2")
    here = checkouts.around(folder)
    assert here.between(first, last) == (first, last)
    for good, bad in ((aside, last), (last, first), (last, last)):
        with pytest.raises(UsageError, match="expected a good commit that"):
            here.between(good, bad)


def test_a_merge_is_one_step(tmp_path):
    folder = repository(tmp_path)
    first = commit(folder, "one", a="1")
    git(folder, "checkout", "-q", "-b", "side")
    inner = commit(folder, "inner", b="1")
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "--no-ff", "-m", "merged", "side")
    merge = git(folder, "rev-parse", "HEAD")
    assert checkouts.around(folder).between(first, merge) == (first, merge)
    assert inner not in checkouts.around(folder).between(first, merge)


# ---- by real builds ----


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> tuple[Path, list[str], str]:
    """A kernel whose way into a system call is three instructions longer from the second commit on.

    The third does not build. Returns the folder, the commits and the command that builds one.
    """
    objects = tmp_path_factory.mktemp("objects")
    subprocess.run(["make", "-s", "-C", EXAMPLE, f"OUT={objects}"], check=True, timeout=120)
    shutil.copy(EXAMPLE / "link.ld", objects)
    entry = (EXAMPLE / "entry.S").read_text()
    slower = entry.replace("    call ring_enter\n", "    nop\n    nop\n    nop\n    call ring_enter\n")
    assert slower != entry
    folder = repository(tmp_path_factory.mktemp("history"))
    texts = [entry, slower, "no assembler\n", slower + "# more\n", slower + "# and more\n"]
    commits = [commit(folder, f"change {number}", entry_dot_S=text) for number, text in enumerate(texts)]
    (folder.parent / f"{folder.name}.toml").write_text(PLAN)
    return folder, commits, f"cc -c -o entry.o entry.S && {LINK.format(objects=objects)}"


def bisect(history, home: Path, *words: str) -> tuple[int, str, str]:
    folder, _, build = history
    plan = folder.parent / f"{folder.name}.toml"
    fixed = ["--plan", str(plan), "-b", "syscall.getpid", "--build", build, "--home", str(home)]
    return asked(folder, "bisect", *fixed, *words)


@pytest.mark.skipif(bool(NEEDED), reason=f"needs {', '.join(NEEDED)}")
def test_the_commit_that_made_a_system_call_three_instructions_longer_is_found(history, tmp_path):
    folder, commits, _ = history
    ends = ("--good", commits[0], "--bad", commits[-1])
    status, shown, complaint = bisect(history, tmp_path / "home", *ends, "--json")
    assert status == 0, complaint
    found = json.loads(shown)
    assert found["culprits"] == [commits[1]]
    assert found["after"]["value"] - found["before"]["value"] == 3
    assert found["share"] == 1.0
    runs = [bundle.load_sealed(path) for path in (tmp_path / "home" / "runs").iterdir() if path.is_dir()]
    measured = {step["run_id"]: step["commit"] for step in found["steps"] if step["run_id"]}
    assert {run.manifest.run_id: run.manifest.labels["commit"] for run in runs} == measured
    (trouble,) = [step["trouble"] for step in found["steps"] if step["commit"] == commits[2]]
    assert "the build ended with exit status" in trouble
    assert "assembler" in (tmp_path / "home" / "builds" / f"{commits[2][:12]}.txt").read_text()
    assert worktrees(folder) == []
    assert git(folder, "status", "--porcelain") == ""


def test_no_commit_is_a_sentence_of_its_own():
    same = Step(commit="1" * 40, value=117.0, metric="syscall.getpid.instructions", run_id="r")
    found = search(["1" * 40, "2" * 40], lambda _: same)
    assert bisect_._told(None, found).splitlines()[1] == "no commit: the ends do not differ"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected --good and --bad, or --since alone"),
        (["--good", "HEAD~1", "--since", "HEAD~1"], "expected --good and --bad, or --since alone"),
        (["--since", "no-such"], "found 'no-such'"),
        (["--since", "--upload-pack=x"], "found '--upload-pack=x'"),
        (["--since", "HEAD~1", "--threshold", "much"], "--threshold"),
        (["--since", "HEAD~1", "--build", "exit 9", "--plan", "../no-checkout.toml"], "found it nowhere"),
        (["--since", "HEAD~1", "--target", "mien"], "no target 'mien'"),
    ],
)
def test_a_wrong_question_of_bisect_is_exit_status_2(history, words, said):
    folder, _, build = history
    plan = str(folder.parent / f"{folder.name}.toml")
    (folder.parent / "no-checkout.toml").write_text(PLAN.replace("{checkout}", "."))
    status, shown, complaint = asked(folder, "bisect", "--plan", plan, "-b", "syscall.getpid", "--build", build, *words)
    assert (status, shown) == (2, "")
    assert said in complaint
