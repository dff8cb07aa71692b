"""Pictures in a terminal: each character is where the figure beside it says, and none takes a figure's place."""

from __future__ import annotations

import math
import re

import msgspec
import pytest

from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Cell
from benchproof.analysis.stats import Interval
from benchproof.reporters import FORMATS, drawings, pictures, tables
from benchproof.reporters.pictures import Scale
from test_tables import BARE, COLUMNS, HOST, LINUX, NEWER, a_report, figures

RATIO = Interval(estimate=2.0, low=1.0, high=4.0, confidence=0.95, n=10)
SCALE = Scale(low=0.5, high=8.0, margin=0.02, width=41)


def a_cell(*values, comparison=None):
    middle = sorted(values)[len(values) // 2] if values else None
    return Cell("passed", len(values), middle, None, comparison, (), values=values)


def test_a_bar_has_its_ends_and_its_middle_where_the_scale_has_them():
    drawn = pictures.bar(RATIO, SCALE)
    assert (drawn[10], drawn[20], drawn[30]) == ("├", "●", "┤")
    assert set(drawn[11:20] + drawn[21:30]) == {"─"}
    assert not drawn[31:].strip()
    assert pictures.axis(SCALE).index("1x") == SCALE.at(1.0)


def test_an_interval_that_does_not_hold_1_leaves_its_mark_and_the_margin_free():
    drawn = pictures.bar(Interval(estimate=4.0, low=3.0, high=6.0, confidence=0.95, n=10), SCALE._replace(margin=0.2))
    assert (drawn[SCALE.at(1.0)], drawn[SCALE.at(1.2)], drawn[SCALE.at(1 / 1.2)]) == ("│", "┊", "┊")
    assert "┼" not in drawn
    assert "┼" in pictures.bar(Interval(estimate=2.0, low=0.6, high=4.0, confidence=0.95, n=10), SCALE)


@pytest.mark.parametrize("low", [0.0, 1e-9, 0.2])
def test_what_lies_beyond_the_scale_is_an_arrow(low):
    wide = Interval(estimate=1.0, low=low, high=1e9, confidence=0.95, n=10)
    drawn = pictures.bar(wide, SCALE)
    assert (drawn[0], drawn[-1]) == ("\u2039", "\u203a")
    assert len(drawn) == SCALE.width


@pytest.mark.parametrize("width", [2, 5, 13, 41])
@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.0, 1e300), (1e-300, 1e-299), (0.99, 1.01), (100.0, 300.0)])
def test_every_interval_can_be_drawn_and_holds_its_place(width, low, high):
    ratio = Interval(estimate=min(max(1.0, low), high), low=low, high=high, confidence=0.95, n=10)
    scale = pictures.scale_of([Comparison(verdict="undecided", ratio=ratio, margin=0.02), None], width)
    assert len(pictures.bar(ratio, scale)) == len(pictures.axis(scale)) == width
    assert scale.low < 1 < scale.high


def test_without_a_ratio_there_is_no_scale():
    assert pictures.scale_of([None, Comparison(verdict="incomparable")], 41) is None


def test_a_steady_run_is_flat_and_a_jump_is_seen_where_it_happened():
    assert pictures.spark(a_cell(*[100.0, 101, 99, 102, 98] * 2)) == "▄" * 10
    assert pictures.spark(a_cell(*[100.0] * 7, 130, 130, 130)) == "▄▄▄▄▄▄▄███"
    assert pictures.spark(a_cell(50.0, 100.0, 100.0, 105.0, 110.0)) == "▁▄▄▅▆"


@pytest.mark.parametrize("values", [(), (1.0,), (0.0, 0.0, 0.0)])
def test_what_has_no_run_of_values_is_not_drawn(values):
    assert pictures.spark(a_cell(*values)) == ""


def test_one_outlier_among_a_thousand_blocks_is_still_seen():
    drawn = pictures.spark(a_cell(*[100.0] * 612, 300.0, *[100.0] * 387))
    assert len(drawn) <= 24
    assert drawn.count("█") == 1


# ---- in the report ----


@pytest.mark.parametrize("width", [40, 60, 80, 100, 132, 200])
@pytest.mark.parametrize("columns", [COLUMNS, [LINUX, BARE], [HOST, LINUX, BARE], [HOST, BARE, LINUX, NEWER]])
def test_pictures_neither_cut_nor_replace_a_figure_at_any_width(columns, width):
    found = a_report(*columns)
    plain, drawn = (FORMATS.load("terminal")(found, width=width, draw=draw) for draw in (False, True))
    words = {word.strip(",") for word in drawn.split()}
    for figure in figures(found):
        assert {word.strip(",") for word in figure.split()} <= words
    assert max(map(len, drawn.splitlines())) <= width
    assert len(drawn) >= len(plain)
    assert ("Drawn: " in drawn) == ("●" in drawn.partition("Drawn: ")[0] or "▄▄" in drawn.partition("Drawn: ")[0])


def test_a_pair_has_its_pictures_behind_its_words_where_there_is_room_and_else_beneath():
    found = a_report(LINUX, BARE)
    wide, narrow = (FORMATS.load("terminal")(found, width=width, draw=True) for width in (200, 90))
    assert re.search(r"syscall\.getpid.*0\.71x \[0\.71, 0\.71\].*●", wide)
    assert "\ndrawn" not in wide
    assert re.search(r"^ ?syscall\.getpid\s.*●", narrow.partition("\ndrawn")[2], re.MULTILINE)


def test_a_target_without_a_figure_takes_no_room_among_the_pictures_and_bars_are_explained_where_there_are_any():
    found = a_report(HOST, LINUX, BARE)
    (row,) = found.rows
    none = msgspec.structs.replace(row.cells["bare"], median=None, values=(), comparison=None, status="failed")
    alone = msgspec.structs.replace(found, rows=(msgspec.structs.replace(row, cells=row.cells | {"bare": none}),))
    below = (
        FORMATS.load("terminal")(alone, width=150, draw=True).rpartition("\ndrawn")[2].partition("There is no total")[0]
    )
    assert "bare" not in below
    assert "one invocation after the other" in below
    assert "●" not in below
    assert "├──●──┤" in FORMATS.load("terminal")(found, width=150, draw=True)


def test_every_bar_of_a_table_is_on_one_scale():
    found = a_report(*COLUMNS)
    (part,) = tables.of(found)
    pictured = drawings.of_part(found, part)
    scale = drawings.scale_of(pictured, 41)
    ratios = [cell.comparison.ratio for row in part.rows for cell in row.cells.values() if cell.comparison]
    assert scale.low <= min(each.low for each in ratios)
    assert scale.high >= max(each.high for each in ratios)
    assert not math.isclose(scale.low, scale.high)


def test_what_was_counted_is_not_drawn():
    exact = [msgspec.structs.replace(each, exact=True) for each in (LINUX, BARE)]
    assert "●" not in FORMATS.load("terminal")(a_report(*exact), width=200, draw=True)


def test_in_ascii_the_columns_stand_where_they_stood():
    found = a_report(LINUX, BARE)
    rich, poor = (FORMATS.load("terminal")(found, width=200, draw=True, encoding=each) for each in ("utf-8", "ascii"))
    assert poor.isascii()
    (first,), (other,) = ([line for line in text.splitlines() if "0.71x [" in line] for text in (rich, poor))
    assert len(first) == len(other)
    assert first.index("●") == other.index("o", first.index("●"))
