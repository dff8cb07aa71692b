"""`benchproof export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import find_run, home_option, index_option, json_option, print_json, say
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchproof.exports.store import Rows

_WHAT = ("all", "runs", "results", "figures", "gates", "series", "points", "envelopes")
_STDOUT = Path("-")
_EPILOG = """\b
Examples:
  benchproof export --what figures > figures.csv              every figure of every run
  benchproof export --format parquet --out tables             everything, a file a table
  benchproof export last --what results --format parquet --out results.parquet
"""


@click.command("export", epilog=_EPILOG)
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--what", type=click.Choice(_WHAT), default="all", show_default=True, help="Which table.")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_STDOUT,
    help="A file, or a folder for TABLE.csv or TABLE.parquet; `-`, a table of CSV to standard output, is the default.",
)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@index_option
@home_option
@json_option
def command(
    *,
    runs: tuple[str, ...],
    what: str,
    form: str,
    out: Path,
    force: bool,
    index: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """Everything that the store holds as CSV or Parquet: raw results, figures, gates, series, points, envelopes.

    All runs, or those that are named. Nothing is rounded or left out: what has no figure is a row with its status and
    an empty field, never a 0. A run that is not what its manifest says is named and left out: exit status 1.
    """
    names = _WHAT[1:] if what == "all" else (what,)
    paths = _paths(names, form, out)
    if out == _STDOUT:
        _refuse_unprintable(names, form, as_json=as_json)
    elif not force:
        _refuse_existing(paths.values())
    problems: list[str] = []

    def leave_out(problem: str) -> None:
        problems.append(problem)
        say(f"left out: {problem}")

    folders = _sound(home, runs, leave_out)
    rows = {name: _rows(name, folders, leave_out, home=home, index=index, all_runs=not runs) for name in names}
    if out == _STDOUT:
        _print(rows[what], what)
    else:
        _show(_write(rows, paths, form), problems, as_json=as_json)
    return 1 if problems else 0


def _sound(home: Path, names: tuple[str, ...], leave_out: Callable[[str], None]) -> list[Path]:
    from benchproof.exports import of_runs

    there = sorted(path.parent for path in (home / "runs").glob("*/manifest.json"))
    if not there and not names:
        raise UsageError(f"no runs in '{home}'; `benchproof run` makes one, --home names another folder")
    paths = list(dict.fromkeys(find_run(home, name) for name in names)) if names else there
    return of_runs.sound(paths, leave_out)


def _rows(
    name: str, folders: list[Path], leave_out: Callable[[str], None], *, home: Path, index: str | None, all_runs: bool
) -> Rows:
    from benchproof.exports import store
    from benchproof.store import bundle

    if name not in store.OF_THE_INDEX:
        return store.of_folders(name, folders, leave_out=leave_out)
    wanted = None if all_runs else [bundle.outline_sealed(path).manifest.run_id for path in folders]
    return store.of_index(name, home, index, wanted)


def _refuse_unprintable(names: tuple[str, ...], form: str, *, as_json: bool) -> None:
    if len(names) > 1 or form != "csv" or as_json:
        raise UsageError(
            "expected --out with a folder or a file: only one table of CSV goes to standard output, "
            f"such as `benchproof export --what {names[-1] if len(names) == 1 else 'figures'}`"
        )


def _paths(names: tuple[str, ...], form: str, out: Path) -> dict[str, Path]:
    """Where each table goes: a folder for several, and for one if it is there already."""
    if len(names) > 1 or out.is_dir():
        return {name: out / f"{name}.{form}" for name in names}
    return {names[0]: out}


def _print(rows: Rows, name: str) -> None:
    import sys

    from benchproof import exports
    from benchproof.exports.tables import TABLES

    exports.write(rows(), TABLES[name], sys.stdout.buffer, "csv")


def _refuse_existing(paths: Iterable[Path]) -> None:
    import os

    for path in paths:
        if os.path.lexists(path):
            raise UsageError(f"expected the name of a new file, '{path}' exists; name another, or add --force")


def _write(rows: dict[str, Rows], paths: dict[str, Path], form: str) -> dict[str, int]:
    """By file, how many rows it has; all files or none."""
    import contextlib

    from benchproof import exports
    from benchproof.exports.tables import TABLES
    from benchproof.store.files import placed

    with contextlib.ExitStack() as files:
        remedy = "name another file or folder with --out"
        opened = {name: files.enter_context(placed(path, remedy=remedy)) for name, path in paths.items()}
        return {
            str(paths[name]): exports.write(each(), TABLES[name], opened[name], form) for name, each in rows.items()
        }


def _show(written: dict[str, int], problems: list[str], *, as_json: bool) -> None:

    if as_json:
        print_json({"files": written, "left_out": problems})
        return
    for path, count in written.items():
        click.echo(f"{path}: {count} rows")
