"""Ways to show a report: one file each, and one line here or in the entry point group `benchproof.reporters`.

A reporter is a function `render(report) -> str`; it opens no file and computes no figure.
"""

from __future__ import annotations

from benchproof.plugins import Table

FORMATS = Table(
    group="benchproof.reporters",
    what="report format",
    own={
        "terminal": "benchproof.reporters.terminal:render",
        "summary": "benchproof.reporters.summary:render",
        "breakdown": "benchproof.reporters.breakdown:render",
        "markdown": "benchproof.reporters.markdown:render",
        "comment": "benchproof.reporters.comment:render",
        "html": "benchproof.reporters.html:render",
        "csv": "benchproof.reporters.csv:render",
        "json": "benchproof.reporters.json:render",
        "scaling-csv": "benchproof.reporters.scaling_csv:render",
        "junit": "benchproof.reporters.junit:render",
        "github": "benchproof.reporters.github:render",
        "pytest-benchmark": "benchproof.reporters.pytest_benchmark:render",
        "bencher": "benchproof.reporters.bencher:render",
        "google-benchmark": "benchproof.reporters.google_benchmark:render",
        "openmetrics": "benchproof.reporters.openmetrics:render",
        "capsem-guest": "benchproof.reporters.capsem_guest:render",
    },
)
