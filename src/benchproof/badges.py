"""Badges: what became of each gate, and how much was verified, as small pictures that say it in words.

There is no badge of everything together, and none with a figure: a figure without its envelope would be believed. What
a badge says is the worst that any target's verdict says. A picture needs no font of ours and no network.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchproof.analysis.gate import WORST_FIRST
from benchproof.charts.palette import LIGHT
from benchproof.markup import Markup, element, visible
from benchproof.model import Frozen
from benchproof.store import files

_GROUND, _INK = "#3d4650", "#ffffff"
_COLOURS = {
    "not met": LIGHT["bad"],
    "undecided": LIGHT["doubt"],
    "review": LIGHT["link"],
    "met": LIGHT["good"],
    "off": LIGHT["same"],
}
_HEIGHT, _SIZE, _ROOM = 20, 11, 6  # pixels: of the badge, of the font, beside a text
_MOST = 60  # characters of a text; the title has all of it
_WIDE = 1000  # thousandths of the size, of a character that is not in the table: as wide as any
# of DejaVu Sans, which is as wide as Verdana: from the blank to the tilde
_WIDTHS = (
    *(318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636),
    *(636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656),
    *(557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613),
    *(635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818),
    *(592, 592, 525, 636, 337, 636, 838),
)
_UNSAFE = re.compile(r"[^a-z0-9._]+")
_COVERAGE = "coverage"  # of its files; no gate is called so


class Badge(Frozen, frozen=True):
    """`name`: of its files. `title`: the whole of it, for a screen reader and for whoever hovers."""

    name: str
    label: str
    message: str
    verdict: str  # one of WORST_FIRST; gives the colour, which says nothing that the message does not say
    title: str


def of_gates(verdicts: Iterable[tuple[str, str, str]], *, prefix: str = "") -> list[Badge]:
    """One for each gate, of (gate, target, verdict)."""
    gates: dict[str, list[tuple[str, str]]] = {}
    for gate, target, verdict in verdicts:
        gates.setdefault(gate, []).append((target, verdict))
    return [_of_gate(gate, found, prefix) for gate, found in gates.items()]


def _of_gate(gate: str, found: list[tuple[str, str]], prefix: str) -> Badge:
    words = [verdict for _, verdict in found]
    worst = min(words, key=WORST_FIRST.index)
    many = f" {words.count(worst)}/{len(words)}" if len(words) > 1 and words.count(worst) < len(words) else ""
    told = ", ".join(f"{target} {verdict}" for target, verdict in found)
    return Badge(file_name(prefix + gate), gate, worst + many, worst, f"gate {gate}: {told}")


def of_coverage(passed: int, total: int, *, prefix: str = "") -> Badge:
    """How much of what was asked has a verified answer; a share that is not whole is no failure, and is to be seen."""
    whole = "met" if passed == total and total else "undecided"
    said = f"{passed}/{total} verified"
    name = f"{file_name(prefix)}-{_COVERAGE}" if prefix else _COVERAGE
    return Badge(name, _COVERAGE, said, whole, f"{_COVERAGE}: {said}")


def file_name(text: str) -> str:
    """Safe in any file system and any address; different texts have different names."""
    plain = _UNSAFE.sub("-", text.lower()).strip("-.")[:60]
    if plain == text != "" and not plain.endswith(_COVERAGE):
        return plain
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{plain or 'gate'}-{digest[:8]}"


def write(badges: Iterable[Badge], folder: Path) -> Iterator[Path]:
    """A picture, and a document for services that draw it themselves, for each. Raises StoreError."""
    for badge in badges:
        for ending, content in (("svg", svg(badge)), ("json", json.dumps(endpoint(badge), indent=1) + "\n")):
            path = folder / f"{badge.name}.{ending}"
            files.replace(path, content.encode(), remedy="name another folder with --out")
            yield path


def endpoint(badge: Badge) -> dict[str, object]:
    """The document that services such as shields.io take, version 1 of their schema."""
    label, message = _shown(badge.label), _shown(badge.message)
    colour = _COLOURS[badge.verdict].removeprefix("#")
    return {"schemaVersion": 1, "label": label, "message": message, "color": colour, "labelColor": _GROUND[1:]}


def _shown(text: str) -> str:
    """Cut once more where its escapes made it longer."""
    return visible(visible(text, most=_MOST), most=_MOST)


def svg(badge: Badge) -> str:
    """The picture."""
    label, message = _shown(badge.label), _shown(badge.message)
    left, right = (width(text) + 2 * _ROOM for text in (label, message))
    size = {"width": left + right, "height": _HEIGHT}
    title = visible(badge.title)
    return (
        element(
            "svg",
            element("title", title),
            element("rect", rx=3, fill=_GROUND, **size),
            element("path", d=_rounded(left, right), fill=_COLOURS[badge.verdict]),
            element(
                "g",
                _text(label, left / 2),
                _text(message, left + right / 2),
                fill=_INK,
                text_anchor="middle",
                font_family="Verdana,DejaVu Sans,Geneva,sans-serif",
                font_size=_SIZE,
            ),
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {left + right} {_HEIGHT}",
            role="img",
            aria_label=title,
            **size,
        )
        + "\n"
    )


def _rounded(left: int, right: int) -> str:
    """The right part, its outer corners as round as those of the whole."""
    return f"M{left} 0h{right - 3}a3 3 0 0 1 3 3v{_HEIGHT - 6}a3 3 0 0 1-3 3h-{right - 3}z"


def _text(words: str, middle: float) -> Markup:
    """As wide as was reckoned, whichever font is there."""
    return element("text", words, x=middle, y=14, textLength=width(words), lengthAdjust="spacingAndGlyphs")


def width(text: str) -> int:
    """In pixels, at least one."""
    thousandths = sum(_WIDTHS[code - 32] if 32 <= (code := ord(each)) < 127 else _WIDE for each in text)
    return max(1, -(-thousandths * _SIZE // 1000))
