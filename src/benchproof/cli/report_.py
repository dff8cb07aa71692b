"""`benchproof report`."""

from __future__ import annotations

from pathlib import Path

import click

from benchproof.cli import find_run, home_option, json_option
from benchproof.cli.output import draw_option, terminal
from benchproof.reporters import FORMATS

_EPILOG = """\b
Examples:
  benchproof report                              the last run, as wide and as colourful as the terminal is
  benchproof report 20261120 --format markdown   the run whose name begins so, with its whole configuration
  benchproof report --format csv > figures.csv   every figure, in base units
  benchproof report --draw | less -R             with pictures where there is no terminal; FORCE_COLOR=1 for colour
"""


@click.command("report", epilog=_EPILOG)
@click.argument("run", default="last")
@click.option("--format", "form", default="terminal", show_default=True, help=f"{', '.join(FORMATS.own)}.")
@draw_option
@home_option
@json_option
def command(*, run: str, form: str, draw: bool | None, home: Path, as_json: bool) -> int:
    """Show a run: its folder, its id, the beginning of its id, or `last`."""
    from benchproof import report
    from benchproof.store import bundle

    render = FORMATS.load("json" if as_json else form)
    result = report.build(bundle.load_sealed(find_run(home, run)))
    click.echo(terminal(result, draw=draw) if form == "terminal" and not as_json else render(result), nl=False)
    return 0
