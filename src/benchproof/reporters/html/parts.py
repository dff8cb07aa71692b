"""What the sections of the page are made of: sections, tables, lists, and the signs of statuses and verdicts.

A sign is a shape, a colour and a word. The word is always there, for the eye or for the ear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchproof.analysis.compare import Comparison
from benchproof.analysis.matrix import Cell, Report, Row
from benchproof.markup import Markup, element, join, visible
from benchproof.reporters import doubts, layout

MOST_OF_A_NAME = 120
MOST_OF_A_PATH = 300
_STATUSES = {  # what it is called, its colour, its shape in a square of 16 around 0
    "passed": ("good", "M-6 0L-2 5L6-5"),
    "failed": ("bad", "M-5-5L5 5M-5 5L5-5"),
    "invalid": ("doubt", "M0-6L6 6H-6ZM0-2V2"),
    "missing": ("doubt", "M-5-5H5V5H-5Z"),
    "unverified": ("doubt", "M-4-3C-4-8 4-8 4-3C4 0 0 0 0 3M0 6V7"),
    "unsupported": ("same", "M-6 0H6"),
}
_VERDICTS = {
    "faster": ("good", "M0-6L6 5H-6Z"),
    "slower": ("bad", "M0 6L6-5H-6Z"),
    "same": ("same", "M-6-3H6M-6 3H6"),
    "undecided": ("doubt", "M-6 1C-3-5 3 6 6-1"),
    "incomparable": ("same", "M-5 5L5-5"),
}
_GATES = {
    "met": ("good", "passed"),
    "not met": ("bad", "failed"),
    "undecided": ("doubt", "undecided"),
    "review": ("doubt", "invalid"),
    "off": ("same", "unsupported"),
}
_FILLED = frozenset({"faster", "slower"})


def sprite() -> Markup:
    """The shapes, once."""
    symbols = (
        element(
            "symbol",
            element(
                "path",
                d=path,
                fill="currentColor" if name in _FILLED else "none",
                stroke="currentColor",
                stroke_width="2.5",
                stroke_linejoin="round",
                stroke_linecap="round",
            ),
            id=f"i-{name}",
            viewBox="-8 -8 16 16",
        )
        for name, (_, path) in (_STATUSES | _VERDICTS).items()
    )
    return element("svg", *symbols, xmlns="http://www.w3.org/2000/svg", width="0", height="0", class_="hear")


def _icon(name: str) -> Markup:
    used = element("use", href=f"#i-{name}")
    return element("svg", used, class_="icon", aria_hidden="true", focusable="false")


def status(word: str, *, heard: bool = False) -> Markup:
    """How an answer ended. `heard`: the word is for the ear alone, where a figure says the same to the eye."""
    colour, _ = _STATUSES.get(word, ("doubt", ""))
    shown = element("span", name(word), class_="hear") if heard else name(word)
    return element("span", _icon(word) if word in _STATUSES else "", shown, class_=f"badge {colour}")


def verdict(comparison: Comparison) -> Markup:
    """Faster, slower and the like."""
    colour, _ = _VERDICTS.get(comparison.verdict, ("doubt", ""))
    return element("span", _icon(comparison.verdict), comparison.verdict, class_=f"badge {colour}")


def gate(word: str, said: str) -> Markup:
    """How a gate ended."""
    colour, icon = _GATES.get(word, ("doubt", "invalid"))
    return element("span", _icon(icon), said, class_=f"badge {colour}")


def section(key: str, title: str, *made: str) -> Markup:
    """One section, a landmark of the page."""
    return element("section", element("h2", title, id=f"{key}-title"), *made, id=key, aria_labelledby=f"{key}-title")


def paragraph(*words: str, class_: str | None = None) -> Markup:
    """A paragraph."""
    return element("p", *words, class_=class_)


def items(words: Iterable[str]) -> Markup:
    """A list; nothing where there is nothing."""
    made = [element("li", each) for each in words]
    return element("ul", *made) if made else Markup("")


def name(words: str) -> str:
    """A name in a table, not longer than one is."""
    return visible(words, most=MOST_OF_A_NAME)


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table whose first column names its rows. On a phone, each row is a card."""
    top = element("thead", element("tr", *(element("th", head, scope="col") for head in heads)))
    return framed(caption, top, element("tbody", *(_row(cells, heads) for cells in rows)))


def _row(cells: Sequence[str], heads: Sequence[str]) -> Markup:
    first, *others = cells
    pairs = zip(others, heads[1:], strict=True)
    made = (element("td", cell, data_head=head if head and cell else None) for cell, head in pairs)
    return element("tr", element("th", first, scope="row"), *made)


def framed(caption: str, *parts: str, look: str = "cards") -> Markup:
    """A table that is scrolled alone where it is wider than the page, by keyboard too."""
    made = element("table", element("caption", caption), *parts, class_=look)
    return element("div", made, class_="scroll", tabindex="0", role="group", aria_label=caption)


# ---- what cells say, and where it is from ----


def anchor(report: Report, row_: Row, target: str) -> str:
    """The entry of a cell in the evidence."""
    number = next(place for place, each in enumerate(report.rows) if each is row_)
    return f"e{number}-{series(report, target)}"


def series(report: Report, target: str) -> int:
    """The place of a target among all: its colour and shape in every chart, its part of every anchor."""
    return [each.target for each in report.columns].index(target)


def points(report: Report, row_: Row, target: str) -> tuple[str, ...]:
    """Links to the entries of each value of a cell."""
    key = anchor(report, row_, target)
    return tuple(f"#{key}-{place}" for place in range(len(row_.cells[target].values)))


def figure(report: Report, row_: Row, target: str) -> Markup:
    """A median that leads to its evidence, or the status where there is none."""
    cell = row_.cells[target]
    divisor, _ = layout.scale(row_)
    href = f"#{anchor(report, row_, target)}"
    if cell.median is None:
        return element("a", status(cell.status), href=href)
    shown = element("a", layout.figure_text(cell, divisor, row_.unit), href=href, class_="figure")
    return join((status(cell.status, heard=cell.status == "passed"), " ", shown))


def ratio(comparison: Comparison | None) -> Markup:
    """The verdict with the ratio and its interval."""
    if comparison is None:
        return Markup("")
    estimate, bracket, ends = layout.ratio_text(comparison)[2:].partition("[")
    interval = element("span", bracket + ends, class_="keep") if bracket else ""
    return element("span", verdict(comparison), f" {estimate}", interval, class_="ratio")


def notes(numbers: dict[str, int], target: str, cell: Cell) -> Markup:
    """Links to the notes of a cell."""
    found = sorted({numbers[note] for note in layout.cell_notes(target, cell)})
    made = (element("a", f"[{number}]", href=f"#n{number}") for number in found)
    return element("small", join(made, " ")) if found else Markup("")


def file_link(report: Report, path: str, said: str = "", *, line: int | None = None) -> Markup:
    """To a file of the run, from beside the folder `runs`; plain text where its name is none of ours."""
    whole = f"runs/{report.run_id}/{path}"
    if len(whole) > MOST_OF_A_PATH or not doubts.is_path(whole):
        return element("span", said or path)
    return element("a", said or path, href=whole + (f"#L{line}" if line is not None else ""))


def unit(row_: Row) -> Markup:
    """In what the figures of a row are, and which direction is good."""
    _, name_of_unit = layout.scale(row_)
    words = (name_of_unit, f"{row_.better} is better" if row_.better else "")
    return element("small", ", ".join(word for word in words if word), class_="quiet")


def named_lists(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Terms and what is said of them."""
    made = [piece for term, said in pairs for piece in (element("dt", term), element("dd", said))]
    return element("dl", *made, class_="facts")


def timed(report: Report) -> Iterator[Row]:
    """The rows in which time or amounts were measured, not instructions counted."""
    exact = {column.target for column in report.columns if column.exact}
    yield from (row_ for row_ in report.rows if not row_.cells.keys() <= exact)
