"""`benchproof audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import home_option, json_option, print_json, say
from benchproof.errors import one_line

if TYPE_CHECKING:
    from benchproof.auditing import Audited, Line

_EPILOG = """\b
Examples:
  benchproof audit                        every privileged start, by whom, with what authority, and how it ended
  benchproof audit --run 20261121T105710Z  those of one run; the whole record is checked all the same
"""


@click.command("audit", epilog=_EPILOG)
@click.option("--run", default="", help="Show only runs whose id begins so.")
@home_option
@json_option
def command(*, run: str, home: Path, as_json: bool) -> int:
    """What was started with more rights than usual, and whether that record is whole.

    Exit status 1 if a line was changed, taken out or cut off; 3 if a run here has privileged results and no line, as
    one that was copied from elsewhere; else 0.
    """
    from benchproof.auditing import audited

    found = audited(home)
    shown = [line for line in found.lines if line.entry.run_id.startswith(run)]
    if as_json:
        _print(found, shown)
    else:
        for line in shown:
            click.echo(one_line(_row(line)))
        _conclude(found)
    return found.exit_status


def _row(line: Line) -> str:
    entry = line.entry
    what = entry.benchmark or "the target itself"
    ended = f": {entry.outcome}" if entry.outcome else ""
    doubt = "" if line.whole else "; THIS LINE OR THE ONE BEFORE IT WAS CHANGED"
    about = f"{entry.user} {entry.event} {what} on {entry.target}, run {entry.run_id}, {entry.authority}"
    return f"{entry.at} {about}{ended}{doubt}"


def _conclude(found: Audited) -> None:
    changed = sum(not line.whole for line in found.lines)
    for each in (*found.missing, *found.absent):
        say(each)
    chain = "the chain is whole" if not changed else f"THE CHAIN IS BROKEN at {changed} of them"
    lacking = "; LINES ARE MISSING" if found.missing else ""
    say(f"{len(found.lines)} lines, {chain}{lacking}")


def _print(found: Audited, shown: list[Line]) -> None:
    import msgspec

    document = {
        "exit_status": found.exit_status,
        "lines": [msgspec.structs.asdict(line.entry) | {"whole": line.whole} for line in shown],
        "missing": found.missing,
        "absent": found.absent,
    }
    print_json(document)
