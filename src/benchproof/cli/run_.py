"""`benchproof run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from benchproof.cli import find_run, home_option, json_option
from benchproof.errors import UsageError

_EPILOG = """\b
Examples:
  benchproof run                                 host, sandboxes and a Linux guest, quick
  benchproof run --full --targets host,bwrap     10 blocks and more samples, two targets
  benchproof run -b syscall.getpid --blocks 20   one question, 20 invocations a target
  benchproof run --exact --suite primitive       instructions of a Linux guest, to the last digit
  benchproof run --plan sandbox-gates            life cycle and fork of a Linux guest, held against limits
  benchproof run --plan kernel-vs-kernel         Debian's Linux 6.12 against its 6.1, timed and counted
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
    "-b", "--benchmark", "--suite", "benchmarks", multiple=True, help="Only this benchmark or suite (repeatable)."
)
@click.option("--exact", is_flag=True, help="Count instructions in place of time, on the targets that can.")
@click.option("--quick/--full", default=None, help="Fewer samples and 6 blocks, or all. Without a plan: quick.")
@click.option("--blocks", type=int, help="Invocations of each case; 10 by default, 6 with --quick.")
@click.option("--seed", type=int, help="Of the order of invocations; drawn and recorded by default.")
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
    seed: int | None,
    resume: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """Measure: every case once a block, in random order, each answer checked; print the matrix.

    Exit status 0 if every answer was right and every gate of the plan was met, 1 if one was not, 3 if nothing could
    be measured.
    """
    from benchproof import plan, report, runner
    from benchproof.cli.progress import Progress
    from benchproof.document import DEFAULT, document_of
    from benchproof.store import bundle

    progress = Progress(sys.stderr)
    if resume is not None and (
        plan_file or targets or benchmarks or exact or quick is not None or blocks or seed is not None
    ):
        raise UsageError("--resume goes on with the plan of the run; it takes none of the options that change a plan")
    if resume is not None:
        earlier = bundle.load(find_run(home, resume))
        wanted = report.plan_of(earlier)
        session = runner.resume(earlier, wanted, runner.prepare_probe(runner.cache_folder()), progress)
    else:
        path = plan_file or DEFAULT
        chosen = tuple(name.strip() for name in targets.split(",")) if targets else ()
        whole = document_of(path)
        document = plan.only(whole, targets=chosen, benchmarks=benchmarks)
        if exact:
            document, left_out = plan.counted(document)
            for name in left_out:
                progress.note(f"target '{name}' cannot count instructions and is left out")
        given: dict[str, Any] = {"quick": quick, "seed": seed, "blocks": blocks}
        changes = {key: value for key, value in given.items() if value is not None}
        wanted = plan.parse(document, where=path.name, **changes)
        if unasked := [key for key in whole.get("gates", {}) if key not in document["gates"]]:
            progress.note(f"gates that are not judged, their target or benchmark was not chosen: {', '.join(unasked)}")
        session = runner.begin(wanted, home, runner.prepare_probe(runner.cache_folder()), progress)
    with progress, session as running:
        progress.began(running.out.path)
        for _ in running.run():
            pass
        result = running.close()
    return show(result, running.out.path, as_json=as_json)


def show(result: Any, path: Path, *, as_json: bool) -> int:
    """Print the report of a run that is complete, write it as Markdown beside the run, and choose the exit status."""
    from benchproof.cli.output import terminal
    from benchproof.reporters import FORMATS

    page = path.parent.parent / f"{path.name}.md"
    page.write_text(FORMATS.load("markdown")(result), encoding="utf-8")
    click.echo(FORMATS.load("json")(result) if as_json else terminal(result), nl=False)
    click.echo(f"report: {page}\nevidence: {path} (benchproof verify {path})", err=True)
    if result.statuses.get("failed") or any(each.verdict == "not met" for each in result.gates):
        return 1
    return 0 if result.passed else 3
