"""`benchproof alert`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import home_option, index_option, json_option, print_json, say
from benchproof.errors import one_line

if TYPE_CHECKING:
    from benchproof.alerts.check import Checked, Delivery
    from benchproof.alerts.findings import Finding

_MOST_REASONS = 3
_EPILOG = """\b
Examples:
  benchproof run && benchproof alert --rules alerts.toml
  benchproof alert --rules alerts.toml --dry-run    what is open, and who would be told
  benchproof alert --rules alerts.toml --test       does every channel work?
"""


@click.command("alert", epilog=_EPILOG)
@click.option(
    "--rules",
    "rules_file",
    type=click.Path(path_type=Path),
    default=Path("alerts.toml"),
    show_default=True,
    help="What is watched and who is told; docs/alerts.md shows one.",
)
@click.option("--dry-run", is_flag=True, help="Tell nobody and write nothing.")
@click.option("--test", "is_test", is_flag=True, help="Send a test message through every channel, and judge nothing.")
@index_option
@home_option
@json_option
def command(*, rules_file: Path, dry_run: bool, is_test: bool, index: str | None, home: Path, as_json: bool) -> int:
    """Tell who has to know that something became worse, and when it is good again: once each, from cron or CI.

    Exit status 1 if an alert is open, 3 if somebody could not be told or a rule could decide nothing, else 0. Rules of
    mode review never change it. Needs the extra `history`, and `alerts` for Slack, mail and the like.
    """
    from benchproof.alerts import check, rules
    from benchproof.errors import UsageError

    if is_test and dry_run:
        raise UsageError("expected one of --test and --dry-run, found both")
    stated, now = rules.load(rules_file), datetime.now(UTC)
    if is_test:
        return _tested(check.test(stated, now=now), as_json=as_json)
    found = check.check(stated, home=home, index=index, now=now, dry_run=dry_run, say=say)
    _show(found, dry_run=dry_run, as_json=as_json)
    return found.exit_status


def _tested(deliveries: tuple[Delivery, ...], *, as_json: bool) -> int:
    if as_json:
        print_json({"deliveries": deliveries})
    else:
        for each in deliveries:
            click.echo(one_line(f"{each.channel}: {each.problem or 'works'}"))
    return 3 if any(each.problem for each in deliveries) else 0


def _show(found: Checked, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "exit_status": found.exit_status,
                "findings": found.findings,
                "open": found.open,
                "deliveries": found.deliveries,
                "undecided": found.undecided,
            }
        )
        return
    for each in found.open:
        click.echo(one_line(f"OPEN {each.rule}: {each.name}: {each.text} (since {each.since}, mode {each.mode})"))
    for rule in dict.fromkeys(each.rule for each in found.findings):
        click.echo(one_line(_totals(rule, [each for each in found.findings if each.rule == rule])))
    for told in found.deliveries:
        what = ", ".join(f"{event} {subject}" for event, subject in told.events)
        verb = "would be told" if dry_run else "was not told, and will be next time" if told.problem else "was told"
        why = f": {told.problem}" if told.problem else ""
        say(f"channel '{told.channel}' {verb}: {what}{why}")


def _totals(rule: str, findings: Sequence[Finding]) -> str:
    """How many of what it watches are how, and why some are undecided."""
    counts = Counter(each.state for each in findings)
    reasons = Counter(each.text for each in findings if each.state == "undecided")
    why = "; ".join(text for text, _ in reasons.most_common(_MOST_REASONS))
    said = ", ".join(f"{counts[state]} {state}" for state in ("bad", "good", "undecided") if counts[state])
    return f"{rule}: {said}" + (f" ({why})" if why else "")
