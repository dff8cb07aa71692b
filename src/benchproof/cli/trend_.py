"""`benchproof trend`."""

from __future__ import annotations

from pathlib import Path

import click

from benchproof.cli import home_option, index_option, json_option, print_json, say

_EPILOG = """\b
Examples:
  benchproof trend                                every series of every target
  benchproof trend syscall.getpid --branch main   one benchmark, runs of one branch
  benchproof trend --index postgresql://ci@db/bp  the runs of the whole team
"""


@click.command("trend", epilog=_EPILOG)
@click.argument("what", metavar="[BENCHMARK|METRIC]", default="")
@click.option("--target", default="", help="Only this target.")
@click.option("--branch", default="", help="Only runs with this label `branch`; of all branches by default.")
@click.option("--least", help="The least change that counts, such as '2 %' (the default; 0.1 % of instructions).")
@click.option("--points", is_flag=True, help="Show the figure of every run, too.")
@index_option
@home_option
@json_option
def command(
    *,
    what: str,
    target: str,
    branch: str,
    least: str | None,
    points: bool,
    index: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """What became of each metric from run to run: where its level changed, by how much, between which commits.

    Exit status 1 if anything became worse and stayed so, 3 if nothing can be decided yet, else 0. Needs the extra
    `history`.
    """
    from benchproof import history
    from benchproof.analysis import trend
    from benchproof.reporters import trends

    delta = None if least is None else _share(least)
    with history.opened(home, index) as opened:
        update = opened.update(say)
        for problem in update.problems:
            say(f"left out: {problem}")
        found = history.trends(opened, what=what, target=target, branch=branch, delta=delta, points=points)
    status = trend.exit_status(found)
    if as_json:
        document = {"exit_status": status, "trends": found, "left_out": update.problems}
        print_json(document)
    else:
        click.echo(trends.render(found), nl=False)
    return status


def _share(text: str) -> float:
    from benchproof.errors import UsageError
    from benchproof.quantities import Share

    try:
        return Share.parse(text)
    except ValueError as error:
        raise UsageError(f"--least: {error}") from error
