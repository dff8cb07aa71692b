"""`benchproof compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import home_option, index_option, json_option, resolve_run
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from benchproof.analysis.compare import Design
    from benchproof.analysis.matrix import Report
    from benchproof.analysis.versus import Half, Versus
    from benchproof.model import Facet
    from benchproof.store.bundle import Run

_EPILOG = """\b
Examples:
  benchproof compare last                          each target of the last run against its reference
  benchproof compare last --targets bwrap,gvisor   any two targets of it
  benchproof compare last --all                    every target of it against every other
  benchproof compare 20261120 last                 the same targets of two runs
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
    index: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """Compare two targets of a run, or two runs: ratio, interval and verdict of every metric.

    Exit status 0 if nothing is slower or lost, 1 if something is, 3 if nothing could be decided.
    """
    from benchproof import report
    from benchproof.cli.output import look
    from benchproof.reporters import versus
    from benchproof.store import bundle

    chosen, tools = _words(targets), _words(trust)

    def loaded(names: str, but_not: str = "") -> list[Run]:
        paths = [resolve_run(home, name, index=index, but_not=but_not) for name in _words(names)]
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
    found = _compared(several, None if every else chosen, vary=vary, changes={"margin": margin, "fdr": fdr})
    click.echo(versus.as_json(found) if as_json else versus.render(found, **look()), nl=False)
    return _status(found)


def _refuse_repeated(sides: list[list[Run]]) -> None:
    """A run is evidence once: named again, it would make the interval narrower and tell nothing new."""
    for side in sides:
        names = [run.manifest.run_id for run in side]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"expected each run once on a side, found {name} {names.count(name)} times")


def _compared(
    several: list[tuple[Run, Run]], chosen: tuple[str, ...] | None, *, vary: str, changes: dict[str, str | None]
) -> list[Versus]:
    """Every pair of targets that was asked for, over all pairs of runs."""
    from benchproof import report
    from benchproof.analysis import calibrate, versus

    reports = [(report.build(first), report.build(second)) for first, second in several]
    apart = any(first.manifest.run_id != second.manifest.run_id for first, second in several)
    facets = _facets(vary, reports[0][1].vary, apart=apart)
    design = _design(reports[0][1].design, changes)

    def halves(one: str, other: str) -> list[tuple[Half, Half]]:
        return [
            (report.half(first, one, before), report.half(second, other, after))
            for (first, second), (before, after) in zip(several, reports, strict=True)
        ]

    def single(number: int, pair: tuple[Half, Half]) -> Versus:
        sides = [(run, half.target) for run, half in zip(several[number], pair, strict=True)]
        context = report.undeclared(sides[0], sides[1], vary=facets)
        drift = calibrate.drift(*((run.manifest.calibration, target) for run, target in sides))
        remedy = report.remedy(sides[0], sides[1], vary=facets)
        return versus.between(*pair, context=context, vary=facets, design=design, drift=drift, remedy=remedy)

    found = []
    for one, other in _every(reports[0][1]) if chosen is None else _pairs(reports[0], chosen):
        pairs = halves(one, other)
        each = [single(number, pair) for number, pair in enumerate(pairs)]
        found.append(versus.pooled(pairs, each) if len(each) > 1 else each[0])
    return found


def _every(found: Report) -> list[tuple[str, str]]:
    """Every two targets that are measured in the same way. Raises UsageError where there are none."""
    import itertools

    pairs = itertools.combinations(found.columns, 2)
    able = [(one.target, other.target) for one, other in pairs if one.exact == other.exact]
    if not able:
        raise UsageError(f"run {found.run_id} has no two targets that are measured in the same way")
    return able


def _pairs(reports: tuple[Report, Report], chosen: tuple[str, ...]) -> list[tuple[str, str]]:
    """Base and new target of each pair. Raises UsageError where there is none."""
    from benchproof.plugins import nearest

    known = [[column.target for column in each.columns] for each in reports]
    if chosen and len(chosen) != 2:
        raise UsageError(f"--targets: expected two names, BASE,NEW, found {len(chosen)}")
    for name, names, each in zip(chosen, known, reports, strict=False):
        if name not in names:
            raise UsageError(f"run {each.run_id} has no target '{name}'; {nearest(name, names)}")
    if chosen and chosen[0] == chosen[1] and reports[0].run_id == reports[1].run_id:
        raise UsageError(f"--targets: '{chosen[0]}' of one run is the same on both sides; name another target or run")
    if chosen:
        return [(chosen[0], chosen[1])]
    if reports[0].run_id == reports[1].run_id:
        pairs = [
            (column.reference, column.target) for column in reports[1].columns if column.target != column.reference
        ]
        hint = f"run {reports[0].run_id} has nothing to compare with '{known[0][0]}'; name a second run"
    else:
        pairs = [(name, name) for name in known[1] if name in known[0]]
        hint = (
            f"the runs have no target in common ({', '.join(known[0])}; {', '.join(known[1])}); "
            "name one of each with --targets BASE,NEW"
        )
    if not pairs:
        raise UsageError(hint)
    return pairs


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()


def _facets(text: str, planned: tuple[Facet, ...], *, apart: bool) -> tuple[Facet, ...]:
    """What may differ; runs made apart differ in time, whatever else."""
    from benchproof.envelope import FACETS
    from benchproof.plugins import nearest

    names = {*(_words(text) or planned), *(("time",) if apart else ())}
    for name in names:
        if name not in FACETS:
            raise UsageError(f"--vary: unknown facet '{name}'; {nearest(name, list(FACETS))}")
    return tuple(facet for facet in FACETS if facet in names)


def _design(planned: Design, changes: dict[str, str | None]) -> Design:
    """That of the newer run, with what the arguments change of it."""
    import msgspec

    from benchproof.quantities import Share

    given = {}
    for key, text in changes.items():
        if text is not None:
            try:
                given[key] = float(Share.parse(text))
            except ValueError as error:
                raise UsageError(f"--{key}: {error}") from error
    if not 0 < given.get("fdr", planned.fdr) < 1:
        raise UsageError(f"--fdr: expected a share between 0 and 1, found '{changes['fdr']}'")
    return msgspec.structs.replace(planned, **given)


def _status(found: list[Versus]) -> int:
    if any(each.verdicts.get("slower") or each.lost for each in found):
        return 1
    return 0 if any(each.verdicts.keys() - {"undecided", "incomparable"} for each in found) else 3
