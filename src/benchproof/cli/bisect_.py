"""`benchproof bisect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import home_option, json_option, print_json
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from benchproof.continuous.bisecting import Question
    from benchproof.continuous.searching import Found

_EPILOG = """\b
Examples:
  benchproof bisect --since v1.0 --plan kernel.toml -b syscall.getpid --build 'make -j2'
  benchproof bisect --good 1a2b3c --bad main --plan kernel.toml -b ipc.pipe --build 'make -j2' --threshold "1 %"
"""


@click.command("bisect", epilog=_EPILOG)
@click.option("--good", metavar="REV", help="A commit before the change.")
@click.option("--bad", default="HEAD", show_default=True, metavar="REV", help="A commit after it.")
@click.option("--since", metavar="REV", help="The same as --good, with HEAD as the bad one.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    required=True,
    help="A TOML plan whose target names what is built by {checkout}.",
)
@click.option("--target", default="", help="The target of the plan, where it has several.")
@click.option("-b", "--benchmark", required=True, help="The benchmark that changed.")
@click.option("--metric", default="", help="Its metric, where it has several.")
@click.option("--build", "command_line", default="", metavar="CMD", help="Shell command that builds a checkout.")
@click.option("--build-timeout", default="1 h", show_default=True, help="After so long a build has failed.")
@click.option("--threshold", default="0 %", show_default=True, help="Ends that differ by no more are the same.")
@home_option
@json_option
def command(
    *,
    good: str | None,
    bad: str,
    since: str | None,
    plan_file: Path,
    target: str,
    benchmark: str,
    metric: str,
    command_line: str,
    build_timeout: str,
    threshold: str,
    home: Path,
    as_json: bool,
) -> int:
    """Which commit changed a count of instructions? By halves, over first parents; every step is a run of its own.

    Instructions are the same on any machine, every time, so one count a commit is enough. A commit that does not build
    is passed over and named.

    Exit status 0 if one commit is found, 3 if the ends do not differ or commits that do not build leave several.
    """
    import msgspec

    from benchproof import laboratory, plan
    from benchproof.cli.progress import Progress
    from benchproof.continuous import bisecting
    from benchproof.document import document_of

    if (good is None) == (since is None) or (since and bad != "HEAD"):
        raise UsageError("expected --good and --bad, or --since alone, such as --since v1.0")
    document = document_of(plan_file)
    narrowed = plan.only(document, targets=(target,) if target else (), benchmarks=(benchmark,))
    question = _question(
        narrowed | {"gates": {}},
        ends=(good or since or "", bad),
        where=plan_file.name,
        metric=metric,
        build=(command_line, build_timeout),
        threshold=threshold,
    )
    probe = laboratory.prepare_probe(laboratory.cache_folder())
    found = bisecting.find(question, home, probe, Progress(sys.stderr))
    if as_json:
        print_json(msgspec.to_builtins(found) | {"share": found.share})
    else:
        click.echo(_told(question, found))
    return 0 if len(found.culprits) == 1 else 3


def _question(
    document: dict[str, object],
    *,
    ends: tuple[str, str],
    where: str,
    metric: str,
    build: tuple[str, str],
    threshold: str,
) -> Question:
    from benchproof.checkouts import around
    from benchproof.continuous.bisecting import Question
    from benchproof.continuous.building import timeout_of
    from benchproof.quantities import Share

    try:
        share = float(Share.parse(threshold))
    except ValueError as error:
        raise UsageError(f"--threshold: {error}") from error
    return Question(
        repository=around(Path.cwd()),
        good=ends[0],
        bad=ends[1],
        document=document,
        where=where,
        metric=metric,
        build=build[0],
        build_timeout_s=timeout_of(build[1]),
        threshold=share,
    )


def _told(question: Question, found: Found) -> str:
    from benchproof.reporters.layout import count

    good, bad = found.good.value or 0.0, found.bad.value or 0.0
    lines = [f"{found.good.metric}: {count(good)} at {found.good.commit[:12]}, {count(bad)} at {found.bad.commit[:12]}"]
    if not found.culprits:
        lines.append("no commit: the ends do not differ" + (" by more than the threshold" if good != bad else ""))
    else:
        before, after = found.before.value or 0.0, found.after.value or 0.0
        many = "" if len(found.culprits) == 1 else f"one of {len(found.culprits)} commits, the others do not build:\n"
        lines.append(many + "\n".join(f"{each} {question.repository.subject(each)}" for each in found.culprits))
        lines.append(
            f"{count(before)} -> {count(after)} {found.after.unit}, {found.share:.1%} of the difference of the ends"
        )
        if found.share is not None and found.share < 1:
            lines.append(
                f"there is more to find: bisect again, {found.good.commit[:12]} to {found.before.commit[:12]}"
                f" and {found.after.commit[:12]} to {found.bad.commit[:12]}"
            )
    lines += [f"passed over: {step.commit[:12]}: {step.trouble}" for step in found.steps if step.value is None]
    lines.append(
        f"{len(found.steps)} commits measured, a run each: {', '.join(s.run_id for s in found.steps if s.run_id)}"
    )
    return "\n".join(lines)
