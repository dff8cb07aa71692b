"""Pages of the dashboard, asked for within the test's own process, as texts."""

from __future__ import annotations

import html
import re

from starlette.testclient import TestClient

from benchproof.web import app


def client(home, **options):
    return TestClient(app.create(home, index=None, **options), raise_server_exceptions=True)


def shown(found):
    """The text of a page."""
    assert found.status_code == 200, found.text
    return html.unescape(re.sub(r"<[^>]+>", " ", found.text))


def figures(found, which):
    """The rows of a table, its cells as texts."""
    (table,) = re.findall(rf'<table [^>]*"{which}".*?</table>', found.text, re.DOTALL)
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    return [
        [
            " ".join(html.unescape(re.sub(r"<[^>]+>", " ", cell)).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row)
        ]
        for row in rows
    ]
