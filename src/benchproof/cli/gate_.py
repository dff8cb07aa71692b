"""`benchproof gate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import find_run, home_option, index_option, json_option, print_json, say

if TYPE_CHECKING:
    from benchproof.gating import Judged
    from benchproof.store.bundle import Run

_EPILOG = """\b
Examples:
  benchproof gate                                   the last run against the gates of its plan
  benchproof gate last --policy agent-bands         how good is it for agents? Excellent, Good, Acceptable, Below target
  benchproof gate last --policy ci.toml --baseline branch:main --junit gates.xml --github
"""


@click.command("gate", epilog=_EPILOG)
@click.argument("run", default="last")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    help="A TOML policy, or the name of one of `benchproof list policies`; without it, the gates of the run's plan.",
)
@click.option(
    "--baseline",
    metavar="SPEC",
    help="What gates that name none are held against: reference, branch:main, tag:v1, commit:abc, run:ID or a run.",
)
@click.option("--junit", type=click.Path(path_type=Path), help="Write the verdicts as JUnit XML to this file.")
@click.option("--github", is_flag=True, help="Print the verdicts as annotations of a GitHub workflow, too.")
@index_option
@home_option
@json_option
def command(
    *,
    run: str,
    policy_file: Path | None,
    baseline: str | None,
    junit: Path | None,
    github: bool,
    index: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """May it ship? Judge a run by a policy, or by the gates of its own plan.

    Exit status 0 if every gate is met, 1 if one is not or its metric disappeared, 3 if one is undecided: too little
    evidence, an invalid run, an interval that holds the limit. Gates of mode review and off never change it.
    """
    from benchproof import gating, policy
    from benchproof.store import bundle

    stated = policy.load(policy_file) if policy_file else None
    judged = bundle.load_sealed(find_run(home, run))
    own_id = judged.manifest.run_id
    found = gating.judged(
        judged, stated, baseline=baseline, find=lambda name: _baseline(name, home=home, index=index, but_not=own_id)
    )
    _show(found, as_json=as_json)
    if junit is not None:
        _write(junit, _rendered("junit", found))
    if github:
        click.echo(_rendered("github", found), nl=False, err=as_json)
    return gating.status(found.report.gates)


def _baseline(name: str, *, home: Path, index: str | None, but_not: str) -> Run:
    """The run that a baseline names: by a label from the index of all runs, by itself from its folder.

    Raises UsageError.
    """
    from benchproof import baselines
    from benchproof.errors import UsageError
    from benchproof.plugins import nearest
    from benchproof.store import bundle

    if baselines.is_spec(name) and not name.startswith("run:"):
        return bundle.load_sealed(baselines.baseline(name, home=home, index=index, but_not=but_not, say=say))
    kind, colon, _ = name.partition(":")
    if colon and kind != "run" and not Path(name).exists():
        raise UsageError(f"unknown kind of baseline '{name}'; {nearest(f'{kind}:', list(baselines.KINDS))}")
    return bundle.load_sealed(find_run(home, name.removeprefix("run:")))


def _show(found: Judged, *, as_json: bool) -> None:

    from benchproof import gating
    from benchproof.cli.output import look
    from benchproof.reporters.terminal import gates

    if as_json:
        content = {
            "run_id": found.report.run_id,
            "policy": found.policy,
            "baselines": found.baselines,
            "exit_status": gating.status(found.report.gates),
            "gates": found.report.gates,
            "lost": found.lost,
            "warnings": found.report.warnings,
        }
        print_json(content)
        return
    click.echo(gates(found.report, **look()), nl=False)


def _rendered(form: str, found: Judged) -> str:
    from benchproof.reporters import FORMATS

    return str(FORMATS.load(form)(found.report))


def _write(path: Path, text: str) -> None:
    """Raises StoreError."""
    from benchproof.errors import StoreError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write '{path}': {error.strerror}; name another file with --junit") from error
