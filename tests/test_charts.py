"""Charts and the markup that they are made of: what is hostile stays text, what is extreme stays within the frame."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import msgspec
import pytest

from benchproof.analysis import stats
from benchproof.analysis.compare import Comparison
from benchproof.analysis.stats import Interval
from benchproof.analysis.trend import Epoch, Point, Series, judge
from benchproof.charts import distribution, forest, lanes, palette, scaling, sequence, spark, svg, trend
from benchproof.charts.lanes import Lane
from benchproof.markup import Markup, element, join, text, visible
from benchproof.reporters import layout

HOSTILE = "</text><script>alert(1)</script>\"' onload=x ]]> \u202e \x00\x1b[31m \ud800 & \\"


def series(*epochs, verified=True):
    """One series; each epoch a tuple of values."""
    return Series(
        target="linux",
        benchmark="syscall.getpid",
        metric="syscall.getpid.latency",
        parameters="{}",
        epochs=tuple(
            Epoch(
                facts={"machine": str(number)},
                unit="ns",
                better="lower",
                clock="target",
                points=tuple(Point(f"run-{number}-{place}", "c0ffee", v, verified) for place, v in enumerate(values)),
            )
            for number, values in enumerate(epochs)
        ),
    )


def drawn(one, **options):
    return trend.draw(judge([one], points=True)[0], say=layout.amount, **options)


def names(markup):
    return [each.tag.rpartition("}")[2] for each in ET.fromstring(markup).iter()]  # noqa: S314 - our own


def test_text_cannot_become_an_element_an_attribute_or_an_entity():
    found = ET.fromstring(element("p", HOSTILE, title=HOSTILE))  # noqa: S314 - our own
    assert list(found) == []
    assert found.attrib.keys() == {"title"}
    assert found.text == found.attrib["title"] == visible(HOSTILE)


def test_what_nobody_can_see_is_shown_as_its_escape():
    assert visible("a\nb\x1b\u202e\ud800") == "a b\\x1b\\u202e\\ud800"
    assert len(visible("x" * 10_000)) == 2000


def test_only_markup_is_not_escaped_again():
    assert text(text("<")) == "&lt;"
    assert join(["<", Markup("<br>")], " & ") == "&lt; &amp; <br>"


@pytest.mark.parametrize("name", ["a b", "p onload=x", "", "<p"])
def test_a_name_of_an_element_or_attribute_is_never_text_from_elsewhere(name):
    with pytest.raises(ValueError, match="no name"):
        element(name)
    with pytest.raises(ValueError, match="no name"):
        element("p", **{name or "-": "x"})


@pytest.mark.parametrize("scheme", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_every_colour_has_the_contrast_of_aa_on_every_ground(scheme):
    for ground in palette.GROUNDS:
        for name in palette.TEXTS:
            assert palette.contrast(scheme[name], scheme[ground]) >= 4.5, (name, ground)
        for name in palette.SERIES:
            assert palette.contrast(scheme[name], scheme[ground]) >= 3, (name, ground)
    assert palette.contrast(scheme["ink"], scheme["band"]) >= 4.5


def test_the_contrast_is_that_of_the_standard_and_a_pale_grey_would_not_pass():
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert palette.contrast("#aaaaaa", "#ffffff") < 3


def test_every_class_of_a_colour_is_in_the_style_sheet_in_both_schemes():
    css = palette.css()
    assert css.count("--s0:") == 3
    assert "prefers-color-scheme:dark" in css
    assert "@media print" in css
    assert palette.LIGHT.keys() == palette.DARK.keys()


@pytest.mark.parametrize(
    "values",
    [
        (0.0,),
        (5.0, 5.0),
        (1.7e308, -1.7e308),
        (1.7e308,),
        (5e-324, 1e-323),
        (1e300, 1.0000000001e300),
        (-3.0, 0.0, 7.0),
    ],
)
def test_every_value_has_a_place_between_the_ends_and_ticks_are_few(values):
    for made in (svg.scale(values, start=2, end=98), svg.log_scale(values, start=2, end=98)):
        places = [made.at(each) for each in values]
        assert all(2 <= place <= 98 for place in places)
        ticks = made.ticks(5)
        assert len(ticks) <= 14
        assert all(math.isfinite(tick) for tick in ticks)


def test_ticks_are_round_and_within_the_scale():
    assert svg.Scale(0.0, 10.0, 0, 100).ticks(5) == (0, 2, 4, 6, 8, 10)
    assert svg.Scale(0.1, 100.0, 0, 100, logarithmic=True).ticks(5) == (0.1, 1.0, 10.0, 100.0)
    assert svg.Scale(0.8, 1.3, 0, 100, logarithmic=True).ticks(5) == pytest.approx((0.8, 0.9, 1.0, 1.1, 1.2, 1.3))


def test_a_trend_marks_its_change_with_direction_runs_and_size():
    found = drawn(series([100.0 + n % 3 for n in range(30)] + [150.0 + n % 3 for n in range(30)]))
    assert "worse +49" in found
    assert "between run-0-29 and run-0-30, confirmed" in found
    assert names(found).count("circle") == 60


def test_epochs_are_stretches_apart_and_no_line_leads_from_one_to_the_next():
    whole = drawn(series([1.0, 1.1, 1.2, 1.3]))
    parted = drawn(series([1.0, 1.1], [1.2, 1.3]))
    assert "new epoch" in parted
    assert "new epoch" not in whole
    assert whole.count("thin s0") == 3
    assert parted.count("thin s0") == 2


def test_what_nobody_verified_has_another_shape_and_says_so():
    found = drawn(series([1.0, 2.0], verified=False))
    assert "not verified" in found
    assert "circle" not in names(found)
    assert found.count("hollow") == 2


def test_a_trend_leads_to_its_runs_and_shows_the_newest_of_too_many():
    found = drawn(series([float(n % 7) for n in range(1500)]), href=lambda point: f"/runs/{point.run}")
    assert found.count('href="/runs/run-0-') == trend.MOST_POINTS
    assert "/runs/run-0-1499" in found
    assert "/runs/run-0-0&" not in found


def test_a_trend_without_points_says_so():
    assert "no points" in trend.draw(judge([series([1.0])])[0], say=layout.amount)


def test_a_hostile_name_of_a_run_or_metric_stays_text():
    one = series([1.0, 2.0])
    point = Point(HOSTILE, HOSTILE, 3.0)
    epoch = Epoch(facts={}, unit="ns", better="lower", clock="target", points=(point, point))
    bad = Series(target=HOSTILE, benchmark=HOSTILE, metric=HOSTILE, parameters=HOSTILE, epochs=(epoch,))
    found = drawn(bad, href=lambda each: f"/runs/{each.run}")
    assert set(names(found)) == set(names(drawn(one, href=lambda each: f"/runs/{each.run}")))
    assert not re.search(r"<script|\son\w+=\"", found)


def test_a_place_across_is_a_share_of_the_width_and_never_beyond_it():
    found = drawn(series([1.0, 2.0, 3.0], [9.0, 1e300]))
    places = [float(each) for each in re.findall(r'(?:x|cx|x1|x2)="([-\d.]+)%"', found)]
    assert places
    assert all(0 <= each <= 100 for each in places)


# ---- the charts of a report ----


def compared(verdict="slower", low=1.9, high=2.1, **more):
    ratio = Interval(estimate=(low + high) / 2, low=low, high=high, confidence=0.95, n=6)
    return Comparison(verdict=verdict, ratio=ratio, margin=0.02, **more)


def lane(*values, series=0, **more):
    blocks, links = tuple(range(len(values))), tuple(f"#e-{number}" for number in range(len(values)))
    return Lane(
        name="linux", series=series, values=values, blocks=blocks, links=links, median=stats.median(values), **more
    )


def say(value):
    return layout.amount(value, "ns")


def xs(found, name, attribute):
    return [
        float(each.get(attribute).rstrip("%"))
        for each in ET.fromstring(found).iter()  # noqa: S314 - our own
        if each.tag.endswith(f"}}{name}")
    ]


def test_each_verdict_has_a_mark_of_its_own_in_the_forest_plot():
    on = forest.scale([compared()])
    words = ("faster", "slower", "same", "undecided")
    drawn = [forest.strip(compared(word), on, title="t", said="s") for word in words]
    shapes = [re.findall(r'<path d="([^"]+)"', each) or ["circle"] for each in drawn]
    assert len({tuple(each) for each in shapes}) == len(words)


def test_the_forest_plot_has_one_and_the_margin_and_the_interval_in_their_order():
    comparison = compared(low=1.5, high=3.0, floor=0.1)
    on = forest.scale([comparison])
    assert 2 <= on.at(1 / 1.02) < on.at(1) < on.at(1.02) < on.at(1.5) < on.at(3.0) <= 98
    found = forest.strip(comparison, on, title="t", said="slower: 2.00x", href="#e0-1")
    assert found.count("floor") == 1
    assert "floor" not in forest.strip(compared(), on, title="t", said="s")
    assert 'href="#e0-1"' in found
    assert "slower: 2.00x" in found


def test_a_ratio_and_its_inverse_are_as_far_from_one_on_either_side():
    on = forest.scale([compared(low=0.5, high=2.0)])
    assert on.at(1) - on.at(0.5) == pytest.approx(on.at(2.0) - on.at(1))


def test_a_distribution_has_every_invocation_its_median_and_its_interval():
    found = distribution.draw("t", [lane(1.0, 2.0, 3.0, interval=(1.0, 3.0))], say)
    assert [f"#e-{number}" for number in range(3)] == re.findall(r'href="([^"]+)"', found)
    assert xs(found, "circle", "cx") == sorted(xs(found, "circle", "cx"))
    assert found.count("span s0") == 1
    assert "median 2.000 ns of 3, 1.000 ns to 3.000 ns" in found


def test_a_distribution_over_decades_is_logarithmic_and_says_so():
    assert "log scale" in distribution.draw("t", [lane(1.0, 2.0), lane(1000.0, series=1)], say)
    assert "log scale" not in distribution.draw("t", [lane(1.0, 2.0)], say)


def test_what_is_far_out_is_hollow_and_what_nobody_verified_too():
    assert distribution.draw("t", [lane(1.0, 1.0, 9.0, outliers=(2,))], say).count("hollow") == 1
    assert sequence.draw("t", [lane(1.0, 1.0, verified=False)], say).count("hollow") == 2


def test_drift_is_a_slope_in_the_sequence_whatever_the_other_targets_are():
    found = sequence.draw("t", [lane(100.0, 110.0, 120.0), lane(1e6, 1e6, 1e6, series=1)], say)
    heights = xs(found, "circle", "cy")
    assert heights == sorted(heights, reverse=True)
    assert heights[0] - heights[-1] > 10


def test_noise_of_a_thousandth_does_not_look_like_drift():
    heights = xs(sequence.draw("t", [lane(100.0, 100.1, 99.9)], say), "circle", "cy")
    assert max(heights) - min(heights) < 1


def test_a_block_without_a_value_is_a_gap_in_the_sequence():
    holed = msgspec.structs.replace(lane(1.0, 1.0, 1.0), blocks=(0, 1, 5))
    places = xs(sequence.draw("t", [holed], say), "circle", "cx")
    assert places[2] - places[1] == pytest.approx(4 * (places[1] - places[0]), rel=0.01)


def test_of_too_many_points_the_first_are_drawn_and_the_chart_says_so():
    found = distribution.draw("t", [lane(*(float(n % 7) for n in range(500)))], say)
    assert names(found).count("circle") == lanes.MOST_POINTS
    assert "the first 200 are drawn" in found


def test_a_curve_goes_through_what_was_measured_and_a_law_is_dashed_without_marks():
    measured = scaling.Curve(name="linux", series=0, points=((1, 1.0), (2, 1.9)), spans={2: (1.8, 2.0)})
    law = scaling.Curve(name="law", series=0, points=((1, 1.0), (2, 2.0)), measured=False)
    found = scaling.draw("t", [measured, law], ticks=[(1, "1"), (2, "2")], across="CPUs", say=lambda v: f"{v:g}x")
    assert found.count("<circle") == 3  # two values and the legend
    assert found.count("dashed") == 2  # the law and its legend
    assert "linux: 1 1x, 2 1.9x; law: 1 1x, 2 2x" in found


def test_a_spark_marks_its_last_value_and_without_values_is_empty():
    assert names(spark.draw([1.0, 2.0, 1.5], title="t", said="s")).count("circle") == 1
    assert names(spark.draw([], title="t", said="s")) == ["svg", "title", "desc"]
    assert names(spark.draw([float(n) for n in range(500)], title="t", said="s")).count("line") == spark.MOST_POINTS - 1


@pytest.mark.parametrize(
    ("said", "shown"),
    [("2.500 us", "2.5 us"), ("100.0 ns", "100 ns"), ("1,000 ns", "1,000 ns"), ("10.00 MB/s", "10 MB/s"), ("0", "0")],
)
def test_a_tick_is_written_without_the_zeros_behind_its_point(said, shown):
    assert svg.tick(said) == shown


def test_ticks_too_near_to_be_read_are_left_out():
    assert list(svg.spaced([(0, 1.0), (10, 2.0), (30, 3.0), (50, 4.0)], 25)) == [(0, 1.0), (30, 3.0)]
