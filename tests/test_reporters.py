"""Reporters lay out figures; they change none and let nothing out of a bundle become markup."""

from __future__ import annotations

import csv
import io
import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof.analysis import stats
from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Cell, Column, Report, Row
from benchproof.analysis.stats import Interval
from benchproof.reporters import FORMATS, layout

RATIO = Comparison(verdict="slower", ratio=Interval(estimate=2.0, low=1.9, high=2.1, confidence=0.95, n=6))


def cell(
    median: float | None = None, *, status: str = "passed", spread: float = 0.01, comparison=None, notes=()
) -> Cell:
    values = () if median is None else (median,) * 6
    return Cell(
        status=status,
        n=6,
        median=median,
        spread=spread if median else None,
        comparison=comparison,
        notes=notes,
        values=values,
        summary=stats.summary(values) if values else None,
    )


def a_report(name: str = "syscall.getpid", *, note: str = "no such call", target: str = "other") -> Report:
    cells = {
        "base": cell(100.0),
        target: cell(200.0, comparison=RATIO),
        "absent": cell(status="unsupported", notes=(note,)),
    }
    row = Row(benchmark=name, parameters={}, tier=1, metric=f"{name}.latency", unit="ns", better="lower", cells=cells)
    return Report(
        run_id="20261120T000000Z-abcdef",
        created_at="2026-11-20T00:00:00+00:00",
        version="0",
        state="complete",
        blocks=6,
        label="",
        vary=("system",),
        seed=1,
        columns=tuple(Column(target=each, reference="base", envelope="sha256:x", context=()) for each in cells),
        rows=(row,),
        passed=2,
        total=3,
        statuses={"passed": 2, "unsupported": 1},
        warnings=("a doubt",),
        envelopes={"sha256:x": {"machine": {"command": "qemu-system-x86_64 -M pc"}}},
        section_hashes={"sha256:x": {"machine": "sha256:y"}},
    )


FOR_PEOPLE = ("terminal", "markdown")
WITHOUT_GAPS = ("bencher", "openmetrics", "scaling-csv")  # they have no place for what has no number
WITHOUT_REASON = ("summary", *WITHOUT_GAPS)


@pytest.mark.parametrize("form", FORMATS.names())
def test_every_format_shows_figures_status_reason_and_coverage(form):
    text = FORMATS.load(form)(a_report())
    assert ("unsupported" in text) == (form not in WITHOUT_GAPS)
    assert ("no such call" in text) == (form not in WITHOUT_REASON)
    assert ("syscall.getpid" in text) == (form != "scaling-csv")
    if form in FOR_PEOPLE:
        assert "2/3 passed (1 unsupported)" in text
        assert "2.00x [1.90, 2.10]" in text
        assert "a doubt" in text


def test_a_benchmark_that_is_timed_and_counted_has_its_own_name_in_both_tables():
    timed = a_report().rows[0]
    counted = msgspec.structs.replace(timed, metric="syscall.getpid.instructions", cells={"exact": cell(346.0)})
    report = msgspec.structs.replace(a_report(), rows=(timed, counted))
    assert [layout.question(report, row) for row in report.rows] == ["syscall.getpid", "syscall.getpid"]


def test_a_report_of_counts_alone_speaks_neither_of_blocks_nor_of_intervals():
    timed, column = a_report().rows[0], a_report().columns[0]
    row = msgspec.structs.replace(timed, unit="instructions", cells={"base": cell(346.0)})
    report = msgspec.structs.replace(a_report(), rows=(row,), columns=(msgspec.structs.replace(column, exact=True),))
    text = FORMATS.load("markdown")(report)
    assert "each case once" in text
    assert "Hodges-Lehmann" not in text
    assert "to be doubted\n\nNothing." in text


@pytest.mark.parametrize("form", FOR_PEOPLE)
def test_targets_that_were_asked_different_questions_share_no_table(form):
    """What was not asked of a target is nothing that it lacks."""
    whole = a_report(target="python")
    one = other = whole.rows[0].cells["base"]
    rows = (
        msgspec.structs.replace(whole.rows[0], cells={"base": one}),
        msgspec.structs.replace(whole.rows[0], benchmark="python.call", metric="it.latency", cells={"python": other}),
    )
    report = msgspec.structs.replace(whole, rows=rows, columns=whole.columns[:2], passed=2, total=2)
    text = FORMATS.load(form)(report)
    assert "0/0" not in text
    assert "missing" not in text


def test_there_is_no_total_score_in_any_format():
    for form in FORMATS.names():
        assert FORMATS.load(form)(a_report()).count("score") == (
            form in {"terminal", "html"}
        )  # "There is no total score."


def test_the_configuration_appendix_has_hashes_and_the_qemu_command():
    text = FORMATS.load("markdown")(a_report())
    assert all(each in text for each in ("sha256:x", "sha256:y", "qemu-system-x86_64 -M pc"))


def test_csv_has_a_line_for_each_cell_in_base_units_unrounded():
    report = msgspec.structs.replace(
        a_report(), rows=(msgspec.structs.replace(a_report().rows[0], cells={"base": cell(100 / 3)}),)
    )
    (line,) = csv.DictReader(io.StringIO(FORMATS.load("csv")(report)))
    assert float(line["median"]) == 100 / 3
    assert (line["unit"], line["status"], line["ratio"]) == ("ns", "passed", "")


def test_json_is_the_report_itself():
    assert msgspec.json.decode(FORMATS.load("json")(a_report()), type=Report) == a_report()


HOSTILE = "<script>alert(1)</script>|*b*`c`[red]d[/red]\n# heading"


def test_hostile_names_and_notes_stay_text_in_markdown():
    text = FORMATS.load("markdown")(a_report(HOSTILE, note=HOSTILE, target=HOSTILE))
    assert "<script>" not in text
    assert "\n# heading" not in text
    bars = [line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ")]
    assert bars[0] == bars[1] == bars[2]  # head, rule, the one row: nothing opened another cell


def test_hostile_names_stay_text_in_a_terminal():
    assert "[red]d[/red]" in FORMATS.load("terminal")(a_report(HOSTILE))
    assert "\x1b" not in FORMATS.load("terminal")(a_report("\x1b[2Jgone"))


@given(st.floats(min_value=1e-3, max_value=1e12))
def test_a_figure_keeps_four_significant_digits(value):
    shown = float(layout.figure(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=5.01e-4)


FIGURES = {0: "0", 94.412: "94.41", 1234.5: "1,234", 0.012345: "0.01235", 999.96: "1,000.0"}


@pytest.mark.parametrize(("value", "shown"), FIGURES.items())
def test_figures_look_like_this(value, shown):
    assert layout.figure(value) == shown


def test_a_row_is_shown_in_the_unit_of_its_smallest_figure():
    row = msgspec.structs.replace(a_report().rows[0], cells={"a": cell(2e6), "b": cell(5e9)})
    assert layout.scale(row) == (1e6, "ms")


def test_a_large_spread_between_invocations_is_shown_with_the_figure():
    assert layout.figure_text(cell(100.0, spread=0.3), 1, "ns") == "100.0 ±30%"
    assert layout.figure_text(cell(100.0, spread=0.1), 1, "ns") == "100.0"


def test_rows_of_one_benchmark_are_told_apart_by_what_differs():
    one = a_report().rows[0]
    rows = tuple(msgspec.structs.replace(one, parameters={"size": size, "samples": 3}) for size in (1, 2))
    report = msgspec.structs.replace(a_report(), rows=rows)
    assert [layout.question(report, row) for row in rows] == [
        "syscall.getpid.latency size=1",
        "syscall.getpid.latency size=2",
    ]


def test_a_summary_has_every_figure_that_the_sample_supports_and_no_other():
    values = [float(each) for each in range(1, 21)]
    known = cell(10.5)
    full = msgspec.structs.replace(known, values=tuple(values), summary=stats.summary(values), n=20)
    row = msgspec.structs.replace(a_report().rows[0], cells={"base": full})
    text = FORMATS.load("summary")(msgspec.structs.replace(a_report(), rows=(row,)), width=200)
    (line,) = [line.split() for line in text.splitlines() if "base" in line]
    figures = ["20", "10.50", "1.000", "20.00", "10.50", "5.916", "5.000", "56.3%", "18.00", "19.00"]
    assert line == ["syscall.getpid", "base", "ns", *figures]
    (_, told) = csv.DictReader(io.StringIO(FORMATS.load("csv")(msgspec.structs.replace(a_report(), rows=(row, row)))))
    assert (told["p95"], told["p99"], told["sd"]) == ("19.0", "", str(statistics.stdev(values)))
