"""What all pages share: the index, kept up to date; runs that were read; links; and how a page is made."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from benchproof import __version__, history
from benchproof.analysis.trend import Trend
from benchproof.markup import Markup as Drawn
from benchproof.markup import visible
from benchproof.store import listings
from benchproof.store.index import Index
from benchproof.web import names
from benchproof.web.reading import Reading

REFRESH_S = 2.0  # between two looks for new runs, as long as anyone asks
_MOST_TRENDS = 32  # questions of which the answers are kept
_PATIENCE_S = 0.25  # how long a page waits for such a look; what it finds later is on the next page
_NAVIGATION: dict[str, tuple[str, ...]] = {
    "Runs": (),
    "Compare": ("compare",),
    "Trends": ("trends",),
    "Gates": ("gates",),
    "Floors": ("floors",),
    "Coverage": ("coverage",),
}  # what is in the head of every page -> where it leads


def _seen(found: object) -> object:
    """What a template puts into a page: characters that nobody sees become those that say so, charts stay charts."""
    if isinstance(found, Drawn):
        return Markup(found)  # noqa: S704 - every text in it was escaped when it was drawn
    return visible(found) if isinstance(found, str) and not isinstance(found, Markup) else found


def _silent(_line: str) -> None:
    """For who does not watch."""


class Site:
    """One home and one index, served. Its methods may be called by many threads at once."""

    def __init__(self, home: Path, *, index: str | None, base_path: str) -> None:
        self.home = home
        self.base_path = base_path
        self.reading = Reading()
        self.problems: tuple[str, ...] = ()  # folders that are no run to believe
        self._stale = ""  # why the last look for new runs failed, on every page until one succeeds
        self._index = history.opened(home, index)
        self._one_at_a_time = threading.Lock()
        self._changes = 0  # that our own looks found: a number in the index may be used again
        self._judging = threading.Lock()
        self._trends: OrderedDict[tuple[object, ...], tuple[Trend, ...]] = OrderedDict()
        self._looked_s: float | None = None
        self._pages = jinja2.Environment(
            loader=jinja2.PackageLoader("benchproof.web"),
            autoescape=jinja2.select_autoescape(default=True, default_for_string=True),
            undefined=jinja2.StrictUndefined,
            finalize=_seen,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.globals |= {
            "link": self.link,
            "asset": self.asset,
            "version": __version__,
            "navigation": _NAVIGATION,
        }
        for name in self._pages.list_templates():  # now, and not while the first reader waits
            self._pages.get_template(name)

    @property
    def index(self) -> Index:
        """The index, as new as `REFRESH_S`, or as new as it can be without keeping anyone waiting."""
        if self._looked_s is None:
            self.refresh()
        elif time.monotonic() - self._looked_s > REFRESH_S:
            look = threading.Thread(target=self._look, daemon=True, name="index")
            look.start()
            look.join(_PATIENCE_S)
        return self._index

    def judged(self, **asked: Any) -> tuple[Trend, ...]:
        """As `history.judged`, with points; kept until the index knows other runs, since a ramp takes seconds.

        One question at a time: a machine that measures has little to spare.
        """
        index = self.index
        with self._judging:
            key = (self._changes, *listings.version(index), repr(sorted(asked.items())))
            if key not in self._trends:
                self._trends[key] = history.judged(index, points=True, **asked)
            self._trends.move_to_end(key)
            while len(self._trends) > _MOST_TRENDS:
                self._trends.popitem(last=False)
            return self._trends[key]

    def refresh(self, say: Callable[[str], None] = _silent) -> None:
        """Look for new runs now, and wait for it. Raises StoreError."""
        with self._one_at_a_time:
            self._update(say)

    def _look(self) -> None:
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self._update()
            except Exception as error:  # noqa: BLE001 - there is nobody above; what is there is shown, with the reason
                self._stale = str(error)
            finally:
                self._one_at_a_time.release()

    def _update(self, say: Callable[[str], None] = _silent) -> None:
        try:
            found = self._index.update(say)
            self._changes += bool(found.added or found.removed)
            self.problems = tuple(
                each.replace(f"{self.home}/runs/", "") for each in found.problems
            )  # our disk is our affair
            self._stale = ""
        finally:
            self._looked_s = time.monotonic()

    def link(self, *parts: str, **query: object) -> Markup:
        """The URL of a page; empty answers are left out of it."""
        path = "/".join(names.part(each) for each in parts)
        words = urlencode({key: str(text) for key, text in query.items() if text not in {"", None}})
        return escape(f"{self.base_path}/{path}" + (f"?{words}" if words else ""))

    def asset(self, name: str) -> str:
        """The URL of a file that comes with the program, another one with another version."""
        return f"{self.base_path}/static/{name}?{__version__}"

    def page(self, template: str, *, status: int = 200, **content: object) -> HTMLResponse:
        """A page as an answer."""
        return HTMLResponse(self._pages.get_template(template).render(content, stale=self._stale), status_code=status)

    def close(self) -> None:
        """Give the database back."""
        self._index.__exit__()
