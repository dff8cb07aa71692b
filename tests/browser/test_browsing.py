"""The dashboard as its readers use it: with a mouse, a keyboard alone, on a phone, in the dark, without scripts."""

from __future__ import annotations

import re
import shutil
from urllib.parse import parse_qs, urlsplit

import pytest

from benchproof.web import app
from benchproof.web.headers import Door, Guarded
from runs import history
from test_bundle import complete
from websites import ask, serving
from windows import window_of

OLD, NEW = "20260301T000000Z-00000a", "20260302T000000Z-00000b"
TREND = "/trend?target=linux&benchmark=syscall.getpid&metric=syscall.getpid.latency"
PAGES = ("/", f"/runs/{OLD}", f"/compare?base={OLD}&new={NEW}", "/trends", TREND, "/gates", "/coverage", "/floors")
_CONTRAST = """() => {
    const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (each) => {
        for (let at = each; at; at = at.parentElement) {
            const found = rgb(getComputedStyle(at).backgroundColor);
            if (found.length === 3 || found[3] > 0.5) return found;
        }
        return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
    };
    const weak = [];
    for (const each of document.querySelectorAll('body *')) {
        const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || !each.checkVisibility() || each.closest('svg, [hidden], .skip')) continue;
        const pair = [light(rgb(getComputedStyle(each).color)), light(behind(each))].sort((a, b) => b - a);
        const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
        const named = `${each.tagName}.${each.className} ${each.textContent.trim().slice(0, 40)}`;
        if (ratio < 4.5) weak.push(`${ratio.toFixed(2)}: ${named}`);
    }
    return weak;
}"""
_WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
_UNNAMED = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select')]
    .filter((each) => !(each.textContent.trim() || each.labels?.length || each.getAttribute('aria-label')))
    .map((each) => each.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("browsed")
    history(home, (100.0, 12), (150.0, 12), labels={"commit": "0" * 40, "branch": "main"})
    history(home, (100.0, 2), start=30, labels={"commit": "1" * 40, "branch": "topic"})
    for run_id in (OLD, NEW):
        complete(home / "runs" / run_id)
    return home


@pytest.fixture(scope="module")
def url(home):
    with serving(Guarded(app.create(home, index=None), Door())) as url:
        yield url


def rows(window, table):
    return window.page.locator(f"{table} tbody tr").count()


def query(window):
    return {name: values[0] for name, values in parse_qs(urlsplit(window.page.url).query).items()}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_without_a_complaint_and_asks_nobody_else(path, url, window):
    answer = window.page.goto(url + path)
    assert answer.status == 200
    assert window.page.locator("h1").count() == 1
    assert " - benchproof" in window.page.title()
    assert window.page.evaluate(_UNNAMED) == []
    assert window.complaints == []
    assert window.elsewhere(url) == []


def test_a_filter_is_in_the_url_and_stays_after_reloading(url, window):
    window.page.goto(url)
    all_rows = rows(window, "#runs")
    window.page.get_by_label("Branch").fill("topic")
    window.page.get_by_label("Branch").press("Enter")
    window.page.wait_for_url("**branch=topic*")
    assert rows(window, "#runs") == 2 < all_rows
    window.page.reload()
    assert rows(window, "#runs") == 2
    assert window.page.get_by_label("Branch").input_value() == "topic"
    window.page.go_back()
    assert rows(window, "#runs") == all_rows
    assert window.complaints == []


def test_with_a_keyboard_alone_a_reader_gets_past_the_head_to_a_run(url, window):
    window.page.goto(url)
    window.page.keyboard.press("Tab")
    assert focused(window) == "#main"
    assert window.page.locator(":focus").bounding_box()["y"] >= 0  # it is seen when it has the focus
    window.page.keyboard.press("Enter")
    for _ in range(60):
        window.page.keyboard.press("Tab")
        if focused(window).startswith("/runs/"):
            break
    wanted = focused(window)
    assert window.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
    window.page.keyboard.press("Enter")
    window.page.wait_for_url(f"**{wanted}")
    assert window.complaints == [] or "404" in window.complaints[0]


def focused(window):
    return window.page.evaluate("() => document.activeElement.getAttribute('href') || ''")


def test_two_runs_are_compared_from_the_form(url, window):
    window.page.goto(f"{url}/compare")
    window.page.get_by_label("Base run").fill(OLD)
    window.page.get_by_label("New run").fill(NEW)
    window.page.get_by_role("button", name="Compare").click()
    window.page.wait_for_url(f"**base={OLD}*")
    assert query(window)["new"] == NEW
    assert "undecided" in window.page.locator("table.versus").first.inner_text()
    assert window.complaints == []


def test_dragging_over_a_trend_shows_the_runs_beneath_and_only_those(url, window):
    window.page.goto(url + TREND)
    before = rows(window, "table.points")
    box = window.page.locator("figure.zoom svg").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    window.page.mouse.move(box["x"] + box["width"] * 0.2, middle)
    window.page.mouse.down()
    window.page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
    window.page.mouse.up()
    window.page.wait_for_url("**from=*")
    assert query(window)["from"] < query(window)["to"]
    assert 0 < rows(window, "table.points") < before
    window.page.locator("#all").click()
    window.page.wait_for_url(re.compile("^[^?]*[?](?!.*from=)"))
    assert rows(window, "table.points") == before
    assert window.complaints == []


def test_without_scripts_every_page_says_the_same(browser, url):
    with window_of(browser, java_script_enabled=False) as window:
        for path in PAGES:
            window.page.goto(url + path)
            assert window.page.locator("main").inner_text().strip()
        window.page.goto(f"{url}{TREND}&from=2026-01-05&to=2026-01-08")
        assert 0 < rows(window, "table.points") < 8
        assert window.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_no_page_is_wider_than_the_screen_and_its_text_can_be_read(browser, url, scheme):
    with window_of(browser, viewport={"width": 360, "height": 740}, color_scheme=scheme) as window:
        for path in PAGES:
            window.page.goto(url + path)
            assert window.page.evaluate(_WIDER) <= 0, path
            assert window.page.evaluate(_CONTRAST) == [], path
        assert window.complaints == []


def test_dark_is_dark_and_light_is_light(browser, url):
    seen = {}
    for scheme in ("light", "dark"):
        with window_of(browser, color_scheme=scheme) as window:
            window.page.goto(url)
            seen[scheme] = window.page.evaluate("() => getComputedStyle(document.body).color")
    assert (
        sum(map(int, re.findall(r"\d+", seen["dark"])[:3])) > 380 > sum(map(int, re.findall(r"\d+", seen["light"])[:3]))
    )


def test_text_that_cannot_be_read_is_noticed(url, window):
    window.page.goto(url)
    assert window.page.evaluate(_CONTRAST) == []
    window.page.evaluate("() => { document.querySelector('h1').style.color = '#ccc' }")
    assert len(window.page.evaluate(_CONTRAST)) == 1


def test_a_run_that_vanishes_between_two_clicks_is_a_page_that_says_so(tmp_path, window):
    run = complete(tmp_path / "runs" / OLD)
    with serving(Guarded(app.create(tmp_path, index=None), Door())) as url:
        window.page.goto(url)
        shutil.rmtree(run)
        window.page.get_by_role("link", name=OLD).click()
        assert (
            "not there any more" in window.page.locator("#reason").inner_text()
            or "no run" in window.page.locator("#reason").inner_text()
        )
        assert ask(url + "/")[0] == 200
