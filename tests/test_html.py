"""The page: everything has its place, nothing from a bundle becomes markup, nothing is said by colour alone."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest

import pages
from benchproof.analysis.stats import Interval
from benchproof.markup import visible
from benchproof.reporters import FORMATS, layout
from benchproof.reporters.html import parts, style
from exports import HOSTILE

MOST_BYTES = 1_500_000
QUANTILES = "http.get.latency: quantiles"
SECTIONS = (
    "compared",
    "glance",
    "correctness",
    "ratios",
    "cases",
    "curves",
    "exact",
    "gates",
    "causes",
    "profiles",
    "published",
    "doubts",
    "method",
    "envelope",
    "evidence",
)


def render(report):
    return FORMATS.load("html")(report)


def tree(page):
    """The page is XML, too: nothing is left to the repairs of a browser."""
    doctype, _, rest = page.partition("\n")
    assert doctype == "<!doctype html>"
    return ET.fromstring(rest)  # noqa: S314 - our own page


def local(element):
    return element.tag.rpartition("}")[2]


def elements(page, name):
    return [each for each in tree(page).iter() if local(each) == name]


def words(element):
    return " ".join("".join(element.itertext()).split())


@pytest.fixture(scope="module")
def page():
    return render(pages.report())


class Seen(HTMLParser):
    """What a browser's reader makes of the page: every element with its attributes, in order."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, tuple(name for name, _ in attrs)))


# ---- what is there, and in which order ----


def test_sections_come_in_the_order_in_which_a_stranger_asks(page):
    found = [each.get("id") for each in elements(page, "section")]
    assert found == list(SECTIONS)


def test_a_section_without_content_is_left_out():
    plain = msgspec.structs.replace(
        pages.report(), gates=(), scaling=(), crowds=(), profiles=(), published=(), hints=(), stages=()
    )
    found = {each.get("id") for each in elements(render(plain), "section")}
    assert not found & {"gates", "profiles", "published", "causes"}
    assert {"compared", "glance", "evidence"} <= found


def test_the_first_section_says_what_was_compared_under_what_and_what_came_out(page):
    first = words(elements(page, "section")[0])
    assert "mine [debug build] against base" in first
    assert "faster in 1, slower in 1, same in 1, undecided in 1 of 4 metrics" in first
    assert "a CPU, 2 CPUs, 1,000 KiB of memory" in first
    assert "95% interval" in first
    assert "a doubt" in first
    assert "slower on purpose: syscall.slow" in first
    report = pages.report()
    assert f"{report.passed} of {report.total} cells have a verified figure" in first


def test_what_could_not_be_measured_is_told_with_its_reason_and_the_way_out(page):
    told = words(next(each for each in elements(page, "section") if each.get("id") == "correctness"))
    assert "no network; to get it: give it one" in told
    assert "a wrong answer" in told
    assert "smoke.echo failed: silence" in told
    assert layout.coverage(pages.report()) in told


def test_what_has_no_figure_is_its_status_and_never_a_number(page):
    entry = next(each for each in elements(page, "tr") if words(each).startswith("net.rtt"))
    cells = [words(each) for each in entry if local(each) == "td"]
    assert cells == ["invalid [2]", "unsupported [3]", "failed [4]"]


def test_instructions_stand_in_a_table_apart(page):
    by_key = {each.get("id"): words(each) for each in elements(page, "section")}
    assert "346" in by_key["exact"]
    assert "346" not in by_key["glance"]


def test_every_fact_hash_and_command_of_an_envelope_is_there(page):
    appendix = words(next(each for each in elements(page, "section") if each.get("id") == "envelope"))
    assert all(each in appendix for each in ("bwrap --ro-bind / /", "qemu-system-x86_64 -M pc", "sha256:x", "sha256:z"))


# ---- every figure leads to its lines ----


def test_every_link_within_the_page_has_its_end_and_every_end_is_one(page):
    ends = [each.get("id") for each in tree(page).iter() if each.get("id")]
    links = {each.get("href")[1:] for each in tree(page).iter() if each.get("href", "").startswith("#")}
    assert len(ends) == len(set(ends))
    assert links <= set(ends)


def test_every_cell_has_an_entry_with_the_lines_of_its_values(page):
    report = pages.report()
    for number, row in enumerate(report.rows):
        for target, cell in row.cells.items():
            column = [each.target for each in report.columns].index(target)
            assert f'href="#e{number}-{column}"' in page
            entry = next(each for each in elements(page, "tr") if each.get("id") == f"e{number}-{column}")
            links = [each.get("href") for each in entry.iter() if local(each) == "a"]
            assert links == [f"runs/{report.run_id}/results.jsonl#L{line}" for line in cell.lines]


def test_every_point_of_a_chart_leads_to_the_value_it_is(page):
    report = pages.report()
    column = [each.target for each in report.columns].index("mine")
    for place in range(6):
        assert page.count(f'href="#e0-{column}-{place}"') == 2  # distribution and sequence
        assert f'id="e0-{column}-{place}"' in page


def test_a_report_of_a_version_without_lines_has_its_page_too():
    report = pages.report()
    rows = tuple(
        msgspec.structs.replace(
            row, cells={key: msgspec.structs.replace(each, lines=(), blocks=()) for key, each in row.cells.items()}
        )
        for row in report.rows
    )
    assert "results.jsonl#L" not in render(msgspec.structs.replace(report, rows=rows))


# ---- hostile bundles ----


@pytest.mark.parametrize("more", [HOSTILE, "]]>--><svg onload=x>", "\u202e'\"<", "x" * 10_000])
def test_no_word_of_a_bundle_adds_an_element_or_an_attribute(more, page):
    found = render(pages.hostile(pages.report(), more))
    tree(found)
    known = set(Seen(page).found) | {("span", ())}  # a name that is no path is no link
    assert set(Seen(found).found) <= known
    assert [tag for tag, _ in Seen(found).found].count("script") == 0
    links = {each.get("href") for each in tree(found).iter() if each.get("href")}
    assert all(each.startswith("#") for each in links)  # the run's id is no path any more
    assert visible(more, most=60)[:50] in "".join(tree(found).itertext())


def test_the_suite_of_hostile_words_would_notice_one_that_is_not_escaped(page, monkeypatch):
    monkeypatch.setattr("benchproof.markup._ENTITIES", {})
    found = render(pages.hostile(pages.report()))
    assert not set(Seen(found).found) <= set(Seen(page).found)


def test_names_that_are_too_long_are_cut_and_the_page_stays_small():
    assert len(render(pages.hostile(pages.report(), "x" * 10_000))) < MOST_BYTES


@pytest.mark.parametrize("value", [0.0, 5e-324, 1e308, -1e308])
def test_a_value_as_large_or_small_as_a_float_can_be_has_its_place(value):
    extreme = Interval(value, -1e308, 1e308, 0.95, 6)

    def bent(cell):
        if not cell.values:
            return cell
        comparison = cell.comparison and msgspec.structs.replace(cell.comparison, ratio=extreme, margin=abs(value))
        values = (value, *cell.values[1:])
        return msgspec.structs.replace(
            cell, values=values, median=value, intervals={"median": extreme}, comparison=comparison
        )

    report = pages.report()
    rows = tuple(
        msgspec.structs.replace(row, cells={key: bent(each) for key, each in row.cells.items()}) for row in report.rows
    )
    found = render(msgspec.structs.replace(report, rows=rows))
    places = re.findall(r' (?:c?x|[xy][12]|c?y)="([^"%]+)%?"', found)
    assert places
    assert all(math.isfinite(float(each)) for each in places)


def test_nothing_is_loaded_and_nothing_is_run(page):
    assert not re.search(r"<script|src=|url\(|@import|javascript:", page)
    policy = next(each for each in elements(page, "meta") if each.get("http-equiv")).get("content")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


# ---- for everyone ----


def test_there_are_landmarks_a_title_a_language_and_a_way_past_the_navigation(page):
    whole = tree(page)
    assert whole.get("lang") == "en"
    assert words(elements(page, "title")[0]).startswith("benchproof: ")
    assert [local(each) for each in whole.find("body")] == ["a", "svg", "header", "nav", "main", "footer"]
    assert whole.find("body")[0].get("href") == "#compared"
    for each in elements(page, "section"):
        assert each.get("aria-labelledby") in {one.get("id") for one in each}


def test_no_heading_skips_a_level(page):
    levels = [int(local(each)[1]) for each in tree(page).iter() if re.fullmatch("h[1-6]", local(each))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(new <= old + 1 for old, new in itertools.pairwise(levels))


def test_every_table_has_a_caption_and_every_head_a_scope(page):
    for table in elements(page, "table"):
        assert local(table[0]) == "caption"
        assert words(table[0])
    assert all(each.get("scope") in {"col", "row", "rowgroup"} for each in elements(page, "th"))


def test_every_chart_has_a_name_and_a_description_and_every_icon_is_silent(page):
    charts = [each for each in elements(page, "svg") if (each.get("class") or "").startswith("chart")]
    assert len(charts) > 20
    for each in charts:
        assert each.get("role") == "img"
        assert [local(one) for one in each[:2]] == ["title", "desc"]
        assert all(words(one) for one in each[:2])
    icons = [each for each in elements(page, "svg") if each.get("class") == "icon"]
    assert all(each.get("aria-hidden") == "true" for each in icons)


def test_no_two_statuses_and_no_two_verdicts_have_one_shape_and_each_has_its_word(page):
    for signs in (parts._STATUSES, parts._VERDICTS):
        assert len({shape for _, shape in signs.values()}) == len(signs)
    badges = [each for each in elements(page, "span") if (each.get("class") or "").startswith("badge")]
    assert badges
    assert all(words(each) for each in badges)


def test_what_is_scrolled_is_reached_by_the_keyboard_and_points_are_no_stops(page):
    frames = [each for each in elements(page, "div") if each.get("class") == "scroll"]
    assert all((each.get("tabindex"), each.get("role")) == ("0", "group") for each in frames)
    points = [each for each in elements(page, "a") if each.get("tabindex") == "-1"]
    assert len(points) > 100


def test_colours_are_those_of_the_palette_alone():
    assert not re.search(r"#[0-9a-f]{3,8}\b", style._PAGE)


# ---- size ----


def grown(targets, benchmarks, blocks):
    """As large as a run of so many."""
    report, names = pages.report(), [f"target-{number}" for number in range(targets)]
    rows = tuple(
        pages.row(
            f"syscall.call_{number}",
            {
                name: pages.cell(100.0 + number, blocks=blocks, seed=name, comparison=pages.ratio("slower", 1.2))
                for name in names
            },
        )
        for number in range(benchmarks)
    )
    facts = {key: {f"fact_{n}": "value " * 20 for n in range(20)} for key in ("host", "machine", "system", "probe")}
    columns = tuple(msgspec.structs.replace(report.columns[0], target=name, reference=names[0]) for name in names)
    return msgspec.structs.replace(report, rows=rows, columns=columns, envelopes={"sha256:x": facts})


def test_the_page_of_a_run_as_large_as_the_default_is_within_its_budget():
    assert len(render(grown(4, 16, 10)).encode()) < MOST_BYTES


def test_the_page_of_a_run_with_many_blocks_does_not_grow_with_them():
    some, many = (len(render(grown(2, 2, blocks))) for blocks in (200, 2000))
    assert many < some * 1.1


def test_the_page_of_a_run_with_many_cases_draws_the_first_and_tells_of_all():
    found = render(grown(1, 160, 1))
    assert "The first 150 of 160 cases are drawn" in found
    assert "syscall.call_159" in found


def test_a_width_that_no_machine_has_makes_no_curve_without_end():
    report = pages.report()
    (row,) = report.scaling
    steps = (*row.steps[:-1], msgspec.structs.replace(row.steps[-1], width=10**12))
    assert len(render(msgspec.structs.replace(report, scaling=(msgspec.structs.replace(row, steps=steps),)))) < 10**6


def test_the_quantiles_of_a_metric_are_one_chart_with_its_median(page):
    charts = [words(each[1]) for each in elements(page, "svg") if words(each[0] if len(each) else each) == QUANTILES]
    assert len(charts) == 1
    assert re.fullmatch(
        r"base: median [\d,.]+ us, p99 [\d,.]+ us; mine.*: median [\d,.]+ us, p99 [\d,.]+ us", charts[0]
    )


def test_nothing_is_escaped_twice(page):
    assert not re.search(r"&lt;/?(span|a|code|svg)|&amp;(lt|gt|amp|quot|#39);", page)


def test_the_commands_that_check_it_are_there_line_by_line(page):
    (commands,) = elements(page, "pre")
    assert "".join(commands.itertext()).splitlines()[:2] == [
        f"benchproof verify runs/{pages.report().run_id}",
        f"benchproof report runs/{pages.report().run_id} --format html",
    ]


def test_a_command_that_is_copied_into_a_shell_has_a_bundles_words_as_words():
    report = pages.hostile(pages.report(), "; touch 'owned' $(touch owned) `touch owned`")
    report = msgspec.structs.replace(report, columns=report.columns[:3], rows=report.rows[:1])
    (commands,) = elements(render(report), "pre")
    for line in "".join(commands.itertext()).splitlines():
        split = shlex.split(line, comments=True)
        assert split[:2] == ["benchproof", split[1]]
        assert "touch" not in split
        assert any("$(touch owned)" in word for word in split)


def test_targets_that_lack_the_same_for_the_same_reason_share_a_line():
    report = pages.report()
    cells = {name: pages.lacking("unsupported", "no network") for name in ("base", "mine")}
    rows = (*report.rows, *(pages.row(f"net.{word}", cells, unit=None) for word in ("tcp", "udp")))
    found = elements(render(msgspec.structs.replace(report, rows=rows)), "tr")
    (line,) = [each for each in found if words(each).endswith("no networklogs/a")]
    assert [words(each) for each in line][1:3] == ["base, mine [debug build]", "net.tcp, net.udp"]
