"""The report as one JSON document: every figure, none rounded."""

from __future__ import annotations

import msgspec

from benchproof.analysis.matrix import Report


def render(report: Report) -> str:
    """The document, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n"
