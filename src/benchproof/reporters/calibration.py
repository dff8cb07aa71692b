"""What a calibration found, as a table for a terminal and as one JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from rich import box
from rich.table import Table

from benchproof.analysis.calibrate import POWERS, Calibration, Power, Rate, Study
from benchproof.analysis.invocations import injected
from benchproof.reporters.screen import Screen, escape

_FOUND = tuple(f"found {name}" for name in POWERS)
HEAD = ("target", "metric", "false alarms", "floor", "apart", *_FOUND, "caught")
LEGEND = (
    "False alarms: windows in which equal copies were called faster or slower, with the 95 % interval; in brackets "
    "those whose interval merely did not hold 1. Floor: 95 % of comparisons of equal things differ by less. "
    "Apart: the most that one copy differed from itself later in the study, as runs made apart would. "
    "Found: the least effect that is called slower, beyond the margin, in so many of 100 comparisons; in brackets the "
    "least whose interval does not hold 1. Caught: windows in which a known delay was called slower, beside how many "
    "were predicted."
)


def as_json(found: object) -> str:
    """The document, indented."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"


def render(
    calibrations: Sequence[Calibration], *, width: int = 132, color: bool = False, encoding: str = "utf-8"
) -> str:
    """One line a metric; beneath, what is absent and why."""
    console = Screen(width=width, color=color, encoding=encoding)
    table = Table(title="equal things, measured", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in HEAD:
        names = name in {"target", "metric"}
        table.add_column(name, justify="left" if names else "right", no_wrap=names)
    for each in calibrations:
        for study in each.studies:
            table.add_row(*map(escape, texts(each, study)))
    console.print(table)
    console.print(LEGEND, style="dim")
    for line in below(calibrations):
        console.print(escape(line), style="yellow")
    return console.text


def texts(calibration: Calibration, study: Study) -> tuple[str, ...]:
    """One line of the table, its fields as in `HEAD`."""
    return calibration.target, study.metric, *_cells(study)


def _cells(study: Study) -> Iterator[str]:
    yield f"{_rate(study.false)}{_bare(study)}"
    yield _share(study.floors.get(study.blocks))
    yield _share(study.floor_apart)
    for name in POWERS:
        bare = study.detectable_bare.get(name)
        yield _share(study.detectable.get(name)) + (f" ({_share(bare)})" if bare is not None else "")
    yield "; ".join(map(_power, study.injected))


def _rate(rate: Rate | None) -> str:
    return "absent" if rate is None else f"{rate.events}/{rate.of} [{rate.low:.0%}, {rate.high:.0%}]"


def _bare(study: Study) -> str:
    return f" ({study.excluded.events})" if study.excluded is not None else ""


def _share(share: float | None) -> str:
    return "absent" if share is None else f"{share:.1%}"


def _power(power: Power) -> str:
    amount = injected(power.parameters) + (f" = {power.asked:.1%}" if power.asked is not None else "")
    seen = "" if power.seen is None else f", seen {power.seen:.1%}"
    predicted = "" if power.predicted is None else f", predicted {power.predicted:.0%}"
    return f"{amount}{seen}: {power.caught.events}/{power.caught.of}{predicted}"


def below(calibrations: Sequence[Calibration]) -> Iterator[str]:
    """What stands beneath the table: the windows, what is absent and why, troubles."""
    for each in calibrations:
        windows = sorted({(study.blocks, study.margin) for study in each.studies})
        if windows:
            least, most = windows[0][1], max(margin for _, margin in windows)
            margin = f"{least:.1%}" if least == most else f"{least:.1%} to {most:.1%}"
            yield f"{each.target}: windows of {windows[0][0]} blocks, margin {margin} (the floor where that is wider)"
        for reason in dict.fromkeys(reason for study in each.studies for reason in study.absent.values()):
            yield f"{each.target}: absent figures: {reason}"
        yield from (f"{each.target}: {trouble}" for trouble in each.troubles)
