"""`benchproof-sandboxd calls`: what its tools were asked, and how long each took."""

from __future__ import annotations

from pathlib import Path

import click

from benchproof.sandboxd import calls


@click.command(
    "calls", help="Show calls of tools that a daemon kept: averages by tool, or what a question in SQL asks."
)
@click.option("--state", required=True, metavar="DIR", help="The folder that the daemon was given.")
@click.option("--sql", metavar="QUESTION", help="Of the table mcp_calls; nothing is changed by it.")
def command(state: str, sql: str | None) -> None:
    """A table on standard output."""
    for line in calls.table(*calls.ask(Path(state), sql or calls.AVERAGES)):
        click.echo(line)
