"""Any two targets of one run or of two, or the same of several runs: what a user may ask, and what it amounts to.

Options are as a user writes them; what makes no sense is refused with what there is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import msgspec

from benchproof import report
from benchproof.analysis import calibrate, versus
from benchproof.analysis.compare import Design
from benchproof.analysis.matrix import Report
from benchproof.analysis.versus import Half, Versus
from benchproof.envelope import FACETS
from benchproof.errors import UsageError
from benchproof.model import Facet
from benchproof.plugins import nearest
from benchproof.quantities import Share
from benchproof.store.bundle import Run


def compared(
    several: Sequence[tuple[Run, Run]],
    chosen: tuple[str, ...] | None,
    *,
    vary: str,
    changes: Mapping[str, str | None],
    reported: Callable[[Run], Report] = report.build,
) -> list[Versus]:
    """Every pair of targets that was asked for, over all pairs of runs; None: of every two. Raises UsageError.

    `changes`: margin and fdr where they are not those of the newer run. `reported`: for who has the reports already.
    """
    reports = [(reported(first), reported(second)) for first, second in several]
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
    pairs = itertools.combinations(found.columns, 2)
    able = [(one.target, other.target) for one, other in pairs if one.exact == other.exact]
    if not able:
        raise UsageError(f"run {found.run_id} has no two targets that are measured in the same way")
    return able


def _pairs(reports: tuple[Report, Report], chosen: tuple[str, ...]) -> list[tuple[str, str]]:
    """Base and new target of each pair. Raises UsageError where there is none."""
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


def _facets(text: str, planned: tuple[Facet, ...], *, apart: bool) -> tuple[Facet, ...]:
    """What may differ; runs made apart differ in time, whatever else."""
    names = {*(words(text) or planned), *(("time",) if apart else ())}
    for name in names:
        if name not in FACETS:
            raise UsageError(f"--vary: unknown facet '{name}'; {nearest(name, list(FACETS))}")
    return tuple(facet for facet in FACETS if facet in names)


def _design(planned: Design, changes: Mapping[str, str | None]) -> Design:
    """That of the newer run, with what the arguments change of it."""
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


def status(found: Sequence[Versus]) -> int:
    """Of the command: 0 a good answer, 1 something is slower or lost, 3 nothing could be decided."""
    if any(each.verdicts.get("slower") or each.lost for each in found):
        return 1
    return 0 if any(each.verdicts.keys() - {"undecided", "incomparable"} for each in found) else 3


def words(text: str) -> tuple[str, ...]:
    """Separated by commas."""
    return tuple(word.strip() for word in text.split(",")) if text else ()
