"""The plug-in for pytest: sessions as a user starts them, each a process, and what they leave in the store."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchproof import plan, pytest_plugin, report, verify
from benchproof.errors import UsageError
from benchproof.model import Failed, Passed, Unsupported, Unverified
from benchproof.pytest_plugin import measuring, room
from benchproof.pytest_plugin.calls import Asked
from benchproof.store import bundle

PLUGIN = "benchproof" if entry_points(group="pytest11", name="benchproof") else "benchproof.pytest_plugin"
SUITE = """
import unittest

import pytest


@pytest.mark.parametrize("n", [10, 1000])
def test_right(benchproof, n):
    assert benchproof(sum, range(n), expect=n * (n - 1) // 2) == n * (n - 1) // 2


class Test(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _given(self, benchproof):
        self.benchproof = benchproof

    def test_method(self):
        self.benchproof(list.sort, setup=lambda: list(range(99999, 0, -1)), check=lambda answer: answer is None)


def test_unverified(benchproof):
    benchproof(sum, range(10))


def test_wrong(benchproof):
    benchproof(sum, range(10), expect=44)


def test_wrong_later(benchproof):
    calls = []
    benchproof(lambda: (calls.append(1), len(calls) < 50)[1], expect=True)


async def nothing():
    return None


def test_async(benchproof):
    benchproof(nothing, expect=None)


def test_target(benchproof):
    assert int(benchproof.benchmark("syscall.getpid")["operations"])


def test_neighbour(benchmark):
    assert benchmark(sum, range(10)) == 45
"""


APART = """
import os

def test_apart(benchproof, request):
    benchproof(sum, [1], expect=1)
    assert not (request.config.getoption("benchproof_order") and os.environ.get("PYTEST_XDIST_WORKER"))
"""


def session(folder: Path, *words: str, plugins: tuple[str, ...] = (), text: str = "") -> subprocess.CompletedProcess:
    """A session of pytest with the plug-in and those named, and no others."""
    if text:
        (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").touch()
    loaded = [word for each in (PLUGIN, *plugins) for word in ("-p", each)]
    unset = ("BENCHPROOF_HOME", "BENCHPROOF_INDEX", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *loaded, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def runs(folder: Path) -> list[Path]:
    return sorted((folder / ".benchproof" / "runs").glob("*/"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Everything a test may ask, in one session beside pytest-benchmark: its folder, its output and its run."""
    folder = tmp_path_factory.mktemp("suite")
    done = session(
        folder,
        "--benchproof-budget=0.02s",
        "--benchmark-max-time=0.01",
        plugins=("pytest_benchmark.plugin",),
        text=SUITE,
    )
    (path,) = runs(folder)
    return folder, done, bundle.load_sealed(path)


def outcomes(run, name):
    """Of the counted invocations of a test, and of its warm-ups where those were wrong."""
    return [each.outcome for each in report.counted(run) if each.parameters.get("test", "").endswith(f"::{name}")]


def test_a_session_is_one_run_whose_every_hash_oracle_and_figure_can_be_verified(whole):
    _, done, run = whole
    verdict = verify.verify(run.path)
    assert verdict.problems == ()
    assert verdict.state == "complete"
    assert verdict.checked["oracles"] > 7  # those of tier 0 are 7
    assert f"evidence: {run.path}" in done.stdout


def test_each_set_of_parameters_is_a_case_with_samples(whole):
    found = [each for each in whole[2].results if each.parameters.get("test") == "test_it.py::test_right"]
    assert {each.parameters["case"] for each in found} == {"10", "1000"}
    for each in found:
        (measurement,) = each.outcome.measurements
        assert measurement.metric == "test_it.test_right.latency"
        assert measurement.iterations > 1
        assert each.evidence["oracle"] == "expect"


def test_a_method_of_a_unittest_class_is_measured_each_call_after_its_setup(whole):
    (outcome,) = outcomes(whole[2], "test_method")
    assert isinstance(outcome, Passed)
    assert outcome.measurements[0].metric == "test_it.Test.test_method.latency"
    assert outcome.measurements[0].iterations == 1


def test_without_an_oracle_the_figure_is_unverified_and_says_so(whole):
    assert [type(each) for each in outcomes(whole[2], "test_unverified")] == [Unverified]
    assert "a test without check= or expect=, not verified" in whole[1].stdout


def test_a_wrong_answer_fails_the_test_and_has_no_figure(whole):
    assert {type(each) for each in outcomes(whole[2], "test_wrong")} == {Failed}
    assert "FAILED test_it.py::test_wrong - Failed: benchproof: expected 44, found 45" in whole[1].stdout


def test_an_answer_that_becomes_wrong_while_it_is_measured_fails_the_session(whole):
    _, done, run = whole
    assert "PASSED test_it.py::test_wrong_later" in done.stdout
    assert {each.violations for each in outcomes(run, "test_wrong_later")} == {("expected True, found False",)}
    assert done.returncode == pytest.ExitCode.TESTS_FAILED


def test_a_coroutine_function_is_unsupported_with_the_way_out(whole):
    _, done, run = whole
    (outcome,) = outcomes(run, "test_async")
    assert isinstance(outcome, Unsupported)
    assert "asyncio.run" in outcome.missing
    assert "SKIPPED" in done.stdout
    assert "asyncio.run" in done.stdout


def test_a_benchmark_of_a_target_is_in_the_same_run_and_asked_of_that_target_alone(whole):
    found = {(each.target, each.benchmark) for each in whole[2].results}
    assert ("host", "syscall.getpid") in found
    assert {benchmark for target, benchmark in found if target == "python"} == {"python.call"}
    built = report.build(whole[2])
    assert "missing" not in built.statuses
    assert [column.reference for column in built.columns] == [column.target for column in built.columns]


def test_a_suite_of_pytest_benchmark_runs_unchanged_beside_it(whole):
    assert "PASSED test_it.py::test_neighbour" in whole[1].stdout
    assert "1 tests" in whole[1].stdout.partition("benchmark:")[2]  # its own table
    assert "test_neighbour" not in {each.parameters.get("test") for each in whole[2].results}


def test_the_envelope_knows_interpreter_and_packages_and_no_folder(whole):
    folder, _, run = whole
    (key,) = {each.envelope for each in run.results if each.target == "python"}
    system = run.envelopes[key].sections["system"]
    assert system["python"].startswith("CPython 3.")
    assert "pytest " in system["packages"]
    written = b"".join((run.path / name).read_bytes() for name in ("envelope.json", "manifest.json"))
    assert str(folder).encode() not in written
    assert sys.prefix.encode() not in written


def test_a_session_in_parallel_is_measured_afterwards_and_compared_with_an_earlier_run(whole):
    """What the earlier run had and this one was not asked is lost, and --benchproof-fail fails for it."""
    folder, _, before = whole
    (folder / "test_apart.py").write_text(APART)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p xdist -n2")  # the processes that measure read it, too
    words = ("--benchproof-budget=0.02s", f"--benchproof-compare={before.manifest.run_id}", "--benchproof-fail")
    done = session(folder, *words, "-k", "test_apart", plugins=("pytest_benchmark.plugin",))
    assert "created: 2/2 workers" in done.stdout
    after = bundle.load_sealed(runs(folder)[-1])
    assert [type(each) for each in outcomes(after, "test_apart")] == [Passed]
    assert f"{after.manifest.run_id}/python against {before.manifest.run_id}/python" in done.stdout.replace("\n", " ")
    assert "--benchproof-fail: something is slower or lost" in done.stdout
    assert done.returncode == pytest.ExitCode.TESTS_FAILED


def test_nothing_is_measured_where_that_is_disabled_and_answers_are_still_checked(tmp_path):
    done = session(
        tmp_path, "--benchproof-disable", "-k", "right or test_wrong", plugins=("pytest_benchmark.plugin",), text=SUITE
    )
    assert "FAILED test_it.py::test_wrong " in done.stdout
    assert "4 cases were checked, none was measured" in done.stdout
    assert not (tmp_path / ".benchproof").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"fail": True}, "--benchproof-fail: expected --benchproof-compare beside it"),
        ({"blocks": 0}, "--benchproof-blocks: expected 1 to 100000, found 0"),
        ({"label": ["x"]}, "--benchproof-label: expected NAME=TEXT"),
        ({"options": "'"}, "--benchproof-options: No closing quotation"),
        ({"budget": "soon"}, "--benchproof-budget: expected an amount"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_before_the_tests(given, expected):
    usual = {"fail": False, "compare": "", "blocks": 1, "label": [], "options": "", "budget": ""}
    options = {f"benchproof_{name}": value for name, value in (usual | given).items()}
    with pytest.raises(pytest.UsageError, match=expected):
        pytest_plugin._refuse_nonsense(SimpleNamespace(getoption=options.get))


def test_a_baseline_that_is_not_there_is_refused_in_a_line_before_the_tests(tmp_path):
    done = session(tmp_path, "--benchproof-compare=2026", text="def test_it():\n    assert False\n")
    assert "--benchproof-compare: no run is called '2026'" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "failed" not in done.stdout
    assert done.returncode == pytest.ExitCode.USAGE_ERROR


def test_a_target_that_cannot_be_had_skips_the_test_and_one_question_twice_fails_it(tmp_path):
    text = """
    def test_gone(benchproof):
        benchproof.target("gone", kind="command", command=["no-such-program", "{argv}"]).benchmark("syscall.stat")

    def test_misspelt(benchproof):
        benchproof.benchmark("syscall.getpdi")

    def test_twice(benchproof):
        benchproof(int, expect=0)
        benchproof(int, expect=0)
    """
    done = session(tmp_path, "--benchproof-disable", text="\n".join(line[4:] for line in text.splitlines()))
    assert "2 failed" in done.stdout
    assert "did you mean 'syscall.getpid'" in done.stdout
    assert "give each call a label=" in done.stdout
    assert "1 skipped" in done.stdout


def test_a_session_that_asks_nothing_loads_nothing_of_ours_but_the_hooks(tmp_path):
    text = """
import sys

def test_plain():
    ours = {name for name in sys.modules if name.startswith("benchproof")}
    assert ours == {"benchproof", "benchproof.pytest_plugin"}
    assert "msgspec" not in sys.modules
"""
    done = session(tmp_path, text=text)
    assert done.returncode == 0, done.stdout
    assert "benchproof" not in done.stdout.partition("PASSED")[2]


PAGE = (Path(__file__).parent.parent / "docs" / "pytest.md").read_text()


def test_the_examples_of_the_page_are_tests_that_pass(tmp_path):
    calls, of_targets = (re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[number] for number in (0, 2))
    (tmp_path / "words.py").write_text(
        "import collections\n\n\ndef count(text):\n    return collections.Counter(text.split())\n"
    )
    host = "".join(line for line in of_targets.splitlines(keepends=True) if "bwrap" not in line and "guest" not in line)
    done = session(tmp_path, "--benchproof-disable", text=f"{calls}\n\n{host}")
    assert "3 passed" in done.stdout, done.stdout


def test_the_plan_of_the_page_asks_each_target_its_own():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    keys = {case.key[:2] for case in plan.parse(tomllib.loads(text), where="docs").cases}
    assert keys == {("python", "python.call"), ("host", "syscall.getpid")}


def test_the_page_names_every_option():
    words = re.findall(r'add\("(--[a-z-]+)"', Path(pytest_plugin.__file__).read_text())
    assert [word for word in words if f"`{word}" not in PAGE] == ["--benchproof-order"]


def planned(*asked):
    """The plan of a session whose tests asked (target, settings, item)."""
    options = {"benchproof_budget": "", "benchproof_options": "", "benchproof_blocks": 1}
    config = SimpleNamespace(getoption=options.get, inipath=None, rootpath=Path())
    return plan.parse(measuring.document([Asked(*each) for each in asked], config), where="test")


CALL = {"name": "python.call", "test": "test_it.py::test_it"}
STAT = {"name": "syscall.stat"}


def test_ratios_are_to_the_host_or_to_the_first_target_and_never_between_time_and_instructions():
    exact = {"kind": "qemu", "exact": True}
    found = planned(("python", {}, CALL), ("bwrap", {}, STAT), ("counted", exact, STAT), ("host", {}, STAT))
    assert found.references == {"python": "python", "bwrap": "host", "counted": "counted", "host": "host"}
    assert planned(("python", {}, CALL), ("bwrap", {}, STAT)).references["bwrap"] == "bwrap"


def test_one_name_for_two_targets_is_refused():
    with pytest.raises(UsageError, match="two tests mean different targets by 'bwrap'"):
        planned(("bwrap", {}, STAT), ("bwrap", {"cpus": "0"}, STAT))


def test_one_call_of_the_fixture_asks_one_question():
    with pytest.raises(UsageError, match="expected one question to one target, found 2"):
        room.plan_of("host", {}, {"name": "memory.memcpy", "size": ["1 MiB", "2 MiB"]}, where="test")
