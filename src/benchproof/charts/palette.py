"""The colours of charts and pages, in light and in dark, and the style sheet of the charts.

Text has a contrast of 4.5 to 1 on the page and on a panel, marks and lines that mean something 3 to 1 (WCAG 2.2, AA):
a test computes it from these tables. No meaning is in a colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping

TEXTS = ("ink", "muted", "link", "good", "bad", "same", "doubt")
SERIES = ("s0", "s1", "s2", "s3", "s4", "s5")  # one a target, each with a shape of its own
GROUNDS = ("page", "panel")

LIGHT: Mapping[str, str] = {
    "page": "#ffffff",
    "panel": "#f3f5f8",
    "grid": "#d3d8de",
    "band": "#dfe5ec",
    "ink": "#1a1d21",
    "muted": "#515861",
    "link": "#0a4f9e",
    "good": "#136034",
    "bad": "#a5200e",
    "same": "#44505c",
    "doubt": "#744700",
    "s0": "#0a4f9e",
    "s1": "#b04a00",
    "s2": "#1d6f42",
    "s3": "#7a3aa0",
    "s4": "#806200",
    "s5": "#3d4650",
}
DARK: Mapping[str, str] = {
    "page": "#14171a",
    "panel": "#1e2226",
    "grid": "#3c434a",
    "band": "#2b3239",
    "ink": "#e9ebee",
    "muted": "#abb3bc",
    "link": "#8cbaff",
    "good": "#72d49d",
    "bad": "#ff9f8e",
    "same": "#b9c3cd",
    "doubt": "#f0c263",
    "s0": "#82b5ff",
    "s1": "#ffb273",
    "s2": "#76d4a2",
    "s3": "#d2a4f2",
    "s4": "#e6c75c",
    "s5": "#c5ccd4",
}

_CHARTS = """
svg.chart{display:block;width:100%;overflow:visible;font:12px system-ui,sans-serif}
svg.chart text{fill:var(--ink);paint-order:stroke;stroke:var(--page);stroke-width:3px;stroke-linejoin:round}
svg.chart .muted{fill:var(--muted)}
svg.chart .grid{stroke:var(--grid)}
svg.chart .axis{stroke:var(--muted)}
svg.chart .one{stroke:var(--ink);stroke-width:1.5}
svg.chart .band{fill:var(--band)}
svg.chart .floor{fill:none;stroke:var(--muted);stroke-dasharray:3 3}
svg.chart .span{stroke:currentColor;stroke-width:2;fill:none}
svg.chart .thin{stroke:currentColor;stroke-width:1;fill:none}
svg.chart .dashed{stroke-dasharray:4 3}
svg.chart .mark{fill:currentColor;stroke:currentColor;stroke-width:1.5}
svg.chart .hollow{fill:var(--page);stroke:currentColor;stroke-width:1.5}
svg.chart text.said{fill:currentColor}
svg.chart a:hover .mark,svg.chart a:hover .hollow{stroke-width:5}
"""


def css() -> str:
    """The style sheet: colours by scheme, paper always in light, and how charts are drawn."""
    meanings = "".join(f"svg.chart .{name}{{color:var(--{name})}}\n" for name in (*TEXTS, *SERIES) if name != "muted")
    return (
        f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
        f"@media print{{:root{{color-scheme:light;{_variables(LIGHT)}}}}}"
        f"{_CHARTS}{meanings}"
    )


def _variables(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def contrast(one: str, other: str) -> float:
    """Of two colours, 1 to 21, as WCAG 2.2 defines it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    shares = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
