"""The pages: one file each, and one line here. A page is a function `(site, request) -> Response`.

A page that lists is made from the index alone: it opens no run.
"""

from __future__ import annotations

_HERE = "benchproof.web.pages"
PAGES = {  # path -> module and function
    "/": f"{_HERE}.runs:page",
    "/runs/{run}": f"{_HERE}.run:page",
    "/runs/{run}/files/{path:path}": f"{_HERE}.files:page",
    "/gates": f"{_HERE}.gates:page",
    "/floors": f"{_HERE}.floors:page",
    "/coverage": f"{_HERE}.coverage:page",
    "/metrics": f"{_HERE}.metrics:page",
    "/healthz": f"{_HERE}.health:page",
}
