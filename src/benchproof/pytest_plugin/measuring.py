"""When the tests are done: what they asked as a plan, the run, the comparison, and the words for all of it."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof import comparing, laboratory, plan, runner
from benchproof.cli import resolve_run
from benchproof.cli.output import letters_of
from benchproof.cli.progress import Progress
from benchproof.errors import BenchproofError, Interrupted, UsageError
from benchproof.labels import collect
from benchproof.model import Frozen
from benchproof.pytest_plugin.asking import OWN_TARGET
from benchproof.pytest_plugin.calls import Asked
from benchproof.report import Report
from benchproof.reporters import FORMATS, terminal, versus
from benchproof.store import bundle
from benchproof.store.bundle import Run

_HOME = ".benchproof"
_USUAL = "host"  # what the ratios of other targets are to, where it was asked too


class Measured(Frozen, frozen=True):
    """What to print, and the session's exit status where that is not for its tests to say; 0: theirs."""

    text: str
    exit_status: int


def baseline(config: pytest.Config) -> Run:
    """The run of --benchproof-compare. Raises pytest.UsageError where there is none."""
    try:
        path = resolve_run(_home(config), config.getoption("benchproof_compare"), index=_index(config))
        return bundle.load_sealed(path)
    except BenchproofError as error:
        raise pytest.UsageError(f"--benchproof-compare: {error}") from error


def measure(config: pytest.Config, asked: tuple[str, ...], base: Run | None) -> Measured:
    """All that was asked, in one run. What cannot be measured at all is said, and fails the session."""
    try:
        wanted = plan.parse(document([msgspec.json.decode(each, type=Asked) for each in asked], config), where="pytest")
        path, found = _run(config, wanted)
        text, status = _shown(found, path, config), _status(found)
        if base is not None:
            told, verdict = _compared(base, path, config)
            text, status = text + told, status or verdict
    except Interrupted as error:
        return Measured(f"{error}\n", pytest.ExitCode.INTERRUPTED)
    except BenchproofError as error:
        usage = isinstance(error, UsageError)
        return Measured(
            f"nothing was measured: {error}\n", pytest.ExitCode.USAGE_ERROR if usage else pytest.ExitCode.TESTS_FAILED
        )
    return Measured(text, status)


def document(asked: Iterable[Asked], config: pytest.Config) -> dict[str, Any]:
    """The plan: a suite for each target. Raises UsageError where two tests mean different targets by one name."""
    targets: dict[str, dict[str, Any]] = {}
    suites: dict[str, dict[str, Any]] = {}
    budget = config.getoption("benchproof_budget")
    for each in asked:
        own = each.target == OWN_TARGET
        settings = {"options": _options(config), "reference": OWN_TARGET} if own else each.settings
        if targets.setdefault(each.target, settings) != settings:
            raise UsageError(f"two tests mean different targets by '{each.target}': give each a name of its own")
        suite = suites.setdefault(each.target, {"targets": [each.target], "benchmarks": []})
        suite["benchmarks"].append(each.item | ({"budget": budget} if own and budget else {}))
    timed = [name for name in targets if name != OWN_TARGET and not targets[name].get("exact")]
    reference = {"reference": _USUAL if _USUAL in timed else timed[0]} if timed else {}  # never a call of Python
    targets |= {name: reference | targets[name] for name in timed}
    return {"targets": targets, "suites": suites, "run": {"blocks": config.getoption("benchproof_blocks")}}


def _options(config: pytest.Config) -> list[str]:
    """Of the processes that are measured: the session's configuration file, and what the user adds."""
    added = shlex.split(config.getoption("benchproof_options"))
    path = config.inipath
    inside = path is not None and path.is_relative_to(config.rootpath)
    return [*(["-c", str(path.relative_to(config.rootpath))] if path and inside else []), *added]


def _home(config: pytest.Config) -> Path:
    said = config.getoption("benchproof_home") or os.environ.get("BENCHPROOF_HOME")
    return config.invocation_params.dir / said if said else config.rootpath / _HOME


def _index(config: pytest.Config) -> str | None:
    return config.getoption("benchproof_index") or os.environ.get("BENCHPROOF_INDEX")


def _run(config: pytest.Config, wanted: plan.Plan) -> tuple[Path, Report]:
    """Measure, in the root folder: the names of tests are relative to it."""
    probe = laboratory.prepare_probe(laboratory.cache_folder())
    labels = collect(config.getoption("benchproof_label"), folder=config.rootpath, environment=os.environ)
    progress = Progress(sys.stderr)
    home = _home(config).absolute()
    sys.stderr.write("\n")  # behind the dots of the tests
    with contextlib.chdir(config.rootpath), progress, runner.begin(wanted, home, probe, progress, labels) as session:
        progress.began(session.out.path)
        for _ in session.run():
            pass
        return session.out.path, session.close()


def _status(found: Report) -> int:
    """A figure that is wrong when it is measured is a test that fails, and so is a session without any."""
    fine = found.statuses.keys() <= {"passed", "unverified", "unsupported"}
    return pytest.ExitCode.OK if fine else pytest.ExitCode.TESTS_FAILED


def _shown(found: Report, path: Path, config: pytest.Config) -> str:
    page = path.parent.parent / f"{path.name}.md"
    page.write_text(FORMATS.load("markdown")(found), encoding="utf-8")
    return f"{terminal.render(found, **_look(config))}evidence: {path} (benchproof verify {path})\n"


def _compared(base: Run, path: Path, config: pytest.Config) -> tuple[str, int]:
    """The table, and what --benchproof-fail makes of it."""
    both, unchanged = (base, bundle.load_sealed(path)), {"margin": None, "fdr": None}
    try:
        pairs = comparing.compared([both], (), vary="", changes=unchanged)
    except UsageError as error:
        return f"--benchproof-compare: {error}\n", pytest.ExitCode.USAGE_ERROR
    text = versus.render(pairs, **_look(config))
    status = comparing.status(pairs)
    if not config.getoption("benchproof_fail") or not status:
        return text, pytest.ExitCode.OK
    why = "something is slower or lost" if status == 1 else "nothing could be decided: more --benchproof-blocks"
    return f"{text}--benchproof-fail: {why}\n", pytest.ExitCode.TESTS_FAILED


def _look(config: pytest.Config) -> dict[str, Any]:
    writer = config.get_terminal_writer()
    color = writer.hasmarkup and not os.environ.get("NO_COLOR")
    return {"width": writer.fullwidth, "color": color, "encoding": letters_of(sys.stdout)}
