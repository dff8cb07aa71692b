"""`benchproof list`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchproof.cli import home_option, json_option, print_json
from benchproof.errors import BenchproofError
from benchproof.plugins import Table

_EPILOG = """\b
Examples:
  benchproof list runs                  what was measured in this folder
  benchproof list benchmarks            what can be asked, and what each question times
  benchproof list plans                 what `run --plan` takes without a file
"""


@click.command("list", epilog=_EPILOG)
@click.argument("what", type=click.Choice(["targets", "benchmarks", "plans", "policies", "runs", "audit"]))
@home_option
@json_option
def command(*, what: str, home: Path, as_json: bool) -> int:
    """Target kinds, benchmarks with their questions, plans and policies that need no file, or this folder's runs.

    audit: what was started with more rights than usual, by whom and when.
    """
    kept = {"runs": _runs, "audit": _audit}
    rows = kept[what](home) if what in kept else _SHIPPED[what]()
    if as_json:
        print_json(rows)
    else:
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            elsewhere = f"; without POSIX: {row['without_posix']}" if "without_posix" in row else ""
            click.echo(f"{row['name']:{width}}  {row['about']}{elsewhere}")
    return 0


def _targets() -> list[dict[str, str]]:
    from benchproof.targets import KINDS

    return [{"name": name, "about": _about(KINDS, name, _first_line)} for name in KINDS.names()]


def _benchmarks() -> list[dict[str, str]]:
    from benchproof.benchmarks import BENCHMARKS

    return [
        {"name": name, "about": _about(BENCHMARKS, name, _question)} | _mapped(BENCHMARKS, name)
        for name in BENCHMARKS.names()
    ]


def _mapped(table: Table, name: str) -> dict[str, str]:
    """What it is on a system without POSIX, and what such a system must tell; empty where it is not applicable."""
    try:
        kind = table.load(name)
    except BenchproofError:
        return {}
    found = {"without_posix": kind.definition.without_posix}
    if translation := getattr(kind, "translation", None):
        found |= {"evidence": translation.required(kind().literals), "differs": translation.differs}
    return found


def _plans() -> list[dict[str, str]]:
    from benchproof.document import plans

    return _files(plans())


def _policies() -> list[dict[str, str]]:
    from benchproof.document import policies

    return _files(policies())


def _files(shipped: dict[str, Path]) -> list[dict[str, str]]:
    """What each file says of itself in its first line."""
    return [
        {"name": name, "about": file.read_text().partition("\n")[0].removeprefix("# ")}
        for name, file in shipped.items()
    ]


_SHIPPED: dict[str, Callable[[], list[dict[str, str]]]] = {
    "targets": _targets,
    "benchmarks": _benchmarks,
    "plans": _plans,
    "policies": _policies,
}


def _about(table: Table, name: str, describe: Callable[[Any], str]) -> str:
    """A plug-in that cannot be loaded hides no other."""
    try:
        return describe(table.load(name))
    except BenchproofError as error:
        return f"broken: {error}"


def _question(kind: Any) -> str:
    needed = str(kind.definition.authority)
    return f"{kind.definition.question} ({kind.definition.mechanism})" + (
        f"; needs {needed}" if needed != "none" else ""
    )


def _runs(home: Path) -> list[dict[str, str]]:
    from benchproof import foreign, report
    from benchproof.labels import named
    from benchproof.store import bundle

    rows = []
    for path in sorted((home / "runs").glob("*")):
        try:
            run = bundle.load(path)
            targets = ", ".join(report.targets_of(run))
            state = "imported" if foreign.origin_of(run) else run.manifest.state
            said = f", {what}" if (what := named(run.manifest.labels)) else ""
            about = f"{state}, {len(run.results)} results, targets {targets}{said}"
        except BenchproofError as error:
            about = f"unreadable: {error}"
        rows.append({"name": path.name, "about": about})
    return rows


def _audit(home: Path) -> list[dict[str, str]]:
    import msgspec

    from benchproof.store import audit

    rows = []
    for entry, fits in audit.read(home):
        what = entry.benchmark or "the target itself"
        ended = f": {entry.outcome}" if entry.outcome else ""
        doubt = "" if fits else "; THIS LINE OR THE ONE BEFORE IT WAS CHANGED"
        about = (
            f"{entry.user} {entry.event} {what} on {entry.target}, run {entry.run_id}, {entry.authority}{ended}{doubt}"
        )
        rows.append({"name": entry.at, "about": about} | msgspec.structs.asdict(entry))
    return rows


def _first_line(kind: type) -> str:
    import sys

    return (sys.modules[kind.__module__].__doc__ or "").partition("\n")[0]
