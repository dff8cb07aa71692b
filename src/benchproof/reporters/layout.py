"""What all reporters say in the same words: scaled numbers, ratios, numbered notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchproof.analysis import compare, inspired, invocations
from benchproof.analysis.compare import Comparison
from benchproof.analysis.inspired import Inspired
from benchproof.analysis.matrix import Cell, Column, Report, Row
from benchproof.model import Unit

_SCALES: dict[Unit, tuple[tuple[float, str], ...]] = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")),
    "bytes": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")),
    "bytes/s": ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s")),
    "op/s": ((1e6, "Mop/s"), (1e3, "kop/s"), (1, "op/s")),
}
SIGNS: dict[compare.Verdict, str] = {"faster": "+", "slower": "-", "same": "=", "undecided": "~", "incomparable": "!"}
OTHER_SCALE = ((1.0, ""),)
MOST_OF_A_NOTE = 400  # characters that people are shown; the whole of it is in report.json
MOST_OF_A_NAME = 60
NOISY_SPREAD = 0.15  # robust coefficient of variation above which a cell shows it


def scale(row: Row) -> tuple[float, str]:
    """Divisor and name of the unit in which the whole row is shown: that of its smallest figure."""
    medians = [cell.median for cell in row.cells.values() if cell.median is not None]
    if row.unit is None or not medians:
        return 1.0, row.unit or ""
    return scale_of(row.unit, min(medians))


def scale_of(unit: Unit, smallest: float) -> tuple[float, str]:
    """Divisor and name of the largest unit in which `smallest` is at least 1."""
    scales = _SCALES.get(unit, OTHER_SCALE)
    divisor, name = next((each for each in scales if smallest >= each[0]), scales[-1])
    return divisor, name or unit


def figure(value: float) -> str:
    """Four significant digits, without an exponent, thousands apart."""
    if value == 0:
        return "0"
    digits = max(0, 3 - _exponent(value))
    return f"{value:,.{digits}f}"


def amount(value: float, unit: Unit) -> str:
    """A figure with its unit, in the scale that suits it alone."""
    if unit == "instructions":
        return f"{count(value)} {unit}"
    scales = _SCALES.get(unit, OTHER_SCALE)
    divisor, name = next((each for each in scales if abs(value) >= each[0]), scales[-1])
    return f"{figure(value / divisor)} {name or unit}"


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def count(value: float) -> str:
    """To the last digit: a batch of n operations has a whole number of instructions."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def figure_text(cell: Cell, divisor: float, unit: Unit | None) -> str:
    """The median, or the status where there is none; a spread between invocations is shown where it is large.

    What no oracle saw carries a question mark.
    """
    if cell.median is None:
        return cell.status
    doubt = " ?" if cell.status == "unverified" else ""
    if unit == "instructions":
        return count(cell.median) + doubt
    noisy = f" ±{cell.spread:.0%}" if cell.spread is not None and cell.spread > NOISY_SPREAD else ""
    return figure(cell.median / divisor) + noisy + doubt


def ratio_text(comparison: Comparison | None) -> str:
    """The ratio with its interval, in front of it the verdict as a sign."""
    if comparison is None or (interval := comparison.ratio or comparison.difference) is None:
        return ""
    sign = SIGNS[comparison.verdict]
    if comparison.difference is not None:
        if not (interval.low or interval.high) and comparison.difference.confidence == 1:
            return f"{sign} none"
        change = comparison.difference
        more = f"{count(abs(change.estimate))} {'more' if change.estimate > 0 else 'fewer'}"
        if comparison.ratio is not None:
            return f"{sign} {more} ({comparison.ratio.estimate:.4f}x)"
        return f"{sign} {more} [{count(change.low)}, {count(change.high)}]"
    low, estimate, high = (_ratio(value) for value in (interval.low, interval.estimate, interval.high))
    widened = f" A/A {comparison.floor:.1%}" if comparison.floor and comparison.margin == comparison.floor else ""
    return f"{sign} {estimate}x [{low}, {high}]{widened}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else figure(value)


def question(report: Report, row: Row) -> str:
    """The benchmark's name, and more where that does not tell the rows of a table apart: metric, then parameters.

    An injected case is called that wherever it stands, and so is one that follows somebody's rules in part; where all
    of the report do, that is said on top.
    """
    apart = inspired.of(row.benchmark, report.inspired) != _common_rules(report)
    return _name(report, row) + purpose(row.parameters) + (rules(report, row.benchmark) if apart else "")


def rules(report: Report, benchmark: str) -> str:
    """What is added to the name of a benchmark that meets an upstream's rules in part; nothing for others."""
    found = inspired.of(benchmark, report.inspired)
    return f" ({found.short})" if found else ""


def _common_rules(report: Report) -> Inspired | None:
    """Those that every benchmark follows in part."""
    if not report.inspired:
        return None
    found = {inspired.of(benchmark, report.inspired) for benchmark in {row.benchmark for row in report.rows}}
    return found.pop() if len(found) == 1 else None


def purpose(parameters: Mapping[str, object]) -> str:
    """What is added to the name of a case that was made slower; nothing for others."""
    injected = invocations.injected(parameters)
    return f" (injected {injected})" if injected else ""


def _name(report: Report, row: Row) -> str:
    same = [  # of its table; the name is looked at first, since every row asks this of every other
        other for other in report.rows if other.benchmark == row.benchmark and other.cells.keys() == row.cells.keys()
    ]
    name = row.benchmark if len(same) == 1 else row.metric
    if sum(other.metric == row.metric for other in same) == 1:
        return name
    return f"{name} {parameters(row, same)}".rstrip()


def parameters(row: Row, others: Iterable[Row]) -> str:
    """Those in which the row differs from any of the others: `size=1 depth=2`."""
    others = tuple(others)
    differing = {
        key: value
        for key, value in row.parameters.items()
        if any(other.parameters.get(key) != value for other in others) and key not in invocations.INJECTIONS
    }
    return " ".join(f"{key}={value}" for key, value in differing.items())


def title(report: Report, column: Column) -> str:
    """The head of a column."""
    name = labelled(report, column)
    if column.context:
        return f"{name} (context)"
    return name if column.target == column.reference else f"{name} / {column.reference}"


def labelled(report: Report, column: Column) -> str:
    """The target's name with what tells it from the others: `mine [debug build]`. What all are is said on top."""
    own = [label for label in column.labels if label not in _common(report)]
    return _with(column.target, own)


def shown_target(report: Report, target: str) -> str:
    """The name with every label; a target that the report does not have is what it is called."""
    return next((_with(target, column.labels) for column in report.columns if column.target == target), target)


def _with(target: str, labels: Sequence[str]) -> str:
    return f"{target} [{cut('; '.join(labels), 80)}]" if labels else target


def shown_labels(report: Report, benchmark: str, target: str) -> tuple[str, ...]:
    """Which system a figure is of, and whose rules it follows in part, in full."""
    found = inspired.of(benchmark, report.inspired)
    own = next((column.labels for column in report.columns if column.target == target), ())
    return (*own, *([str(found)] if found else []))


def _common(report: Report) -> tuple[str, ...]:
    """The labels that all of several targets have."""
    if len(report.columns) < 2:
        return ()
    return tuple(each for each in report.columns[0].labels if all(each in column.labels for column in report.columns))


def labels(report: Report) -> Iterator[str]:
    """What stands above everything else: which figures are of no ordinary system."""
    for each in report.inspired:
        yield f"{', '.join(each.benchmarks) or 'every benchmark'}: {each}"
    common = _common(report)
    if common:
        yield f"every target: {'; '.join(common)}: the figures are of such systems alone"
    for column in report.columns:
        if own := [label for label in column.labels if label not in common]:
            yield f"{column.target}: {'; '.join(own)}: its figures are of such a system alone"


def cut(text: str, most: int) -> str:
    """At most so many characters; the whole of it is in the run."""
    return text if len(text) <= most else f"{text[: most - 3].rstrip()}..."


def notes(report: Report) -> dict[str, int]:
    """Every note of every cell, numbered in the order of appearance."""
    numbers: dict[str, int] = {}
    for row in report.rows:
        for target, cell in row.cells.items():
            for note in cell_notes(target, cell):
                numbers.setdefault(note, len(numbers) + 1)
    return numbers


def cell_notes(target: str, cell: Cell) -> Iterator[str]:
    """The notes of one cell, with the target's name in front; first what its ratio is really a ratio of."""
    if cell.comparison is not None and cell.comparison.unlike:
        yield cut(cell.comparison.unlike, MOST_OF_A_NOTE)
    yield from (cut(f"{target}: {note}", MOST_OF_A_NOTE) for note in cell.notes)


def settings(report: Report) -> str:
    """How the run was made."""
    if not report.vary:
        return f"benchproof {report.version}, imported"
    timed = not all(column.exact for column in report.columns)
    times = f"{report.blocks} blocks" if timed else "each case once"
    return f"benchproof {report.version}, {times}, seed {report.seed}, varying {', '.join(report.vary)}"


def configuration(report: Report, column: Column) -> str:
    """One line that tells a target from others: its hash, its kernel, how it runs, the command that starts it."""
    sections = report.envelopes.get(column.envelope)
    if sections is None:
        return f"{column.target}: not described, it could not be started"
    machine, system = sections.get("machine", {}), sections.get("system", {})
    kernel = system.get("kernel_package") or system.get("kernel") or system.get("stated_system")
    words = (kernel, system.get("version"), machine.get("execution"))
    command = machine.get("command", system.get("command", ""))
    described = ", ".join(cut(word, MOST_OF_A_NAME) for word in (column.envelope[:19], *words) if word)
    return f"{column.target}: {described}" + (f"; {command}" if command else "")


def coverage(report: Report) -> str:
    """How much of what was asked has an answer."""
    others = ", ".join(f"{count} {status}" for status, count in report.statuses.items() if status != "passed")
    return f"{report.passed}/{report.total} passed" + (f" ({others})" if others else "")


def legend(report: Report, *, exact: bool, paired: bool, signs: bool = True) -> str:
    """How to read a table.

    `paired`: of one target against another, its ratio in a column of its own; `signs`: a verdict is one, and no word.
    """
    if not report.vary:
        return "Medians of what another tool's file says; no oracle saw the work (?), and nothing is compared."
    where = (
        "then the ratio of the first to the second" if paired else "beneath, the ratio to the target behind the slash"
    )
    if exact:
        more = (
            "then how many more or fewer than the second"
            if paired
            else ("beneath, how many more or fewer than the target behind the slash")
        )
        return _COUNTED.format(more=more)
    return (
        f"Medians of {report.blocks} invocations, each verified; {where} "
        f"with its {1 - 2 * report.design.alpha:.0%} interval and the verdict against a margin of "
        f"{report.design.margin:.3g}{' (+ faster, - slower, = same, ~ undecided)' * signs}; ± is the robust spread "
        f"between invocations where it is over {NOISY_SPREAD:.0%}.{_doubted(report)}{_calibrated(report)}"
    )


def _doubted(report: Report) -> str:
    stated = any(cell.status == "unverified" for row in report.rows for cell in row.cells.values())
    return " A ? behind a figure: its system states it without evidence, and nobody verified it." if stated else ""


def _calibrated(report: Report) -> str:
    floors = [
        each.comparison.floor
        for row in report.rows
        for each in row.cells.values()
        if each.comparison and each.comparison.floor is not None
    ]
    if not floors:
        return ""
    return (
        f" A/A floors, by which equal things were measured to differ here, are {min(floors):.1%} to {max(floors):.1%}; "
        "one that is wider than the margin stands behind the ratio and takes its place."
    )


_COUNTED = (
    "Instructions of one operation, the guest's kernel included, counted twice and the same to the last digit: those "
    "of most batches, or of the shortest where a note says that they differ; {more} (+ better, - worse, = none). Never "
    "compared with time."
)
