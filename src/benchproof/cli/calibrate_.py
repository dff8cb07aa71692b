"""`benchproof calibrate`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchproof.cli import home_option, json_option

_EPILOG = """\b
Examples:
  benchproof calibrate --targets host -b syscall.getpid    one question, two minutes
  benchproof calibrate --full --inject "5 %"               what full runs can find, and whether they do find 5 %
  benchproof calibrate --plan kernels.toml --blocks 60     the targets of a plan, each against itself
"""


@click.command("calibrate", epilog=_EPILOG)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    help="A TOML plan, or the name of one of `benchproof list plans`; without it, what this machine can start.",
)
@click.option("--targets", default="", help="Only these targets of the plan, separated by commas.")
@click.option(
    "-b", "--benchmark", "--suite", "benchmarks", multiple=True, help="Only this benchmark or suite (repeatable)."
)
@click.option("--blocks", type=click.IntRange(1, 100_000), default=40, show_default=True, help="Of the study.")
@click.option("--copies", type=click.IntRange(2, 10), default=2, show_default=True, help="Names for the same target.")
@click.option("--inject", help="Also a copy made slower by '5 %', '50 ns' or '100 instructions' an operation.")
@click.option("--quick/--full", default=None, help="As in `run`: floors hold for runs with the same parameters.")
@home_option
@json_option
def command(
    *,
    plan_file: Path | None,
    targets: str,
    benchmarks: tuple[str, ...],
    blocks: int,
    copies: int,
    inject: str | None,
    quick: bool | None,
    home: Path,
    as_json: bool,
) -> int:
    """Hold each target against itself: false alarms, the A/A floor, and the least difference that would be found.

    What is found is kept in the home folder and used by later runs on the same machine. Exit status 3 if no target
    could be studied.
    """
    from benchproof import calibration, laboratory, plan
    from benchproof.cli.output import look
    from benchproof.cli.progress import Progress
    from benchproof.document import DEFAULT, document_of
    from benchproof.reporters import calibration as reporter

    injection = calibration.Injection.parse(inject) if inject is not None else None
    chosen = tuple(name.strip() for name in targets.split(",")) if targets else ()
    path = plan_file or DEFAULT
    document = plan.only(document_of(path), targets=chosen, benchmarks=benchmarks)
    document.pop("gates", None)
    wanted = plan.parse(document, where=path.name, **({} if quick is None else {"quick": quick}))
    progress, probe = Progress(sys.stderr), laboratory.prepare_probe(laboratory.cache_folder())
    with progress:
        found = list(
            calibration.run(document, wanted, home, probe, progress, blocks=blocks, copies=copies, injection=injection)
        )
    studied = [each.calibration for each in found if each.calibration is not None]
    click.echo(reporter.as_json(found) if as_json else reporter.render(studied, **look()), nl=False)
    for each in found:
        click.echo(f"{each.target}: {each.reason or f'kept in {each.path}'}", err=True)
    return 0 if any(study.false or study.floors for each in studied for study in each.studies) else 3
