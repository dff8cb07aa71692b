"""`benchproof explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchproof.cli import json_option
from benchproof.errors import StoreError, UsageError

if TYPE_CHECKING:
    from benchproof.benchmarks.primitive.probed import Probed
    from benchproof.plan import Plan

_EPILOG = """\b
Examples:
  benchproof explain syscall.getpid
  benchproof explain syscall.getpid --kernel debian:linux-image-6.1.0-53-amd64 --kernel ./vmlinux
  benchproof explain ipc.pipe --plan kernels.toml --target mine --against linux --format json
  benchproof explain process.fork_exec --format folded | flamegraph.pl > fork.svg
"""


@click.command("explain", epilog=_EPILOG)
@click.argument("benchmark")
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Whose targets are meant.")
@click.option("--target", default="", help="A target of kind qemu; by default the first of the plan.")
@click.option("--against", default="", help="The target to compare it with: the base of the difference.")
@click.option("--kernel", "kernels", multiple=True, help="The target with this kernel; a second is compared with it.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Functions in the table.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "folded"]),
    default="table",
    show_default=True,
    help="folded: stacks for flame graph tools, in instructions per 1000 operations.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of standard output.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1, max=86_400),
    default=120.0,
    show_default=True,
    help="Seconds for a trace.",
)
@json_option
def command(
    *,
    benchmark: str,
    plan_file: Path | None,
    target: str,
    against: str,
    kernels: tuple[str, ...],
    top: int,
    form: str,
    output: Path | None,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Say where the instructions of one operation go, by function, and where two systems differ.

    Exit status 0 if the functions add up to exact mode's figure within 1 %, 1 if an answer was wrong, 3 if there is
    no profile or the sum is another.
    """
    from benchproof import explain, laboratory, plan
    from benchproof.document import DEFAULT
    from benchproof.reporters.explanation import render

    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        what = "a folder" if output.is_dir() else "no such folder"
        raise UsageError(f"--output: expected a file in a folder that exists, found {what}: '{output}'")
    wanted = plan.load(plan_file or DEFAULT)
    settings = _settings(wanted, target=target, against=against, kernels=kernels)
    question = _question(wanted, benchmark, next(iter(settings)))
    with laboratory.opened(laboratory.prepare_probe(laboratory.cache_folder())) as lab, laboratory.interruptible():
        click.echo(f"benchproof: counting, then tracing {benchmark}: {', '.join(settings)}", err=True)
        found = explain.explain(
            question, {name: _qemu()(each, lab) for name, each in settings.items()}, timeout_s=timeout_s
        )
    text = render(found, "json" if as_json else form, top=top)
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write '{output}': {error.strerror}") from error
    return 0 if found.agrees else 3


def _settings(wanted: Plan, *, target: str, against: str, kernels: tuple[str, ...]) -> dict[str, Any]:
    """Name -> settings in exact mode of one target, or of two with the base first. Raises UsageError."""
    if kernels and (against or len(kernels) > 2):
        raise UsageError("--kernel names one kernel or two, and takes the place of --against")
    import msgspec

    name = target or next((name for name, (kind, _) in wanted.targets.items() if kind == "qemu"), "")
    if not name:
        raise UsageError("the plan has no target of kind 'qemu', and only of a guest can instructions be traced")
    if name == against or len(set(kernels)) < len(kernels):
        raise UsageError(f"'{(kernels or (name,))[0]}' does not differ from itself; name two")
    chosen = [each for each in (against, name) if each]
    exact = {each: msgspec.structs.replace(_qemu_settings(wanted, each), exact=True) for each in chosen}
    if not kernels:
        return exact
    by_kernel = {each.removeprefix("debian:"): msgspec.structs.replace(exact[name], kernel=each) for each in kernels}
    for settings in by_kernel.values():
        settings.refuse_missing()
    return by_kernel


def _qemu_settings(wanted: Plan, name: str) -> Any:
    from benchproof.plugins import nearest

    if name not in wanted.targets:
        raise UsageError(f"the plan has no target '{name}'; {nearest(name, list(wanted.targets))}")
    kind, settings = wanted.targets[name]
    if kind != "qemu":
        raise UsageError(
            f"target '{name}' is of kind '{kind}', and only of a guest can instructions be traced; "
            'name one of kind "qemu" (--target, --kernel)'
        )
    return settings


def _question(wanted: Plan, name: str, target: str) -> Probed:
    """The benchmark with the parameters that the plan gives it, if it does. Raises UsageError."""
    from benchproof.benchmarks import BENCHMARKS, SUITES
    from benchproof.benchmarks.primitive.probed import Probed

    if name in SUITES:
        raise UsageError(f"'{name}' is a suite; name one benchmark, such as {SUITES['primitive'][0]}")
    default = BENCHMARKS.load(name)()
    if not isinstance(default, Probed):
        raise UsageError(
            f"'{name}' is no benchmark of the probe: there is no single operation whose instructions could be traced; "
            "those of the suite 'primitive' can be explained"
        )
    in_plan = (case.benchmark for case in wanted.cases if case.name == name and case.target == target)
    return next(in_plan, default)


def _qemu() -> Any:
    from benchproof.targets import KINDS

    return KINDS.load("qemu")
