"""`benchproof compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import home_option, index_option, json_option, resolve_run
from benchproof.cli.output import draw_option, draws, look
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from benchproof.store.bundle import Run

_EPILOG = """\b
Examples:
  benchproof compare last                          each target of the last run against its reference
  benchproof compare last --targets bwrap,gvisor   any two targets of it
  benchproof compare last --all                    every target of it against every other
  benchproof compare 20261120 last                 the same targets of two runs
  benchproof compare 20261120 last --sort effect   the largest difference first
  benchproof compare RUN RUN --vary system         two runs in which the system under test changed
  benchproof compare branch:main last              the last run against the newest of a branch (tag:, commit:, run:)
  benchproof compare RUN,RUN,RUN                   the same targets in several runs, as one nested design
"""


@click.command("compare", epilog=_EPILOG)
@click.argument("base")
@click.argument("new", required=False)
@click.option("--targets", default="", help="BASE,NEW: compare these two targets (of one run, or one of each).")
@click.option("--all", "every", is_flag=True, help="Every target of one run against every other, such as profiles.")
@click.option("--vary", default="", help="What may differ, such as 'system'; two runs always differ in time.")
@click.option("--margin", help="What counts as the same, such as '2 %'; by default that of the newer run.")
@click.option("--trust", default="", help="Take what these tools reported as verified, such as 'hyperfine'.")
@click.option("--fdr", help="False-discovery rate over all metrics, such as '5 %'.")
@click.option("--sort", type=click.Choice(["plan", "effect"]), default="plan", help="The largest ratio first: effect.")
@draw_option
@index_option
@home_option
@json_option
def command(
    *,
    base: str,
    new: str | None,
    targets: str,
    every: bool,
    vary: str,
    margin: str | None,
    fdr: str | None,
    trust: str,
    sort: str,
    draw: bool | None,
    index: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """Compare two targets of a run, or two runs: ratio, interval and verdict of every metric.

    Exit status 0 if nothing is slower or lost, 1 if something is, 3 if nothing could be decided.
    """
    from benchproof import comparing, report
    from benchproof.reporters import versus
    from benchproof.store import bundle

    chosen, tools = comparing.words(targets), comparing.words(trust)

    def loaded(names: str, but_not: str = "") -> list[Run]:
        paths = [resolve_run(home, name, index=index, but_not=but_not) for name in comparing.words(names)]
        return [report.trusting(bundle.load_sealed(path), tools) for path in paths]

    after = loaded(new or base)
    sides = [loaded(base, after[0].manifest.run_id if new and after else ""), after]
    if not after:
        raise UsageError("expected a run, found nothing; `benchproof list runs` shows what there is")
    if len(sides[0]) != len(sides[1]):
        raise UsageError(f"expected as many runs on either side, found {len(sides[0])} and {len(sides[1])}")
    _refuse_repeated(sides)
    several = list(zip(*sides, strict=True))
    if every and (new is not None or chosen):
        raise UsageError("--all compares the targets of one run with each other; name that run alone")
    found = comparing.compared(several, None if every else chosen, vary=vary, changes={"margin": margin, "fdr": fdr})
    if as_json:
        click.echo(versus.as_json(found), nl=False)
    else:
        click.echo(versus.render(found, draw=draws(draw), by_effect=sort == "effect", **look()), nl=False)
    return comparing.status(found)


def _refuse_repeated(sides: list[list[Run]]) -> None:
    """A run is evidence once: named again, it would make the interval narrower and tell nothing new."""
    for side in sides:
        names = [run.manifest.run_id for run in side]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"expected each run once on a side, found {name} {names.count(name)} times")
