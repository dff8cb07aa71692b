"""No text that comes in a bundle is ever more than text: in what the server sends, and in a real browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import quote, urlsplit

import pytest

from benchproof import report
from benchproof.reporters import html
from benchproof.store import bundle
from benchproof.web import app
from benchproof.web.headers import Door, Guarded
from hostile import OWNED, PAYLOADS, store
from websites import ask, serving

_MOST_PAGES = 300
_NO_PAGES = (
    "application/json",
    "application/octet-stream",
    "application/openmetrics-text",
    "image/svg+xml",
    "text/css",
    "text/plain",
)
_WRITTEN = tuple(PAYLOADS.values())
_FIELD = re.compile("«[^»]*»")
_HARMFUL = "script:not([src]), iframe, img[src='x'], [onload], [onerror], [onmouseover], [onfocus], [autofocus], base"
_PROVOKE = """() => {
    for (const each of document.querySelectorAll('*'))
        for (const kind of ['mouseover', 'focus', 'error', 'load']) each.dispatchEvent(new Event(kind))
}"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return folder, store(folder)


@pytest.fixture(scope="module")
def url(runs):
    with serving(Guarded(app.create(runs[0], index=None), Door())) as url:
        yield url


class Markup(HTMLParser):
    """What a browser would make of a page: elements, attributes, and text."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        if tag in {"iframe", "object", "embed", "base"} or (tag == "script" and "src" not in known):
            self.wrong.append(f"<{tag}>")
        self.wrong += [f"<{tag} {name}>" for name in known if name.startswith("on") or name in {"style", "autofocus"}]
        for name in ("href", "src", "action"):
            target = known.get(name) or ""
            self.links += [target] if name == "href" and target.startswith("/") else []
            if urlsplit(target).scheme or target.startswith("//"):
                self.wrong.append(f"<{tag} {name}={target[:60]}>")
        self.texts += [text for name, text in known.items() if text and name not in {"href", "src", "action"}]

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        self.wrong.append(f"<!--{data[:40]}-->")


def literal(text):
    """Whether each field in it is followed by a payload as it was written, or by the beginning of one."""
    for match in _FIELD.finditer(text):
        rest = unquoted(text[match.end() :])
        if not any(rest.startswith(each) or each.startswith(rest.rstrip(".…")[:8]) for each in map(unquoted, _WRITTEN)):
            return False
    return True


def unquoted(text):
    """Without what messages put before quotes in the way of Python, and commands in the way of a shell."""
    return text.replace("\\", "").replace("'\"'\"'", "'")


def crawled(url):
    """Every page that links lead to from the first, as (path, media type, content)."""
    seen, new, found = set(), ["/"], []
    while new and len(seen) < _MOST_PAGES:
        path = new.pop(0)
        seen.add(path)
        status, headers, content = ask(url + path)
        found.append((path, status, headers["Content-Type"], content))
        if headers["Content-Type"].startswith("text/html"):
            new += [link for link in Markup(content.decode()).links if link not in seen and link not in new]
    return found


@pytest.fixture(scope="module")
def pages(url):
    return crawled(url)


def is_page(kind):
    return kind.startswith("text/html")


def test_every_page_is_reached_and_none_is_an_error_of_ours(pages, runs):
    paths = {path for path, *_ in pages}
    assert {f"/runs/{run_id}" for each in runs[1].values() for run_id in each} <= paths
    assert [path for path, status, *_ in pages if status >= 500] == []


def test_no_page_has_an_element_or_an_attribute_from_a_bundle(pages):
    wrong = {path: Markup(content.decode()).wrong for path, _, kind, content in pages if is_page(kind)}
    assert {path: found for path, found in wrong.items() if found} == {}


def test_every_text_of_a_bundle_is_shown_as_it_was_written(pages):
    texts = [
        (path, text) for path, _, kind, content in pages if is_page(kind) for text in Markup(content.decode()).texts
    ]
    assert [(path, text[:200]) for path, text in texts if not literal(text)] == []
    shown = {field for _, text in texts for field in _FIELD.findall(text)}
    assert {"«target»", "«violation»", "«unsupported»", "«label machine»", "«benchmark»"} <= shown


def test_what_is_no_page_is_nothing_that_a_browser_runs(pages):
    kinds = {kind.partition(";")[0] for _, status, kind, _ in pages if status == 200 and not is_page(kind)}
    assert kinds <= {*_NO_PAGES}


def test_no_page_says_where_on_the_disk_of_the_server_the_runs_are(pages, runs):
    assert [path for path, *_, content in pages if str(runs[0]).encode() in content] == []
    assert any(b"left out" in content for *_, content in pages)


def visit(window, url, path):
    window.page.goto(url + path)
    window.page.evaluate(_PROVOKE)
    owned = window.page.evaluate(OWNED)
    assert owned is None, (path, owned)
    assert window.page.locator(_HARMFUL).count() == 0, path


def test_a_report_that_is_one_file_has_nothing_from_a_bundle_either(runs, window, tmp_path):
    folder, ids = runs
    for run_id in (each for some in ids.values() for each in some):
        page = tmp_path / f"{run_id}.html"
        page.write_text(html.render(report.build(bundle.load(folder / "runs" / run_id))))
        found = Markup(page.read_text())
        assert found.wrong == []
        assert [text for text in found.texts if not literal(text)] == []
        if run_id.endswith("a"):
            visit(window, "file://", str(page))
    assert window.complaints == []
    assert {urlsplit(each).scheme for each in window.asked} == {"file"}


def some_of_each(paths):
    """Some pages of each kind, from all over the list: all of them were read before."""
    kinds = {}
    for path in paths:
        kinds.setdefault(path.partition("?")[0].split("/")[1], []).append(path)
    return [path for some in kinds.values() for path in some[:: -(-len(some) // 6)]]


def test_no_payload_runs_in_a_browser_on_any_kind_of_page(window, url, pages):
    for path in some_of_each(path for path, status, kind, _ in pages if is_page(kind) and status == 200):
        visit(window, url, path)
    assert window.complaints == []
    assert window.elsewhere(url) == []


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_in_the_url_is_text_too(name, window, url):
    payload = quote(PAYLOADS[name], safe="")
    names = ("q", "branch", "since", "until", "page", "benchmark", "target", "status", "base", "new", "from", "to")
    for path in ("/", "/compare", "/trends", "/gates", "/coverage"):
        query = "&".join(f"{each}={payload}" for each in names)
        status, headers, content = ask(f"{url}{path}?{query}")
        assert status < 500, path
        assert not is_page(headers["Content-Type"]) or Markup(content.decode()).wrong == [], path
    visit(window, url, f"/?q={payload}")
    visit(window, url, f"/runs/{payload}".replace("%2F", "~2f"))
    assert [each for each in window.complaints if "Failed to load resource" not in each] == []  # 400 and 404 are meant


# ---- the tests notice what they look for ----


def unescaped(folder):
    made = app.create(folder, index=None)
    made.state.site._pages.autoescape = False
    made.state.site._pages.cache.clear()  # pages were compiled when it began
    return made


def test_a_page_that_forgets_to_escape_is_noticed_by_reading_it_and_by_a_browser(runs, window):
    with serving(unescaped(runs[0])) as url:
        path = f"/runs/{runs[1]['script'][0]}"
        content = ask(url + path)[2].decode()
        assert Markup(content).wrong
        window.page.goto(url + path)
        assert window.page.evaluate(OWNED) == 1
        assert "dialog: 1" in window.complaints


def test_where_a_page_forgets_to_escape_the_policy_still_runs_nothing(runs, window):
    with serving(Guarded(unescaped(runs[0]), Door())) as url:
        for name in ("script", "attribute", "event", "end"):
            window.page.goto(f"{url}/runs/{runs[1][name][0]}")
            window.page.evaluate(_PROVOKE)
            assert window.page.evaluate(OWNED) is None
        assert any("Content Security Policy" in each for each in window.complaints)
