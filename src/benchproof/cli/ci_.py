"""`benchproof ci`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchproof.cli import home_option, json_option, print_json, say
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from benchproof.analysis.matrix import Report
    from benchproof.continuous.measuring import Asked, Measured, Request

_EPILOG = """\b
Examples:
  benchproof ci --plan kernel.toml --build 'make -j2' --policy ci.toml    HEAD against where it left its branch
  benchproof ci --plan kernel.toml --build 'make -j2' --base v1.0 --exact  instructions: for shared runners
  benchproof ci --plan guest.toml --base-set kernel=old/bzImage --head-set kernel=new/bzImage
  benchproof ci --plan agent.toml --base-dir main/ --head-dir change/     what other jobs have built
  benchproof ci --plan kernel.toml --build make --list                    what would be measured, and why
"""


@click.command("ci", epilog=_EPILOG)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    required=True,
    help="A TOML plan; {checkout} in it stands for the folder of either side.",
)
@click.option("--targets", default="", help="Only these targets of the plan, separated by commas.")
@click.option("-b", "--benchmark", "--suite", "benchmarks", multiple=True, help="Only this benchmark or suite.")
@click.option("--base", default="", help="Commit of the base; by default that of the pull request, else HEAD~1.")
@click.option("--head", default="HEAD", show_default=True, help="Commit of the head.")
@click.option("--build", "command_line", metavar="CMD", help="Shell command that builds a checkout, in its folder.")
@click.option("--build-timeout", default="1 h", show_default=True, help="After so long a build has failed.")
@click.option("--base-dir", type=click.Path(path_type=Path), help="The base, built already: no checkout is made.")
@click.option("--head-dir", type=click.Path(path_type=Path), help="The head, built already.")
@click.option("--base-set", multiple=True, metavar="KEY=VALUE", help="A setting of the base (repeatable).")
@click.option("--head-set", multiple=True, metavar="KEY=VALUE", help="A setting of the head (repeatable).")
@click.option("--paths", default="", help="Measure what no [[rerun]] table names only if one of these changed.")
@click.option("--release", is_flag=True, help="Measure everything, whatever changed; so does the run of a tag.")
@click.option("--list", "only_list", is_flag=True, help="Say what would be measured and why, and measure nothing.")
@click.option("--exact", is_flag=True, help="Count instructions in place of time, on the targets that can.")
@click.option("--quick/--full", default=None, help="Fewer samples and 6 blocks, or all; by default as the plan says.")
@click.option("--blocks", type=int, help="Invocations of each case on each side.")
@click.option(
    "--until-decided", is_flag=True, help="Stop at the first planned look that decides; --blocks is the most."
)
@click.option("--margin", help="What counts as the same, such as '2 %'.")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="Gates, in place of the plan's.")
@click.option("--comment", type=click.Path(path_type=Path), help="Write the summary to this Markdown file.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the verdicts as JUnit XML to this file.")
@click.option("--github", is_flag=True, help="Print the verdicts as annotations of a GitHub workflow, too.")
@click.option("--label", "labels", multiple=True, metavar="NAME=TEXT", help="As of `benchproof run` (repeatable).")
@home_option
@json_option
def command(
    *, plan_file: Path, policy_file: Path | None, only_list: bool, home: Path, as_json: bool, **given: Any
) -> int:
    """May it be merged? Measure base and head of a change in turn on this machine, and judge the head.

    What differs: a checkout of each, built by --build (or --base-dir and --head-dir), whose folder the plan names as
    {checkout}; or settings (--base-set, --head-set). Without gates in a policy or the plan nothing may be slower.

    Exit status 0 if the gates are met, 1 if one is not, the head does not build or gives a wrong answer, 3 if nothing
    could be decided. Where GITHUB_STEP_SUMMARY is set, the summary is added to it.
    """
    from benchproof import policy
    from benchproof.continuous import building, measuring
    from benchproof.reporters.comment import MARK, safe

    stated = policy.load(policy_file) if policy_file else None
    asked = measuring.asked(plan_file, _words(given["targets"]), given["benchmarks"], _request(given), os.environ)
    if only_list:
        return _list(asked, as_json=as_json)
    if not asked.due:
        return _nothing(asked, given["comment"], as_json=as_json)
    try:
        found = _measured(asked, given, home)
    except (measuring.HeadFailed, building.BuildFailed) as error:
        _summarise(f"{MARK}\n### benchproof: nothing was measured\n\n{safe(str(error))}\n", given["comment"])
        _outputs(status=error.exit_status)
        raise
    verdict = measuring.verdict(found, asked, stated)
    _show(verdict.report, found, verdict.status, as_json=as_json)
    _write(verdict.report, given, asked, found=found, status=verdict.status)
    return verdict.status


def _request(given: dict[str, Any]) -> Request:
    from benchproof.continuous import building, measuring, sides

    def settings(name: str) -> dict[str, Any]:
        return dict(sides.setting(each, f"--{name}-set") for each in given[f"{name}_set"])

    folders = [given["base_dir"], given["head_dir"]]
    if any(folders) and (not all(folders) or given["command_line"]):
        raise UsageError("--base-dir and --head-dir: expected both, and no --build, which makes checkouts of its own")
    names = ("quick", "blocks", "margin")
    changes = {name: given[name] for name in names if given[name] is not None}
    return measuring.Request(
        base=given["base"],
        head=given["head"],
        build=given["command_line"] or "",
        build_timeout_s=building.timeout_of(given["build_timeout"]),
        folders=tuple(str(each.absolute()) for each in folders if each),
        settings=(settings("base"), settings("head")),
        paths=_words(given["paths"]),
        release=given["release"],
        exact=given["exact"],
        changes=changes | ({"until_decided": True} if given["until_decided"] else {}),
    )


def _measured(asked: Asked, given: dict[str, Any], home: Path) -> Measured:
    from benchproof import laboratory
    from benchproof.cli.progress import Progress
    from benchproof.continuous import measuring
    from benchproof.labels import collect

    labels = collect(given["labels"], folder=Path.cwd(), environment=os.environ)
    probe = laboratory.prepare_probe(laboratory.cache_folder())
    return measuring.measured(asked, home, probe, Progress(sys.stderr), labels)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _list(asked: Asked, *, as_json: bool) -> int:
    if as_json:
        print_json(asked.choices)
        return 0
    width = max((len(each.name) for each in asked.choices), default=0)
    for each in asked.choices:
        click.echo(f"{each.name:{width}}  {'measured' if each.due else 'skipped '}  {each.why}")
    return 0


def _nothing(asked: Asked, comment: Path | None, *, as_json: bool) -> int:
    """A change of nothing that is measured is a good answer, and is said."""
    from benchproof.reporters.comment import MARK

    say("nothing to measure: no file changed that a benchmark of the plan depends on")
    _list(asked, as_json=as_json)
    _summarise(f"{MARK}\n### benchproof: nothing to measure\n\n{_skipped(asked)}", comment)
    _outputs(status=0)
    return 0


def _show(report: Report, found: Measured, status: int, *, as_json: bool) -> None:

    from benchproof.cli.output import terminal

    if as_json:
        content = {"exit_status": status, "run_id": report.run_id, "bundle": str(found.path), "report": report}
        print_json(content)
    else:
        click.echo(terminal(report), nl=False)
    say(f"evidence: {found.path} (benchproof verify {found.path})")


def _write(report: Report, given: dict[str, Any], asked: Asked, *, found: Measured, status: int) -> None:
    from benchproof.reporters import FORMATS

    _summarise(FORMATS.load("comment")(report) + _skipped(asked), given["comment"])
    if given["junit"] is not None:
        _to(given["junit"], FORMATS.load("junit")(report), "w")
    if given["github"]:
        click.echo(FORMATS.load("github")(report), nl=False, err=True)
    _outputs(status=status, run=report.run_id, bundle=str(found.path))


def _skipped(asked: Asked) -> str:
    from benchproof.reporters.comment import safe

    skipped = [f"- {safe(each.name)}: {safe(each.why)}" for each in asked.choices if not each.due]
    return "\n".join(["", "Not measured:", "", *skipped[:40], ""]) if skipped else ""


def _summarise(text: str, comment: Path | None) -> None:
    if comment is not None:
        _to(comment, text, "w")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _to(Path(summary), text, "a")


def _outputs(**values: object) -> None:
    """What later steps of a GitHub workflow may ask for."""
    from benchproof.errors import one_line

    if path := os.environ.get("GITHUB_OUTPUT"):
        _to(Path(path), "".join(f"{name}={one_line(str(value))}\n" for name, value in values.items()), "a")


def _to(path: Path, text: str, mode: str) -> None:
    from benchproof.errors import StoreError

    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreError(f"cannot write '{path}': {error.strerror}; name another file") from error
