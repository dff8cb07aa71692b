"""`benchproof import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchproof.cli import home_option, json_option, print_json
from benchproof.errors import UsageError, one_line

if TYPE_CHECKING:
    from benchproof.importing import Taken

_UNREADABLE_STATUS = 2
_EPILOG = """\b
Examples:
  benchproof import bench.log --target kevlar-0.3     a console transcript; it does not name its system
  benchproof import results.json --label branch=main  the format is recognised by what is in the file
  benchproof import *.jsonl --format sel4bench        every line becomes a run
"""


@click.command("import", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", default="", help="Which tool wrote the files; without it, what is in them decides.")
@click.option("--target", default="", help="The system that was measured, where a file does not name it.")
@click.option("--label", "labels", multiple=True, metavar="NAME=TEXT", help="Say what was measured: commit, branch.")
@home_option
@json_option
def command(
    *, files: tuple[Path, ...], form: str, target: str, labels: tuple[str, ...], home: Path, as_json: bool
) -> int:
    """Keep other tools' results as runs: shown and verified to be what the file says, but never a baseline.

    A file that cannot be read is refused as a whole, with the place; the others are imported. Exit status 2 then.
    """
    from benchproof import importing
    from benchproof.importers import FORMATS
    from benchproof.labels import parsed

    given = dict(parsed(each) for each in labels)
    if not target.isprintable():
        raise UsageError("--target: expected a name of printable characters")
    if form:
        FORMATS.load(form)
    found: list[dict[str, Any]] = []
    for file in files:
        try:
            taken = importing.take(file, home, form=form, target=target.strip(), labels=given)
        except UsageError as error:
            found.append({"file": one_line(str(file)), "error": str(error)})
            click.echo(f"benchproof: {one_line(str(error))}", err=True)
        else:
            found.append(_as_document(taken))
            if not as_json:
                click.echo(_told(taken))
    if as_json:
        print_json(found)
    return _UNREADABLE_STATUS if any("error" in each for each in found) else 0


def _told(taken: Taken) -> str:
    new = [run for run in taken.runs if run.new]
    if len(taken.runs) == 1:
        run = taken.runs[0]
        words = "imported as" if run.new else "already imported:"
        text = f"{words} {run.run_id} ({run.results} results, targets {', '.join(run.targets)})"
    else:
        text = f"{len(new)} runs imported, {len(taken.runs) - len(new)} there already"
        text += f": {taken.runs[0].run_id} to {taken.runs[-1].run_id}"
    return one_line(f"{taken.file}: {taken.format}, {text}")


def _as_document(taken: Taken) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(taken)
    return document
