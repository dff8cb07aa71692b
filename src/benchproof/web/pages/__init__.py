"""The pages: one file each, and one line here. A page is a function `(site, request) -> Response`.

A page that lists is made from the index alone: it opens no run.
"""

from __future__ import annotations

_HERE = "benchproof.web.pages"
PAGES = {  # path -> module and function
    "/": f"{_HERE}.runs:page",
    "/runs/{run}": f"{_HERE}.run:page",
    "/runs/{run}/lines": f"{_HERE}.lines:page",
    "/runs/{run}/logs/": f"{_HERE}.logs:page",
    "/runs/{run}/{path:path}": f"{_HERE}.files:page",
    "/report": f"{_HERE}.report:page",  # beside the folder `runs`, as its links to evidence expect
    "/compare": f"{_HERE}.compare:page",
    "/trends": f"{_HERE}.trends:page",
    "/trend": f"{_HERE}.trend:page",
    "/gates": f"{_HERE}.gates:page",
    "/floors": f"{_HERE}.floors:page",
    "/coverage": f"{_HERE}.coverage:page",
    "/metrics": f"{_HERE}.metrics:page",
    "/static/palette.css": f"{_HERE}.palette:page",
    "/healthz": f"{_HERE}.health:page",
}
