"""The report as one page: no network, no script, readable on paper, on a phone, in light and in dark.

What was compared and how sure it is comes first, where each figure is from comes last. Every figure leads to its
entry in the evidence, which says the lines of results.jsonl: that works where the file is alone; the lines themselves
are links where it lies beside the folder `runs`, as `benchproof run` leaves it. Text of a bundle is text: all of the
page is made by `benchproof.markup`. No figure is computed here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping

from benchproof.analysis.matrix import Report
from benchproof.markup import Markup, element
from benchproof.reporters.html import (
    appendix,
    cases,
    correctness,
    curves,
    decisions,
    evidence,
    exact,
    forest,
    glance,
    opening,
    parts,
    style,
)

Maker = Callable[[Report], Iterator[Markup]]
_SECTIONS: Mapping[str, tuple[str, Maker]] = {  # id -> title and what makes it; one that makes nothing is left out
    "compared": ("What was compared", opening.section),
    "glance": ("At a glance", glance.section),
    "correctness": ("Correctness and coverage", correctness.section),
    "ratios": ("Ratios, and how sure they are", forest.section),
    "cases": ("Each case: distribution and order", cases.section),
    "curves": ("Scaling and quantiles", curves.section),
    "exact": ("Instructions, counted", exact.section),
    "gates": ("Gates and targets", decisions.gates),
    "causes": ("Where the time goes, and likely causes", decisions.causes_section),
    "profiles": ("Profiles against each other", decisions.profiles_section),
    "published": ("Published elsewhere: context, never compared", decisions.published),
    "doubts": ("Notes and doubts", decisions.notes),
    "method": ("Method, and how to check it", appendix.method),
    "envelope": ("Envelope: everything that could change a figure", appendix.envelope),
    "evidence": ("Evidence: the lines behind each figure", evidence.section),
}


def render(report: Report) -> str:
    """The whole page."""
    found = {key: (title, tuple(make(report))) for key, (title, make) in _SECTIONS.items()}
    shown = {key: (title, made) for key, (title, made) in found.items() if made}
    css = Markup(style.css())
    body = element(
        "body",
        element("a", "Skip to the report", href="#compared", class_="skip"),
        parts.sprite(),
        opening.header(report),
        element("nav", parts.items(_links(shown)), aria_label="Sections"),
        element("main", *(parts.section(key, title, *made) for key, (title, made) in shown.items())),
        element("footer", opening.footer(report)),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(css)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"benchproof: {opening.subject(report)}"),
        element("style", css),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _links(shown: Mapping[str, tuple[str, tuple[Markup, ...]]]) -> Iterator[Markup]:
    yield from (element("a", title, href=f"#{key}") for key, (title, _) in shown.items())


def _policy(css: str) -> str:
    """Nothing is loaded, nothing is run, and no style but ours is used, whatever the page says."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
