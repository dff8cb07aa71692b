"""What the documentation says is so."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchproof import cli, plan
from benchproof.benchmarks import BENCHMARKS
from benchproof.targets import KINDS

ROOT = Path(__file__).parent.parent
COVERAGE = (ROOT / "docs" / "coverage.md").read_text()
ROWS = re.findall(r"^\| ([A-E]\d{3}) \| (.*) \| (.*) \|$", COVERAGE, re.MULTILINE)
SECTIONS = {"A": 85, "B": 178, "C": 49, "D": 37, "E": 104}


def help_of(*words: str) -> str:
    command = [sys.executable, "-m", "benchproof", *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_requirement_has_exactly_one_row():
    assert [row[0] for row in ROWS] == [
        f"{part}{n:03}" for part, count in SECTIONS.items() for n in range(1, count + 1)
    ]


def test_every_covered_row_names_a_test_that_exists():
    for name, how, test in ROWS:
        if how.startswith("open"):
            assert test == "-", name
        else:
            for each in re.split(r", ", test.replace("`", "")):
                path, _, function = each.partition("::")
                assert (ROOT / path).is_file(), f"{name}: {path}"
                assert not function or f"def {function}(" in (ROOT / path).read_text(), f"{name}: {each}"


def test_the_counts_in_the_coverage_are_those_of_its_rows():
    for part, count in SECTIONS.items():
        still_open = sum(row[0][0] == part and row[1].startswith("open") for row in ROWS)
        assert re.search(rf" {part} {count - still_open} / {still_open}[,;]", COVERAGE), part


@pytest.mark.parametrize("verb", cli._VERBS)
def test_the_readme_names_every_verb(verb):
    assert f"benchproof {verb}" in (ROOT / "README.md").read_text()


def test_the_readme_lists_every_benchmark_and_target():
    readme = (ROOT / "README.md").read_text()
    assert not [name for name in (*BENCHMARKS.own, *KINDS.own) if f"`{name}`" not in readme]


def test_the_help_in_the_readme_is_the_help():
    (shown,) = re.findall(r"```\n\$ benchproof run --help\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown == help_of("run")


def test_the_plans_in_the_readme_make_sense(tmp_path):
    plans = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert plans
    for text in plans:
        (tmp_path / "plan.toml").write_text(text)
        plan.load(tmp_path / "plan.toml")


def test_the_benchmark_in_contributing_works_as_it_stands_there(tmp_path):
    """A copy of the package gets the C code, the Python file and the two lines; then it is measured."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    (c_code,) = re.findall(r"```c\n(.*?)```", page, re.DOTALL)
    (python,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    package = tmp_path / "benchproof"
    shutil.copytree(ROOT / "src" / "benchproof", package, ignore=shutil.ignore_patterns("__pycache__"))
    functions, _, line = c_code.partition("/* in PRIMITIVES: */ ")
    probe = package / "probe" / "primitives.c"
    table = "const struct benchmark PRIMITIVES[] = {\n"
    probe.write_text(probe.read_text().replace(table, functions + table + "    " + line))
    (package / "benchmarks" / "primitive" / "dup.py").write_text(python)
    table = package / "benchmarks" / "__init__.py"
    table.write_text(
        table.read_text().replace("    own={\n", '    own={\n        "syscall.dup": f"{_PRIMITIVE}.dup:Dup",\n')
    )
    command = ["run", "--targets", "host", "-b", "syscall.dup", "--blocks", "1", "--home", str(tmp_path / "home")]
    done = subprocess.run(
        [sys.executable, "-m", "benchproof", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "1/1 passed" in done.stdout
