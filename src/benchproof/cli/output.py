"""How what we print fits where it is read: width, colour, letters, and whether there is any point in drawing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from benchproof.report import Report

_WIDTH_ELSEWHERE = 132  # into a file or a pipe


def terminal(report: Report, *, draw: bool | None = None) -> str:
    """The matrix."""
    from benchproof.reporters.terminal import render

    return render(report, draw=draws(draw), **look())


def look() -> dict[str, Any]:
    """How to render for standard output."""
    width = _width(is_terminal=sys.stdout.isatty())
    return {"width": width, "color": in_colour(sys.stdout), "encoding": letters_of(sys.stdout)}


def draws(wanted: bool | None) -> bool:  # noqa: FBT001 - as the option has it
    """Whether to draw: pictures say what the text says, to eyes alone, so by default on a terminal."""
    return is_screen(sys.stdout) if wanted is None else wanted


def draw_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--draw/--no-draw`."""
    return click.option(
        "--draw/--no-draw",
        default=None,
        help="Pictures of ratios and of values by block behind the figures; by default on a terminal.",
    )(function)


def is_screen(stream: TextIO) -> bool:
    """Whether it is a terminal on which something can be drawn."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def in_colour(stream: TextIO) -> bool:
    """NO_COLOR forbids it, FORCE_COLOR and CLICOLOR_FORCE demand it, else a terminal that can has it."""
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") not in {"", "0"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return is_screen(stream) and os.environ.get("CLICOLOR") != "0"


def letters_of(stream: TextIO) -> str:
    """The encoding. Who asks for the locale of C is shown ASCII, although Python writes UTF-8 there."""
    return "ascii" if os.environ.get("LC_ALL") in {"C", "POSIX"} else stream.encoding or "ascii"


def _width(*, is_terminal: bool) -> int:
    """Elsewhere always the same: COLUMNS is set for children by whatever has loaded readline, whoever reads."""
    return shutil.get_terminal_size().columns if is_terminal else _WIDTH_ELSEWHERE
