"""What the tables of a terminal are printed on: so wide, in colour or not, in the letters that there are."""

from __future__ import annotations

import io
from typing import Any

from rich import markup
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from benchproof import letters

_WITHOUT_END = 10_000  # columns, for the width that a table would like to have


def escape(text: str) -> str:
    """Text from a bundle is neither markup nor a command to the terminal."""
    return markup.escape("".join(character if character.isprintable() else "?" for character in text))


def fits(console: Console, table: Table) -> bool:
    """Whether there is room for all of it, without a line that is folded or cut."""
    endless = console.options.update(max_width=_WITHOUT_END)
    return Measurement.get(console, endless, table).maximum <= console.width


class Screen(Console):
    """Keeps what is printed. Letters are replaced before anything is measured, so that columns stay columns."""

    def __init__(self, *, width: int, color: bool, encoding: str = "utf-8") -> None:
        self._kept = io.StringIO()
        self._letters = encoding
        super().__init__(
            file=self._kept,
            width=width,
            force_terminal=color,
            no_color=not color,
            color_system="standard" if color else None,  # the eight that the user chose, and no others
            highlight=False,
            emoji=False,
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """As always, in letters that can be written."""
        return super().render_str(letters.plain(text, self._letters), **options)

    @property
    def text(self) -> str:
        """All of it."""
        return letters.plain(self._kept.getvalue(), self._letters)
