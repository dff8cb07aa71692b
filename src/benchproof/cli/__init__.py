"""Arguments in, one library call, exit status out. One file a verb, loaded when it is asked for."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from benchproof import __version__
from benchproof.complaints import complained
from benchproof.errors import UsageError, one_line

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMPLETING = "_BENCHPROOF_COMPLETE"  # in which a shell's script asks
_VERBS = {
    "doctor": "what this machine can measure, and how to get the rest",
    "run": "measure, and print what was found",
    "compare": "two targets or two runs: faster, slower, the same or undecided, metric by metric",
    "explain": "why it costs that, and why two systems differ: instructions by function",
    "trend": "what became of each metric from run to run, and between which commits it changed",
    "calibrate": "what this machine's noise does to a verdict: false alarms, floors, detectable effects",
    "report": "show a run again, in another format",
    "publish": "a run's figures as files for committing, and the results page of all releases",
    "badge": "a picture for each gate of a run, and for its coverage",
    "export": "everything in the store as CSV or Parquet, for other programs",
    "gate": "may this ship? a run against a policy, or the gates of its plan",
    "alert": "tell who has to know that something became worse, and when it is good again",
    "metrics": "the newest verified figures for a monitoring system",
    "ci": "base and head of a change in turn on one machine: gates, and a summary for the pull request",
    "bisect": "the commit at which a count of instructions changed",
    "verify": "compute every hash, verdict and figure of a run anew",
    "serve": "runs, comparisons, trends and gates as pages for a browser",
    "audit": "what was started with more rights than usual, and whether that record is whole",
    "index": "the database behind trends and baselines: bring it up to date, make it anew",
    "import": "keep another tool's results as a run",
    "upload": "send a run to a dashboard, which verifies it on arrival",
    "token": "who may send runs to the dashboard of this home, or read them there",
    "list": "targets, benchmarks, plans, runs",
    "completion": "what makes the Tab key of bash, zsh or fish complete all this",
}
_PARTS = {
    "Measure": ("doctor", "run", "calibrate", "import"),
    "Compare and explain": ("compare", "explain", "trend", "bisect"),
    "Decide": ("gate", "ci", "alert", "metrics"),
    "Show": ("report", "serve", "publish", "badge", "export"),
}  # the rest: what is kept


class _Verbs(click.Group):
    """Imports a verb only when it is used: `--version` must not pay for what it does not need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"benchproof.cli.{cmd_name}_").command
        if COMPLETING in os.environ:
            from benchproof.cli import complete

            complete.teach(cmd_name, command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs by the table: the Tab key must not import them all."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=about) for name, about in _VERBS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] == "help":
            return self.resolve_command(ctx, [*args[1:], "--help"]) if args[1:2] not in ([], ["help"]) else _help(ctx)
        if args and args[0] not in _VERBS:
            from benchproof.plugins import nearest

            raise UsageError(f"unknown command '{args[0]}'; {nearest(args[0], list(_VERBS))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        placed = [verb for verbs in _PARTS.values() for verb in verbs]
        longest = max(map(len, _VERBS))
        for title, verbs in (_PARTS | {"Keep and share": [verb for verb in _VERBS if verb not in placed]}).items():
            with formatter.section(title):
                formatter.write_dl([(f"{verb:{longest}}", _VERBS[verb]) for verb in verbs])


def _help(ctx: click.Context) -> NoReturn:
    click.echo(ctx.get_help())
    ctx.exit(0)


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="benchproof")
def benchproof() -> None:
    """System performance, with proof.

    \b
    benchproof run                      measure what this machine can start
    benchproof run --plan kernels.toml  measure what a plan says
    benchproof compare RUN RUN          what became faster or slower, and how sure that is
    benchproof explain syscall.getpid   where its instructions go, function by function
    benchproof trend --branch main      what changed, and between which commits
    benchproof report RUN --format csv  the same figures for a spreadsheet
    benchproof verify RUN               is it what it claims to be?
    benchproof help run                 all of a command, with examples

    Exit status: 0 good answer, 1 bad answer, 2 wrong question, 3 no answer; 130 or 143 when interrupted.
    """  # noqa: D301 - click wants the control character
    from benchproof.cli.output import in_colour

    click.get_current_context().color = in_colour(sys.stdout)  # else click takes out of a pipe what was asked for


def main() -> None:
    """The console script."""
    complained(lambda: benchproof.main(standalone_mode=False, complete_var=COMPLETING))


def home_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--home`: where runs are."""
    return click.option(
        "--home",
        envvar="BENCHPROOF_HOME",
        type=click.Path(path_type=Path),
        default=Path(".benchproof"),
        show_default=True,
        help="Folder of the runs [env: BENCHPROOF_HOME].",
    )(function)


def index_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--index`: where the index of the runs is."""
    return click.option(
        "--index",
        envvar="BENCHPROOF_INDEX",
        metavar="URL",
        help="postgresql://user@host/database; without it, SQLite beside the runs [env: BENCHPROOF_INDEX].",
    )(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: one document on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")(function)


def print_json(content: object) -> None:
    """The document of `--json`."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1).decode())


def say(line: str) -> None:
    """To who watches, not to who reads the answer."""
    click.echo(f"benchproof: {one_line(line)}", err=True)


def find_run(home: Path, name: str) -> Path:
    """A run by its folder, its id, the beginning of its id, or `last`. Raises UsageError."""
    given = Path(name)
    if (given / "manifest.json").is_file() or given.is_absolute():
        return given
    runs = sorted(path.name for path in (home / "runs").glob("*") if path.is_dir())
    begun = [run for run in runs if (home / "runs" / run / "manifest.json").exists()]
    alike = [run for run in runs if run == name] or [run for run in runs if run.startswith(name)]
    found = begun[-1:] if name == "last" else alike
    if len(found) != 1:
        what = f"{len(found)} runs begin with" if found else "no run is called"
        way_out = "`benchproof list runs` shows what there is" if runs else "there is none; `benchproof run` makes one"
        raise UsageError(f"{what} '{name}' in '{home / 'runs'}'; {way_out}")
    return home / "runs" / found[0]


def resolve_run(home: Path, name: str, *, index: str | None = None, but_not: str = "") -> Path:
    """As `find_run`, and also a run by what it measured: `branch:main`, `commit:1a2b3c`, `tag:v1`, `run:ID`.

    `but_not`: the id of the run that is to be held against it.
    """
    from benchproof import baselines

    if ":" in name and baselines.is_spec(name):
        return baselines.baseline(name, home=home, index=index, but_not=but_not, say=say)
    return find_run(home, name)
