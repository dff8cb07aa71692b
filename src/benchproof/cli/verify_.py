"""`benchproof verify`."""

from __future__ import annotations

from pathlib import Path

import click

from benchproof.cli import find_run, home_option, json_option, print_json
from benchproof.errors import one_line

_EPILOG = """\b
Examples:
  benchproof verify                     the last run
  benchproof verify 20261120 --json     the run whose name begins so, for a program
"""


@click.command("verify", epilog=_EPILOG)
@click.argument("run", default="last")
@home_option
@json_option
def command(*, run: str, home: Path, as_json: bool) -> int:
    """Compute every hash, every oracle's verdict and every figure of a run anew. Exit status 1 if anything differs."""
    from benchproof.verify import verify

    verdict = verify(find_run(home, run))
    if as_json:
        print_json(verdict)
    else:
        for problem in verdict.problems:
            click.echo(f"WRONG  {problem}")
        judged = f"{len(verdict.problems)} problems" if verdict.problems else "good"
        checked = ", ".join(f"{count} {what}" for what, count in verdict.checked.items())
        click.echo(f"{verdict.run_id} ({verdict.state}): {judged}; looked at {checked}")
        if verdict.imported and not verdict.problems:
            tool = one_line(verdict.imported)
            click.echo(f"imported from {tool}: it is what the file says; no oracle saw the work")
    return 1 if verdict.problems else 0
