"""The page where it is read: a phone, a wide screen, paper; without scripts and without a network."""

from __future__ import annotations

import pytest

import pages
from benchproof.reporters import FORMATS

WIDTHS = {"phone": 360, "tablet": 768, "wide": 1280}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(FORMATS.load("html")(pages.report()), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, file):
    made = []

    def opened(width="wide", path=file, **options):
        asked = []
        context = browser.new_context(viewport={"width": WIDTHS[width], "height": 800}, **options)
        made.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: asked.append(message.text))
        page.goto(path.as_uri())
        return page, asked

    yield opened
    for context in made:
        context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_never_wider_than_the_screen(opened, width):
    page, _ = opened(width, java_script_enabled=True)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("width", WIDTHS)
def test_names_that_nobody_would_choose_make_it_no_wider(opened, width, tmp_path):
    path = tmp_path / "long.html"
    path.write_text(FORMATS.load("html")(pages.hostile(pages.report(), "x" * 5000)), encoding="utf-8")
    page, _ = opened(width, path=path)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_width_is_measured_a_page_that_is_too_wide_is_noticed(opened):
    page, _ = opened("phone")
    page.evaluate("document.body.style.width = '900px'")
    assert page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_nothing_is_asked_of_a_network_and_the_policy_of_the_page_holds(opened, file):
    _, asked = opened()
    assert asked == [file.as_uri()]  # a refused style would be told on the console


def test_a_hostile_bundle_runs_nothing(opened, tmp_path):
    path = tmp_path / "hostile.html"
    more = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    path.write_text(FORMATS.load("html")(pages.hostile(pages.report(), more)), encoding="utf-8")
    page, asked = opened(path=path)
    assert page.locator("img, script, iframe, object").count() == 0
    assert not page.title().startswith("owned")
    assert asked == [path.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_reader(opened, scheme):
    page, _ = opened(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_paper_is_white_and_has_no_navigation_whatever_the_screen_is(opened):
    page, _ = opened(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_keyboard_comes_first_to_the_way_past_the_navigation_and_opens_what_is_folded(opened):
    page, _ = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.evaluate("getComputedStyle(document.activeElement).left") != "-1600px"
    page.locator("#evidence summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#e0-0").is_visible()


def test_a_figure_leads_into_the_folded_evidence(opened):
    page, _ = opened()
    assert not page.locator("#e0-1").is_visible()
    page.locator("#glance td a[href='#e0-1']").click()
    page.wait_for_function("document.querySelector('#evidence details').open")
    assert page.locator("#e0-1").is_visible()


def test_a_line_of_results_is_opened_where_the_page_lies_beside_the_runs(opened, file):
    folder = file.parent / "runs" / pages.report().run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_text('{"block":0}\n')
    page, _ = opened()
    link = page.locator("#e0-0 a").first.evaluate("each => each.href")
    assert link == f"{(folder / 'results.jsonl').as_uri()}#L1"


OVERLAPS = """() => [...document.querySelectorAll('svg.chart')].flatMap(chart => {
    const texts = [...chart.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect()]);
    const meet = (p, q) => p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 3 && q.top < p.bottom - 3;
    return texts.flatMap(([one, p], at) => texts.slice(at + 1)
        .filter(([, q]) => meet(p, q))
        .map(([other]) => `${chart.querySelector('title').textContent}: ${one} / ${other}`));
})"""


@pytest.mark.parametrize("width", ["phone", "wide"])
def test_no_words_of_a_chart_are_written_over_each_other(opened, width):
    page, _ = opened(width)
    assert page.evaluate(OVERLAPS) == []
    page.evaluate("document.querySelectorAll('svg.chart text').forEach(each => each.setAttribute('y', 10))")
    assert page.evaluate(OVERLAPS)
