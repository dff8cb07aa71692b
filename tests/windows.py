"""A real browser, and what it complains of while a test uses it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_PATIENCE_MS = 20_000


@contextlib.contextmanager
def chromium() -> Iterator[object]:
    """Debian's Chromium; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM:
        pytest.skip("there is no chromium: apt-get install chromium")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--disable-dev-shm-usage", *as_root])
        yield running
        running.close()


class Window:
    """A page of the browser. `complaints`: what no page of ours may cause."""

    def __init__(self, page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(_PATIENCE_MS)
        page.on("console", lambda line: self._heard(line.type, line.text))
        page.on("pageerror", lambda error: self._heard("error", str(error)))
        page.on("dialog", self._spoken)
        page.on("request", lambda request: self.asked.append(request.url))

    def _heard(self, kind, text):
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")

    def _spoken(self, dialog):
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def elsewhere(self, url) -> list[str]:
        """Requests to any other place than the server; data in a page is no request."""
        own = urlsplit(url).netloc
        return [each for each in self.asked if not each.startswith("data:") and urlsplit(each).netloc != own]


@contextlib.contextmanager
def window_of(browser, **options) -> Iterator[Window]:
    with contextlib.closing(browser.new_context(**options)) as context:
        yield Window(context.new_page())
