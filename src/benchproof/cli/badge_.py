"""`benchproof badge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import find_run, home_option, index_option, json_option, print_json, resolve_run
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchproof.report import Report

_EPILOG = """\b
Examples:
  benchproof badge --out docs/badges
  benchproof badge last --gate syscall.getpid --out docs/badges
  benchproof badge last --policy ci.toml --baseline branch:main --out docs/badges
"""


@click.command("badge", epilog=_EPILOG)
@click.argument("run", default="last")
@click.option("--gate", "gates", multiple=True, metavar="NAME", help="Only this gate; may be given again.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    help="A TOML policy, or the name of one of `benchproof list policies`; without it, the gates of the run's plan.",
)
@click.option("--baseline", metavar="SPEC", help="With --policy: as for `benchproof gate`.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for NAME.svg and NAME.json.")
@index_option
@home_option
@json_option
def command(
    *,
    run: str,
    gates: tuple[str, ...],
    policy_file: Path | None,
    baseline: str | None,
    out: Path,
    index: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """A picture for each gate of a run, and one for its coverage: met, not met, undecided, review, off.

    Beside each SVG is a JSON document for services that draw badges themselves. Badges of the same names are made anew.
    """
    from benchproof import badges

    found = _report(run, policy_file, baseline, home=home, index=index)
    made = badges.of_gates(_verdicts(found, gates))
    if not gates:
        made = [*made, badges.of_coverage(found.passed, found.total)]
    paths = list(badges.write(made, out))
    if as_json:
        documents = {each.name: badges.endpoint(each) for each in made}
        print_json({"files": [str(path) for path in paths], "badges": documents})
        return 0
    for badge in made:
        click.echo(f"{out / badge.name}.svg: {badge.label} {badge.message}")
    return 0


def _report(run: str, policy_file: Path | None, baseline: str | None, *, home: Path, index: str | None) -> Report:
    from benchproof import gating, policy, report
    from benchproof.store import bundle

    loaded = bundle.load_sealed(find_run(home, run))
    if policy_file is None:
        if baseline:
            raise UsageError("--baseline is what a policy's gates are held against; add --policy")
        return report.build(loaded)
    own_id = loaded.manifest.run_id

    def find(name: str) -> bundle.Run:
        return bundle.load_sealed(resolve_run(home, name, index=index, but_not=own_id))

    return gating.judged(loaded, policy.load(policy_file), baseline=baseline, find=find).report


def _verdicts(found: Report, gates: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Gate, target, verdict. Raises UsageError for a gate that the run does not have."""
    from benchproof.plugins import nearest
    from benchproof.reporters import layout

    known = [each.gate.key for each in found.gates]
    for name in gates:
        if name not in known:
            raise UsageError(f"the run has no gate '{name}'; {nearest(name, known)}")
    for each in found.gates:
        if not gates or each.gate.key in gates:
            yield each.gate.key + layout.rules(found, each.gate.benchmark), each.target, each.verdict
