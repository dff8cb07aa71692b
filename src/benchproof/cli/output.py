"""How the terminal's report fits the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from benchproof.reporters.terminal import render

if TYPE_CHECKING:
    from benchproof.report import Report

_WIDTH_ELSEWHERE = 132  # into a file or a pipe


def terminal(report: Report) -> str:
    """The matrix."""
    return render(report, **look())


def look() -> dict[str, Any]:
    """How to render for standard output: as wide as it is, in colour if it is a terminal and NO_COLOR is not set."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else _WIDTH_ELSEWHERE
    return {"width": width, "color": is_terminal and not os.environ.get("NO_COLOR")}
