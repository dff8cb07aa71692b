"""The words of the tables of a matrix: what each profile costs, and every profile against every other."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Report
from benchproof.analysis.profiles import Metric, Pair, Profiles
from benchproof.model import Frozen
from benchproof.reporters import layout

RELATIVE = (
    "They ran emulated (TCG): a ratio holds between these profiles alone, and no figure says what they cost on a "
    "processor; for that, run them under KVM or natively."
)
EVERY = "Every profile against every other: benchproof compare RUN --all, or --format markdown."
LEGEND = (
    "Ratios are to the profile above or in front, over pairs of one block; claims hold among all metrics of a pair. "
    "No total: which benchmark matters is for the reader to say."
)


class Table(Frozen, frozen=True):
    """One table: its title, heads and lines of equal length, and the remarks beneath it."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()


def costs(report: Report, *, repeating: bool = True) -> Iterator[Table]:
    """For each matrix what its profiles cost against its base, a line for each metric.

    Not `repeating`: without the lines of a matrix whose ratios to the base are those of the report's own table.
    """
    references = {column.target: column.reference for column in report.columns}
    for found in report.profiles:
        told = not repeating and all(references.get(pair.new) == pair.base for pair in found.costs)
        able = [pair for pair in found.costs if not pair.context]
        lines = [
            (_name(found, metric), *(_text(pair.comparisons[number]) for pair in able))
            for number, metric in enumerate(found.metrics)
        ]
        yield Table(
            title=f"the cost of each profile of {found.name}, against {_short(found, found.base)}"
            + (", is told by the ratios above" if told and able else ""),
            heads=("benchmark", *(_short(found, pair.new) for pair in able)),
            lines=tuple(lines) if able and not told else (),
            remarks=tuple(_remarks(found, found.costs if able else found.costs[:1])),
        )


def every(report: Report) -> Iterator[Table]:
    """For each matrix with more than two profiles: a line for each metric and profile, a column for each other."""
    for found in report.profiles:
        able = {(pair.base, pair.new): pair for pair in found.pairs if not pair.context}
        bases = [base for base in found.targets if any(pair[0] == base for pair in able)]
        if len(found.targets) < 3 or not able:
            continue
        columns = found.targets[1:]
        lines = [
            (_name(found, metric), _short(found, base), *(_cell(able.get((base, new)), number) for new in columns))
            for number, metric in enumerate(found.metrics)
            for base in bases
        ]
        yield Table(
            title=f"every profile of {found.name} against every other",
            heads=("benchmark", "against", *(_short(found, new) for new in columns)),
            lines=tuple(lines),
            remarks=tuple(_remarks(found, [pair for pair in found.pairs if pair.base != found.base], told=True)),
        )


def _remarks(found: Profiles, pairs: list[Pair] | tuple[Pair, ...], *, told: bool = False) -> Iterator[str]:
    for pair in pairs:
        if pair.context:
            shown = "; ".join(layout.cut(each, 160) for each in pair.context[:3])
            more = f"; and {len(pair.context) - 3} more" if len(pair.context) > 3 else ""
            names = f"{_short(found, pair.new)} with {_short(found, pair.base)}"
            yield f"not compared: {names}: they differ in what was not declared to vary: {shown}{more}"
    unlike = (each.unlike for pair in pairs if not pair.context for each in pair.comparisons if each and each.unlike)
    yield from dict.fromkeys(layout.cut(words, layout.MOST_OF_A_NOTE) for words in unlike)
    if found.emulated and not told:
        yield RELATIVE


def _short(found: Profiles, target: str) -> str:
    """A combination without the name of its matrix, which the title has."""
    return target.removeprefix(f"{found.name}/")


def _name(found: Profiles, metric: Metric) -> str:
    """The metric's name, and the parameters in which those of that name differ."""
    alike = [other for other in found.metrics if other.metric == metric.metric]
    differing = [
        f"{key}={value}"
        for key, value in metric.parameters.items()
        if any(other.parameters.get(key) != value for other in alike)
    ]
    return " ".join([metric.metric, *differing]) + layout.purpose(metric.parameters)


def _cell(pair: Pair | None, number: int) -> str:
    return _text(pair.comparisons[number]) if pair else ""


def _text(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    return layout.ratio_text(comparison) or layout.cut(f"{comparison.verdict}: {comparison.reason}", 60)
