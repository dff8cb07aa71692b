"""A console as lines that know where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchproof.errors import one_line
from benchproof.model import Frozen

LINE_LIMIT = 4096  # characters of a line that are looked at; no kernel's report or complaint is as long
_SHOWN = 160  # of a line in a message
_COLOUR = re.compile(r"\x1b\[[0-9;?]{0,16}[A-Za-z]")


class Line(Frozen, frozen=True):
    """One line of a console, without its end."""

    number: int  # from 1
    offset: int  # of its first byte in the console, from 0
    length: int  # in bytes
    text: str  # bytes that are no ASCII as `\\x..`; cut at LINE_LIMIT
    whole: bool = True  # False: the console ends before the line does

    def __str__(self) -> str:
        """The place and the words, for a message."""
        shown = one_line(plain(self.text))
        return f"line {self.number}, byte {self.offset}: '{shown[:_SHOWN]}{'...' if len(shown) > _SHOWN else ''}'"


def lines_of(text: bytes) -> Iterator[Line]:
    """Every line; one carriage return before a line feed belongs to the end of the line."""
    offset = 0
    for number, piece in enumerate(text.split(b"\n"), start=1):
        whole = offset + len(piece) < len(text)
        if piece or whole:
            shown = piece.removesuffix(b"\r")[:LINE_LIMIT].decode("ascii", errors="backslashreplace")
            yield Line(number, offset, len(piece), shown, whole=whole)
        offset += len(piece) + 1


def plain(text: str) -> str:
    """A line without its colours."""
    return _COLOUR.sub("", text)
