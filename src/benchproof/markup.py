"""Elements of HTML and SVG, in which text cannot become markup: for charts, pages and badges.

There are two ways to make `Markup`, and both escape: `text` and `element`. A plain string among the children of an
element is text. What nobody can see, or what turns the direction of writing, is shown as its escape; what is longer
than anybody reads is cut. Neither scripts nor styles are made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST_OF_A_TEXT = 2000  # characters; the whole of it is in the run
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_NAME = re.compile(r"[a-zA-Z][\w:.-]*", re.ASCII)
_VOID = frozenset({"meta", "link", "br", "hr", "wbr"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def text(words: str, *, most: int = MOST_OF_A_TEXT) -> Markup:
    """Text that is shown as what it is, and that is markup nowhere."""
    if isinstance(words, Markup):
        return words
    return Markup(visible(words, most=most).translate(_ENTITIES))


def visible(words: str, *, most: int = MOST_OF_A_TEXT) -> str:
    """The words on one line: a line break is a blank, any other character that is not to be seen is its escape."""
    shown = words if len(words) <= most else f"{words[: most - 3].rstrip()}..."
    if shown.isprintable():
        return shown
    return "".join(
        each if each.isprintable() else " " if each.isspace() and each.isascii() else _escape(each) for each in shown
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def element(name: str, /, *children: str, **attributes: str | float | bool | None) -> Markup:
    """One element. `class_` is written as class, `aria_label` as aria-label; None and False leave an attribute out."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"no name of an element: {name!r}")
    inner = join(children)
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{name}{written}/>" if name in _VOID else f"<{name}{written}>{inner}</{name}>")


def _attribute(key: str, value: str | float | bool | None) -> str:  # noqa: FBT001 - as it is written
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if not _NAME.fullmatch(name):
        raise ValueError(f"no name of an attribute: {name!r}")
    return f' {name}=""' if value is True else f' {name}="{text(str(value))}"'


def join(children: Iterable[str], between: str = "") -> Markup:
    """Several as one; what is no markup yet is text."""
    return Markup(text(between).join(map(text, children)))
