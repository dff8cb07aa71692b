"""The rows of ARCHITECTURE.md: a module imports only from rows above its own."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import benchproof
from benchproof.benchmarks import BENCHMARKS
from benchproof.importers import FORMATS as IMPORT_FORMATS
from benchproof.importers import Format
from benchproof.reporters import FORMATS
from benchproof.targets import KINDS

ROOT = Path(benchproof.__file__).parent
ROWS = (
    ("errors", "quantities", "model"),
    ("letters", "pinning"),
    (
        "beneath",
        "complaints",
        "places",
        "plugins",
        "process",
        "noise",
        "cloud",
        "footprint",
        "cgroups",
        "held",
        "labels",
        "listening",
        "markup",
    ),
    ("checkouts", "oracles", "authority", "outcomes", "probe", "guest", "envelope", "analysis", "protocol", "service"),
    ("charts",),
    ("targets", "benchmarks", "importers", "reporters", "store", "laboratory"),
    ("document", "tables"),
    ("policy", "matrices", "references", "suites", "tier0", "heading"),
    ("external", "inspiration", "reruns"),
    ("plan", "foreign"),
    ("report", "history"),
    ("auditing", "badges", "baselines", "comparing", "releases", "exports", "monitoring", "scrape"),
    ("results_page", "telemetry"),
    ("runner", "verify", "doctor", "explain", "gating", "importing", "sandboxd"),
    ("alerts", "calibration", "continuous"),
    ("web",),
    ("cli",),
    ("pytest_plugin",),
    ("__main__",),
)
ROW_OF = {name: number for number, row in enumerate(ROWS) for name in row}


@functools.cache
def statements() -> tuple[tuple[str, ast.Import | ast.ImportFrom], ...]:
    """(part, statement) for every import anywhere in the package."""
    return tuple(
        (path.relative_to(ROOT).parts[0].removesuffix(".py"), node)
        for path in ROOT.rglob("*.py")
        if "import" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def imports() -> list[tuple[str, str]]:
    """(part, part that it imports) for every import anywhere in the package."""
    found = []
    for part, node in statements():
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.module:
            names = [node.module] if node.module != "benchproof" else [f"benchproof.{a.name}" for a in node.names]
        found += [(part, name.split(".")[1]) for name in names if name.startswith("benchproof.")]
    return [(part, other) for part, other in found if part != other]


def test_every_module_has_a_row():
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    assert parts - {"__init__"} == set(ROW_OF)


def test_a_module_imports_only_from_rows_above_its_own():
    wrong = [(part, other) for part, other in imports() if other != "__version__" and ROW_OF[other] >= ROW_OF[part]]
    assert wrong == []


def test_no_relative_imports_hide_from_this_test():
    assert not [node for _, node in statements() if isinstance(node, ast.ImportFrom) and node.level]


def test_every_line_of_every_table_loads():
    for table in (KINDS, BENCHMARKS, FORMATS):
        assert all(callable(table.load(name)) for name in table.names())
    assert all(isinstance(IMPORT_FORMATS.load(name), Format) for name in IMPORT_FORMATS.names())


def test_no_plan_can_name_the_fake_target():
    assert "fake" not in KINDS.names()


def test_the_command_line_starts_without_heavy_libraries():
    heavy = ("rich", "msgspec", "tomllib", "asyncio")
    code = f"import sys, benchproof.cli; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
