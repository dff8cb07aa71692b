"""`benchproof index`."""

from __future__ import annotations

from pathlib import Path

import click

from benchproof.cli import home_option, index_option, json_option, print_json, say

_EPILOG = """\b
Examples:
  benchproof index update               the runs that are new; trends do so by themselves
  benchproof index rebuild --index postgresql://ci@db/bench
"""


@click.command("index", epilog=_EPILOG)
@click.argument("what", type=click.Choice(["update", "rebuild"]))
@index_option
@home_option
@json_option
def command(*, what: str, index: str | None, home: Path, as_json: bool) -> int:
    """Bring the index up to date with the runs of this home, or make it anew from them.

    Trends and baselines update it by themselves. Exit status 1 if a folder is no run to believe; the others are kept.
    """
    from benchproof import history

    with history.opened(home, index) as opened:
        found = (opened.rebuild if what == "rebuild" else opened.update)(say)
        known = len(opened.runs())
    if as_json:
        print_json(found)
    else:
        for problem in found.problems:
            click.echo(f"left out: {problem}")
        click.echo(f"{known} runs: {found.added} added, {found.removed} removed, {len(found.problems)} left out")
    return 1 if found.problems else 0
