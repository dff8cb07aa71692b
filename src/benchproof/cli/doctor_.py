"""`benchproof doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import home_option, json_option, print_json

if TYPE_CHECKING:
    from benchproof.doctor import Finding


_EPILOG = """\b
Examples:
  benchproof doctor                     what can be started here, what disturbs a measurement, what to do about it
  benchproof doctor --plan guest.toml   the same for the targets of a plan
"""


@click.command("doctor", epilog=_EPILOG)
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Examine the targets of this plan.")
@home_option
@json_option
def command(*, plan_file: Path | None, home: Path, as_json: bool) -> int:
    """Start every target once and look at the machine. Exit status 1 if anything is missing or bad."""
    from benchproof import doctor, laboratory, plan
    from benchproof.document import DEFAULT

    wanted = plan.load(plan_file or DEFAULT)
    findings = []
    probe = laboratory.prepare_probe(laboratory.cache_folder())
    with laboratory.opened(probe) as lab, laboratory.interruptible():
        for finding in doctor.examine(wanted, lab, home=home, probe=probe.facts):
            findings.append(finding)
            if not as_json:
                _print(finding)
    if as_json:
        print_json(findings)
    return 1 if any(finding.level in {"missing", "bad"} for finding in findings) else 0


def _print(finding: Finding) -> None:
    click.echo(f"{finding.level:8} {finding.what}: {finding.found}")
    if finding.remedy:
        click.echo(f"{'':8} -> {finding.remedy}")
