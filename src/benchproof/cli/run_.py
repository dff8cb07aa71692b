"""`benchproof run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchproof.cli import find_run, home_option, json_option
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from benchproof.plan import Plan

_COMMAND_LINE = click.core.ParameterSource.COMMANDLINE

_EPILOG = """\b
Examples:
  benchproof run                                 host, sandboxes and a Linux guest, quick
  benchproof run --full --targets host,bwrap     10 blocks and more samples, two targets
  benchproof run -b syscall.getpid --blocks 20   one question, 20 invocations a target
  benchproof run --exact --suite primitive       instructions of a Linux guest, to the last digit
  benchproof run --plan sandbox-gates            life cycle and fork of a Linux guest, held against limits
  benchproof run --plan kernel-vs-kernel         Debian's Linux 6.12 against its 6.1, timed and counted
  benchproof run --plan smp-scaling              the same work on 1, 2 and 4 CPUs: does more CPU help?
  benchproof run --until-decided --margin "5 %"  blocks until each ratio is faster, slower or the same; 30 at most
  benchproof run --suite guest --size-mb 64      disk, root file system, start of programs, HTTP, snapshots
  benchproof run --resume last                   go on where a run was ended
"""


@click.command("run", epilog=_EPILOG)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    help="A TOML plan, or the name of one of `benchproof list plans`; without it, what this machine can start.",
)
@click.option("--targets", default="", help="Only these targets of the plan, separated by commas.")
@click.option(
    "-b",
    "--benchmark",
    "--suite",
    "benchmarks",
    multiple=True,
    help="Only this benchmark or suite, as the plan asks it (repeatable).",
)
@click.option("--exact", is_flag=True, help="Count instructions in place of time, on the targets that can.")
@click.option("--quick/--full", default=None, help="Fewer samples and 6 blocks, or all. Without a plan: quick.")
@click.option("--blocks", type=int, help="Invocations of each case; 10 by default, 6 with --quick.")
@click.option(
    "--until-decided",
    is_flag=True,
    help="Stop measuring a question at the first planned look that decides it; --blocks is the most, 30 by default.",
)
@click.option("--margin", help="What counts as the same, such as '2 %' (the default).")
@click.option("--seed", type=int, help="Of the order of invocations; drawn and recorded by default.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=TEXT",
    help="What is measured, for trends and baselines: commit=, branch=, tag= or a word of yours (repeatable). Without"
    " one of the three they are those of CI or of the git folder that you are in; commit= alone records none.",
)
@click.option(
    "--size-mb",
    type=click.IntRange(1, 4096),
    envvar="BENCHPROOF_BENCH_SIZE_MB",
    help="Size in MiB of the file of disk.*; 256 by default.",
)
@click.option(
    "--dir",
    "folder",
    envvar="BENCHPROOF_BENCH_DIR",
    help="Folder inside the target for the file of disk.*; by default where files are copied to.",
)
@click.option("--resume", metavar="RUN", help="Go on with a run that was ended.")
@home_option
@json_option
def command(
    *,
    plan_file: Path | None,
    targets: str,
    benchmarks: tuple[str, ...],
    exact: bool,
    quick: bool | None,
    blocks: int | None,
    until_decided: bool,
    margin: str | None,
    seed: int | None,
    labels: tuple[str, ...],
    size_mb: int | None,
    folder: str | None,
    resume: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """Measure: every case once a block, in random order, each answer checked; print the matrix.

    Exit status 0 if every answer was right and every gate of the plan was met, 1 if one was not, 3 if nothing could be
    measured or a gate is undecided.
    """
    from benchproof import laboratory, report, runner
    from benchproof.cli.progress import Progress
    from benchproof.document import DEFAULT
    from benchproof.labels import collect
    from benchproof.store import bundle

    progress = Progress(sys.stderr)
    changes = {"quick": quick, "seed": seed, "blocks": blocks, "margin": margin, "until_decided": until_decided or None}
    changes = {key: value for key, value in changes.items() if value is not None}
    probe = laboratory.prepare_probe(laboratory.cache_folder())
    if resume is not None:
        if plan_file or targets or benchmarks or exact or changes or labels or folder or size_mb:
            raise UsageError(
                "--resume goes on with the plan of the run; it takes none of the options that change a plan"
            )
        earlier = bundle.load(find_run(home, resume))
        session = runner.resume(earlier, report.plan_of(earlier), probe, progress)
    else:
        chosen = tuple(name.strip() for name in targets.split(",")) if targets else ()
        path = plan_file or DEFAULT
        disk = _of_disk(size_mb, folder)
        wanted = _plan(path, chosen, benchmarks, exact=exact, changes=changes, disk=disk, note=progress.note)
        said = collect(labels, folder=Path.cwd(), environment=os.environ)
        session = runner.begin(wanted, home, probe, progress, said)
    with progress, session as running:
        progress.began(running.out.path)
        for _ in running.run():
            pass
        result = running.close()
    return show(result, running.out.path, as_json=as_json)


def _plan(
    path: Path,
    targets: tuple[str, ...],
    benchmarks: tuple[str, ...],
    *,
    exact: bool,
    changes: dict[str, Any],
    disk: dict[str, Any],
    note: Callable[[str], None],
) -> Plan:
    """The plan that the arguments ask for; what was left out is noted."""
    from benchproof import plan
    from benchproof.document import document_of

    whole = document_of(path)
    document = plan.only(whole, targets=targets, benchmarks=benchmarks)
    if exact:
        document, left_out = plan.counted(document)
        for name in left_out:
            note(f"target '{name}' cannot count instructions and is left out")
    if disk:
        document = _with_disk(document, disk)
    wanted = plan.parse(document, where=path.name, **changes)
    if unasked := [key for key in whole.get("gates", {}) if key not in document["gates"]]:
        note(f"gates that are not judged, their target or benchmark was not chosen: {', '.join(unasked)}")
    return wanted


def _of_disk(size_mb: int | None, folder: str | None) -> dict[str, Any]:
    """The parameters of disk.* that were given in words or by the environment."""
    return ({} if size_mb is None else {"size": f"{size_mb} MiB"}) | ({"folder": folder} if folder else {})


def _with_disk(document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The plan with these. Raises UsageError for an option that nothing asked for can take."""
    from benchproof.suites import with_parameters
    from benchproof.tables import table_of

    suites, count = with_parameters(table_of(document, "suites", "the plan"), given, "disk.")
    source = click.get_current_context().get_parameter_source
    said = [word for word, name in (("--size-mb", "size_mb"), ("--dir", "folder")) if source(name) == _COMMAND_LINE]
    if said and not count:
        raise UsageError(f"{said[0]}: expected a benchmark of disk.* among those asked, found none; add --suite guest")
    return document | {"suites": suites} if count else document


def show(result: Any, path: Path, *, as_json: bool) -> int:
    """Print the report of a run that is complete, write its pages beside the run, and choose the exit status."""
    from benchproof.cli.output import terminal
    from benchproof.reporters import FORMATS

    page = path.parent.parent / f"{path.name}.html"
    for form, written in (("markdown", page.with_suffix(".md")), ("html", page)):
        written.write_text(FORMATS.load(form)(result), encoding="utf-8")
    click.echo(FORMATS.load("json")(result) if as_json else terminal(result), nl=False)
    click.echo(f"report: {page}\nevidence: {path} (benchproof verify {path})", err=True)
    verdicts = {each.verdict for each in result.gates}
    if result.statuses.get("failed") or "not met" in verdicts:
        return 1
    return 0 if result.passed and "undecided" not in verdicts else 3
